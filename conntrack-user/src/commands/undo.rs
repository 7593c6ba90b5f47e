//! `ctdrop undo`: undoes a fix, or lists which there are.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::{
    apply::{
        record,
        report::{KeptFix, UndoReport},
        undo::{self, undo},
    },
    commands::fix::{json, say, text},
    facts::root::Root,
    say::output::Output,
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The fix to undo; the last one if none is given.
    pub id: Option<String>,
    /// Form of the output.
    pub output: Output,
    /// The tree that the fix has changed; `/` is the running host.
    pub root: PathBuf,
    /// Whether to list all fixes that are kept, and change nothing.
    pub list: bool,
}

/// Undoes a fix, or lists which there are.
pub fn run(options: &Options) -> Result<()> {
    // Opens the tree, so that a wrong path is told as one.
    Root::open(&options.root)?;
    if options.list {
        return list(options);
    }
    let undone = undo(&options.root, options.id.as_deref())?;
    say(|out| match options.output {
        Output::Text => {
            let lines = text::undone(&undone, &options.root);
            lines.iter().try_for_each(|line| writeln!(out, "{line}"))
        }
        Output::Json => json(out, &UndoReport::of(&undone)),
    })?;
    ensure!(
        undone.is_whole(),
        "{} was undone only in part: {}",
        undone.id,
        undone.left.join("; ")
    );
    Ok(())
}

fn list(options: &Options) -> Result<()> {
    let records = undo::list(&options.root)?;
    say(|out| {
        for record in &records {
            match options.output {
                Output::Text => writeln!(out, "{}", text::record(record))?,
                Output::Json => json(out, &KeptFix::of(record))?,
            }
        }
        if records.is_empty() && options.output == Output::Text {
            writeln!(
                out,
                "no fix is recorded in {}",
                shown(&options.root).display()
            )?;
        }
        Ok(())
    })
}

fn shown(root: &Path) -> PathBuf {
    record::Records::of(root).directory().to_owned()
}
