//! The long options of all commands: an option of one name means the same everywhere, and
//! docs/cli.md has a table of them. `CTDROP_DOCS=write` writes the table.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::PathBuf};

use clap::{Arg, Command, CommandFactory as _};

use crate::cli::read::Arguments;

/// Options that mean something else in a command than in the others, and why they may.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "from",
    "report",
    "both name copied evidence to read instead of this host's: one table, or several databases",
)];

/// Where the table is in the page, after this line.
const BEGIN: &str = "<!-- The table is written by a test: CTDROP_DOCS=write. -->\n";
const END: &str = "<!-- End of the table. -->\n";

/// A long option of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Meaning {
    /// With its short form and the name of its value.
    usage: String,
    /// The first sentence of its help.
    what: String,
}

impl Meaning {
    fn of(arg: &Arg) -> Self {
        let long = format!("--{}", arg.get_long().unwrap());
        let short = arg.get_short().map(|short| format!("-{short}, "));
        let takes_value = arg.get_num_args().is_some_and(|range| range.takes_values());
        let optional = arg
            .get_num_args()
            .is_some_and(|range| range.min_values() == 0);
        let names = arg.get_value_names().filter(|_| takes_value);
        let value = names.map_or_else(String::new, |names| match names[0].as_str() {
            name if optional => format!(" [{name}]"),
            name => format!(" {name}"),
        });
        Self {
            usage: short.unwrap_or_default() + &long + &value,
            what: first_sentence(&arg.get_help().unwrap().to_string()),
        }
    }
}

/// The text before the first detail.
fn first_sentence(help: &str) -> String {
    let ends = [". ", "; ", ": ", ", such as ", " [default"].map(|end| help.find(end));
    let end = ends.into_iter().flatten().min().unwrap_or(help.len());
    help[..end].to_owned()
}

/// The commands with their names. The first is `ctdrop` without a command.
fn commands() -> Vec<(String, Command)> {
    let mut whole = Arguments::command();
    whole.build();
    let named = whole
        .get_subcommands()
        .map(|it| (it.get_name().to_owned(), it.clone()));
    let named: Vec<_> = named.filter(|(name, _)| name != "help").collect();
    [("(none)".to_owned(), whole)]
        .into_iter()
        .chain(named)
        .collect()
}

/// The commands that have each option, and what it means there.
fn options() -> BTreeMap<String, Vec<(String, Meaning)>> {
    let mut options: BTreeMap<String, Vec<(String, Meaning)>> = BTreeMap::new();
    for (name, command) in commands() {
        let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
        for arg in shown {
            let Some(long) = arg
                .get_long()
                .filter(|long| !matches!(*long, "help" | "version"))
            else {
                continue;
            };
            let of = options.entry(long.to_owned()).or_default();
            of.push((name.clone(), Meaning::of(arg)));
        }
    }
    options
}

#[test]
fn an_option_of_one_name_means_the_same_everywhere() {
    for (long, of) in options() {
        let is_exception = |command: &str| {
            EXCEPTIONS
                .iter()
                .any(|(option, of, _)| *option == long && *of == command)
        };
        let (first, meaning) = of
            .iter()
            .find(|(command, _)| !is_exception(command))
            .unwrap();
        for (command, other) in &of {
            if is_exception(command) {
                assert_ne!(other, meaning, "--{long} of {command} is no exception");
            } else {
                assert_eq!(other, meaning, "--{long} of {command} and of {first}");
            }
        }
    }
}

#[test]
fn a_letter_stands_for_one_option() {
    let mut known = BTreeMap::new();
    for (_, command) in commands() {
        for arg in command.get_arguments() {
            let Some(letter) = arg.get_short() else {
                continue;
            };
            let long = arg.get_long().unwrap().to_owned();
            let first = known.entry(letter).or_insert_with(|| long.clone());
            assert_eq!(*first, long, "-{letter}");
        }
    }
}

fn table() -> String {
    let commands = commands();
    let mut text = String::from("| option | meaning |");
    for (name, _) in &commands {
        let _ = write!(text, " {name} |");
    }
    let columns = " --- |".repeat(commands.len() + 2);
    let _ = writeln!(text, "\n|{columns}");
    for (long, of) in options() {
        // An exception has a row of its own.
        let mut rows: Vec<(Meaning, Vec<String>)> = Vec::new();
        for (command, meaning) in of {
            match rows.iter_mut().find(|(known, _)| *known == meaning) {
                Some((_, commands)) => commands.push(command),
                None => rows.push((meaning, vec![command])),
            }
        }
        for (Meaning { usage, what }, has) in rows {
            assert!(!what.contains('|'), "--{long}");
            let _ = write!(text, "| `{}` | {what} |", usage.replace('|', "\\|"));
            for (name, _) in &commands {
                text.push_str(if has.contains(name) { " x |" } else { " |" });
            }
            text.push('\n');
        }
    }
    text
}

#[test]
fn the_documentation_has_a_table_of_the_options() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let table = table();
    if env::var_os("CTDROP_DOCS").is_some_and(|it| it == "write") {
        fs::write(&page, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        written, table,
        "the options have changed; CTDROP_DOCS=write cargo test -p conntrack-user --lib \
         cli::options writes the table of docs/cli.md anew"
    );
}

#[test]
fn a_meaning_is_a_first_sentence() {
    assert_eq!(first_sentence("Only this: a, b"), "Only this");
    assert_eq!(first_sentence("Only this. And that"), "Only this");
    assert_eq!(first_sentence("Only this [default: that]"), "Only this");
    assert_eq!(first_sentence("Only this, such as a: b"), "Only this");
    assert_eq!(first_sentence("Only /etc/a.b"), "Only /etc/a.b");
}
