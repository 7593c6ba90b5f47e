//! The layers of the rooms, and imports that do not point downward.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    modules::{Id, Modules},
    ties::Tie,
    violation::Violation,
    workspace::Kind,
};

/// What marks the block of a Markdown file that is the table.
const MARK: &str = "layers";

/// The room of a program's own modules.
const PROGRAM: &str = "main";

/// The lowest room that may know the crate by which arguments are read.
const ARGUMENTS: &str = "cli";

/// That crate.
const CLAP: &str = "clap";

/// The table of the layers.
#[derive(Debug)]
pub(super) struct Layers {
    file: PathBuf,
    rooms: Vec<Room>,
}

/// A room in the table.
#[derive(Debug)]
struct Room {
    name: String,
    /// The line of the table that it is in: of two rooms the one with the higher
    /// number is in the lower layer.
    line: usize,
}

impl Layers {
    /// Reads the table from a file of the workspace.
    pub(super) fn read(workspace: &Path, file: &Path) -> Result<Self> {
        let text = fs::read_to_string(workspace.join(file));
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        let rooms = rooms(&text);
        ensure!(
            !rooms.is_empty(),
            "{} has no table of the layers: a block that begins with ```{MARK}",
            file.display()
        );
        Ok(Self {
            file: file.into(),
            rooms,
        })
    }

    /// Rooms that are missing here or there, and imports that do not point
    /// downward.
    pub(super) fn violations(&self, modules: &Modules, ties: &[Tie]) -> Vec<Violation> {
        let mut violations = self.missing(modules);
        violations.extend(ties.iter().filter_map(|tie| self.against(modules, tie)));
        // A name that is handed on ties to two modules of a room.
        violations.dedup();
        violations.extend(modules.ids().flat_map(|id| self.clap(modules, id)));
        violations
    }

    /// Rooms that only the table or only the sources have.
    fn missing(&self, modules: &Modules) -> Vec<Violation> {
        let there: Vec<Id> = modules.ids().filter(|&id| is_room(modules, id)).collect();
        let unknown = there
            .iter()
            .filter(|&&id| self.line(name(modules, id)).is_none());
        let unknown = unknown.map(|&id| Violation {
            path: modules.get(id).file.clone(),
            line: None,
            what: format!(
                "room {} is missing in the table of {}",
                name(modules, id),
                self.file.display()
            ),
        });
        let gone = self
            .rooms
            .iter()
            .filter(|room| there.iter().all(|&id| name(modules, id) != room.name));
        let gone = gone.map(|room| Violation {
            path: self.file.clone(),
            line: Some(room.line),
            what: format!("room {} is in the table, but not in the sources", room.name),
        });
        unknown.chain(gone).collect()
    }

    /// What is wrong about an import, if anything is.
    fn against(&self, modules: &Modules, tie: &Tie) -> Option<Violation> {
        let from = name(modules, room(modules, tie.from)?);
        let (file, line) = tie.place(modules);
        let what = match room(modules, tie.to) {
            None => format!(
                "{} is defined in {}, which is no room",
                tie.name,
                modules.get(tie.to).file.display()
            ),
            Some(to) => {
                let to = name(modules, to);
                // A room without a layer is reported as such.
                if from == to || self.line(from)? < self.line(to)? {
                    return None;
                }
                format!(
                    "room {from} uses {}, but {to} is in no layer below",
                    tie.name
                )
            }
        };
        Some(Violation {
            path: file.into(),
            line: Some(line),
            what,
        })
    }

    /// Where a module names clap, if it lies below those that may.
    fn clap(&self, modules: &Modules, id: Id) -> Vec<Violation> {
        let room = room(modules, id).map(|room| name(modules, room));
        let lines = room
            .and_then(|room| self.line(room))
            .zip(self.line(ARGUMENTS));
        if lines.is_none_or(|(line, lowest)| line <= lowest) {
            return Vec::new();
        }
        let module = modules.get(id);
        let references = module.contents.references.iter();
        let named = references.filter(|named| named.path.first().is_some_and(|name| name == CLAP));
        named
            .map(|named| Violation {
                path: module.file.clone(),
                line: Some(named.line),
                what: format!(
                    "{} is named below room {ARGUMENTS}, which turns it into plain options",
                    named.path.join("::")
                ),
            })
            .collect()
    }

    /// The line of a room in the table.
    fn line(&self, room: &str) -> Option<usize> {
        let mut rooms = self.rooms.iter();
        rooms
            .find(|known| known.name == room)
            .map(|known| known.line)
    }
}

/// The rooms in the table of a Markdown text. Each line begins with the rooms of
/// a layer, with commas between them; what they are follows after two spaces.
fn rooms(text: &str) -> Vec<Room> {
    let lines = (1..).zip(text.lines());
    let table = lines
        .skip_while(|(_, line)| line.strip_prefix("```") != Some(MARK))
        .skip(1)
        .take_while(|(_, line)| !line.starts_with("```"));
    let rooms = table.flat_map(|(line, layer)| {
        let rooms = layer.split("  ").next().unwrap_or_default();
        let names = rooms.split(',').map(str::trim);
        let names = names.filter(|name| !name.is_empty());
        names.map(move |name| Room {
            name: name.into(),
            line,
        })
    });
    rooms.collect()
}

/// Whether a module is a room: a child of the library's root, or a program.
fn is_room(modules: &Modules, id: Id) -> bool {
    let module = modules.get(id);
    match module.target {
        Kind::Library => module
            .parent
            .is_some_and(|parent| modules.get(parent).parent.is_none()),
        Kind::Program => module.parent.is_none(),
        Kind::Other => false,
    }
}

/// The room that a module is in. Neither the root of the library nor a test or
/// an example is in one.
fn room(modules: &Modules, id: Id) -> Option<Id> {
    modules.ancestry(id).find(|&id| is_room(modules, id))
}

/// The name of a room.
fn name(modules: &Modules, room: Id) -> &str {
    let module = modules.get(room);
    match module.target {
        Kind::Program => PROGRAM,
        Kind::Library | Kind::Other => &module.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_one_block_of_a_text() {
        let text = "# A\n\n```text\nno, table\n```\n\n```layers\nmain  the program\n\nfacts, logs  files\nsay\n```\nkernel\n";
        let found: Vec<_> = rooms(text)
            .into_iter()
            .map(|room| (room.name, room.line))
            .collect();
        let expected = [("main", 8), ("facts", 10), ("logs", 10), ("say", 11)];
        assert_eq!(found, expected.map(|(name, line)| (name.to_owned(), line)));
    }
}
