//! The arguments of `ctdrop completions`, and the script itself.

use clap_complete::Shell;

use crate::commands::completions::Options;

/// Options of `ctdrop completions`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell to complete in
    #[arg(value_name = "SHELL")]
    pub(super) shell: Shell,
}

impl Completions {
    /// The script that completes this command line.
    pub(super) fn script(&self, mut whole: clap::Command) -> Options {
        let name = whole.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut whole, name, &mut script);
        Options {
            script: String::from_utf8_lossy(&script).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::{
        Command,
        read::tests::{assert_accepted, assert_refused},
    };

    #[test]
    fn each_shell_gets_a_script_that_knows_the_commands() {
        for (shell, says) in [
            ("bash", "complete -F _ctdrop"),
            ("zsh", "#compdef ctdrop"),
            ("fish", "complete -c ctdrop"),
        ] {
            let line = ["ctdrop", "completions", shell];
            let Command::Completions(options) = Command::read(line).unwrap() else {
                panic!("another command")
            };
            assert!(options.script.contains(says), "{shell}");
            assert!(options.script.contains("incidents"), "{shell}");
            for option in ["state-dir", "color", "utc", "netns"] {
                assert!(options.script.contains(option), "{shell}: {option}");
            }
        }
        assert_accepted("ctdrop completions elvish");
        assert_refused("ctdrop completions csh", 2, "bash");
    }
}
