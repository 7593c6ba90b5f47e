//! The arguments of `ctdrop man`, and the pages themselves.

use std::path::PathBuf;

use crate::commands::man::{Options, Page};

/// Options of `ctdrop man`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Man {
    /// Write the pages to this directory, such as /usr/local/share/man/man1
    #[arg(value_name = "DIR")]
    pub(super) directory: PathBuf,
}

impl Man {
    /// The page of the program and one of each command.
    pub(super) fn pages(self, whole: clap::Command) -> Options {
        let mut whole = whole.disable_help_subcommand(true);
        whole.build();
        let commands = whole.get_subcommands().map(page);
        Options {
            directory: self.directory,
            pages: [page(&whole)].into_iter().chain(commands).collect(),
        }
    }
}

/// The page of the program or of one command.
fn page(command: &clap::Command) -> Page {
    let page = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    // A vector takes whatever is written to it.
    let _ = page.render(&mut text);
    Page {
        name: page.get_filename(),
        text,
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::Command;

    #[test]
    fn each_command_has_a_page_with_its_options() {
        let Command::Man(options) = Command::read(["ctdrop", "man", "/x"]).unwrap() else {
            panic!("another command")
        };
        let text = |name: &str| {
            let page = options.pages.iter().find(|page| page.name == name);
            String::from_utf8(page.unwrap().text.clone()).unwrap()
        };
        assert!(text("ctdrop.1").contains("ctdrop\\-incidents(1)"));
        assert!(text("ctdrop.1").contains("Without a command"));
        assert!(text("ctdrop-watch.1").contains("\\-\\-interval"));
        for page in ["ctdrop.1", "ctdrop-who.1", "ctdrop-logs.1"] {
            assert!(text(page).contains("\\-\\-utc"), "{page}");
        }
        assert!(text("ctdrop-daemon.1").starts_with(".ie \\n(.g"));
    }
}
