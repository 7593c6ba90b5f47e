//! The options of every command: how what is printed looks.

use clap::ColorChoice;

use crate::say::{
    clock::{self, Shown},
    journal,
};

/// How what is printed looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Look {
    /// When text has colours; auto means on a terminal, unless `NO_COLOR` is set or TERM is
    /// dumb
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto"
    )]
    pub color: ColorChoice,

    /// Show times in UTC; by default, text shows them in the time zone of this host
    #[arg(long, global = true)]
    pub utc: bool,
}

impl Look {
    /// Applies these options to all that this process prints.
    pub fn apply(self) {
        let colours = match self.color {
            // Depends on whether the stream is a terminal, and on NO_COLOR, CLICOLOR,
            // CLICOLOR_FORCE and TERM.
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        };
        colours.write_global();
        clock::show(if journal::is_journal(std::io::stdout()) {
            Shown::Exact
        } else if self.utc {
            Shown::Utc
        } else {
            Shown::Local
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{
        CommandLine,
        read::tests::{assert_accepted, assert_refused},
    };

    #[test]
    fn each_command_takes_the_options_before_and_after_its_name() {
        for line in [
            "ctdrop --color never --utc logs x",
            "ctdrop logs x --utc --color never",
            "ctdrop --utc logs --color=never x",
        ] {
            let read = CommandLine::read(line.split(' ')).unwrap();
            assert_eq!(read.look.color, ColorChoice::Never, "{line}");
            assert!(read.look.utc, "{line}");
        }
        let read = CommandLine::read(["ctdrop", "probe"]).unwrap();
        assert_eq!((read.look.color, read.look.utc), (ColorChoice::Auto, false));
        for command in [
            "watch",
            "status",
            "who",
            "fix",
            "undo",
            "incidents",
            "report",
        ] {
            assert_accepted(&format!("ctdrop {command} --color always --utc"));
        }
        assert_refused("ctdrop probe --color purple", 2, "auto, always, never");
        assert_refused("ctdrop --color never status --color purple", 3, "purple");
    }
}
