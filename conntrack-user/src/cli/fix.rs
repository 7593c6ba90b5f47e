//! The arguments of `ctdrop fix`.

use std::{path::PathBuf, time::Duration};

use crate::{
    cli::values::{interval, limit},
    commands::fix::{Action, Options},
    say::output::Output,
};

/// Options of `ctdrop fix`.
#[derive(Clone, Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
pub struct Fix {
    /// Form of the output: text for people, json for programs
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Use this mounted or copied tree instead of this host; change its files
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    /// Set this limit, whatever the load
    #[arg(long, value_name = "N", value_parser = limit())]
    pub to: Option<u64>,

    /// Show the plan and change nothing
    #[arg(long, conflicts_with_all = ["yes", "emit_script"])]
    pub dry_run: bool,

    /// Carry the plan out without asking
    #[arg(short, long)]
    pub yes: bool,

    /// Print a shell script that makes the same changes on the host that the tree
    /// was copied from, and can undo them; change nothing here
    #[arg(long, conflicts_with = "yes")]
    pub emit_script: bool,

    /// Also comment out lines that set another value without effect
    #[arg(long)]
    pub edit_conflicts: bool,

    /// Time between two readings of the kernel's counters
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    pub interval: Duration,
}

impl From<Fix> for Options {
    fn from(arguments: Fix) -> Self {
        // No two of these can be given together.
        let action = if arguments.dry_run {
            Action::Show
        } else if arguments.emit_script {
            Action::EmitScript
        } else if arguments.yes {
            Action::Apply
        } else {
            Action::Ask
        };
        Self {
            output: arguments.output,
            root: arguments.root,
            to: arguments.to,
            action,
            edit_conflicts: arguments.edit_conflicts,
            interval: arguments.interval,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;

    #[test]
    fn one_option_at_most_says_what_to_do_with_the_plan() {
        let action = |options: &str| {
            let line = format!("ctdrop fix{options}");
            match Command::read(line.split(' ')) {
                Ok(Command::Fix(options)) => Some(options.action),
                _ => None,
            }
        };
        assert_eq!(action(""), Some(Action::Ask));
        assert_eq!(action(" --yes"), Some(Action::Apply));
        assert_eq!(action(" --dry-run"), Some(Action::Show));
        assert_eq!(action(" --emit-script"), Some(Action::EmitScript));
        for two in [
            "--yes --dry-run",
            "--yes --emit-script",
            "--dry-run --emit-script",
        ] {
            assert_eq!(action(&format!(" {two}")), None, "{two}");
        }
    }
}
