//! Options that are each well-formed, and make no sense together.

use std::{ffi::OsString, net::IpAddr};

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use crate::{
    auto::guard,
    cli::{Cli, Command, Status, Watch, Who},
    table::filter::Family,
};

impl Cli {
    /// Reads a command line.
    ///
    /// # Errors
    ///
    /// What clap refuses, or options that contradict each other; also what asks
    /// for help or the version.
    pub fn read(
        arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let cli = Self::try_parse_from(arguments)?;
        match cli.command.contradiction() {
            Some((command, what)) => Err(refusal(command, &what)),
            None => Ok(cli),
        }
    }
}

/// As clap itself refuses a command line, with the usage of that command.
fn refusal(command: &str, what: &str) -> clap::Error {
    let mut whole = Cli::command();
    whole.build();
    match whole.find_subcommand_mut(command) {
        Some(command) => command.error(ErrorKind::ArgumentConflict, what),
        None => whole.error(ErrorKind::ArgumentConflict, what),
    }
}

impl Command {
    /// The name of the command, and what contradicts what.
    fn contradiction(&self) -> Option<(&'static str, String)> {
        let named = |command| move |what| (command, what);
        match self {
            Self::Watch(options) => options.contradiction().map(named("watch")),
            Self::Who(options) => options.contradiction().map(named("who")),
            Self::Status(options) => options.contradiction().map(named("status")),
            Self::Probe(_) | Self::Logs(_) | Self::Fix(_) | Self::Undo(_) => None,
        }
    }
}

impl Watch {
    fn contradiction(&self) -> Option<String> {
        (self.ceiling.is_some() && self.fix == guard::Mode::Off).then(|| {
            "--ceiling bounds what --fix sets, and without --fix plan or --fix auto nothing is set"
                .to_owned()
        })
    }
}

impl Status {
    fn contradiction(&self) -> Option<String> {
        (self.warning > self.critical).then(|| {
            format!(
                "--warning {} is above --critical {}, so that there would be no warning before it \
                 is critical",
                self.warning, self.critical
            )
        })
    }
}

impl Who {
    fn contradiction(&self) -> Option<String> {
        let asked = self.family.map(|family| (family_option(family), family));
        let family = |option, address: Option<IpAddr>| {
            let address = address?;
            Some((format!("{option} {address}"), family_of(address)))
        };
        let given: Vec<(String, Family)> =
            [asked, family("--src", self.src), family("--dst", self.dst)]
                .into_iter()
                .flatten()
                .collect();
        let (first, family) = given.first()?;
        let (other, _) = given.iter().find(|(_, other)| other != family)?;
        Some(format!(
            "{first} and {other} are of different address families: no entry has both"
        ))
    }
}

fn family_option(family: Family) -> String {
    let name = match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    };
    format!("--family {name}")
}

const fn family_of(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::Ipv4,
        IpAddr::V6(_) => Family::Ipv6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::refused_code;

    /// The exit code of a refusal and its text; none if it is not refused.
    fn refused(line: &str) -> Option<(u8, String)> {
        let arguments: Vec<&str> = line.split(' ').collect();
        let error = Cli::read(&arguments).err()?;
        let code = refused_code(&error, arguments.iter().map(OsString::from));
        Some((code, error.to_string()))
    }

    #[track_caller]
    fn assert_refused(line: &str, code: u8, says: &str) {
        let (found, text) = refused(line).unwrap();
        assert_eq!(found, code, "{line}: {text}");
        assert!(text.contains(says), "{line}: {text}");
    }

    #[track_caller]
    fn assert_accepted(line: &str) {
        assert_eq!(refused(line), None, "{line}");
    }

    #[test]
    fn a_ceiling_needs_a_fix() {
        assert_refused("ctdrop watch --ceiling 9", 2, "without --fix");
        assert_refused(
            "ctdrop watch --fix off --ceiling 9",
            2,
            "Usage: ctdrop watch",
        );
        assert_accepted("ctdrop watch --fix plan --ceiling 9");
        assert_accepted("ctdrop watch --fix auto --ceiling 9");
        assert_accepted("ctdrop watch");
    }

    #[test]
    fn a_warning_comes_before_what_is_critical() {
        assert_refused(
            "ctdrop status --warning 95 --critical 90",
            3,
            "--warning 95 is above --critical 90",
        );
        assert_refused("ctdrop status --warning 95", 3, "--critical 90");
        assert_refused("ctdrop status --critical 50", 3, "--warning 75");
        assert_accepted("ctdrop status --warning 90");
        assert_accepted("ctdrop status --warning 20 --critical 30");
    }

    #[test]
    fn no_entry_is_of_two_families() {
        assert_refused(
            "ctdrop who --src 10.0.0.1 --family ipv6",
            2,
            "--family ipv6 and --src 10.0.0.1",
        );
        assert_refused("ctdrop who --dst ::1 --family ipv4", 2, "--dst ::1");
        assert_refused(
            "ctdrop who --src 10.0.0.1 --dst ::1",
            2,
            "--src 10.0.0.1 and --dst ::1",
        );
        assert_accepted("ctdrop who --src 10.0.0.1 --dst 10.0.0.2 --family ipv4");
        assert_accepted("ctdrop who --src ::1 --family ipv6");
        assert_accepted("ctdrop who --family ipv6");
    }
}
