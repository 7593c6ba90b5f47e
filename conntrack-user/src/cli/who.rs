//! The arguments of `ctdrop who`.

use std::{net::IpAddr, path::PathBuf};

use crate::{
    cli::values::{address, mark, protocol, zone},
    commands::who::Options,
    say::output::Output,
    table::filter::{Family, Filter, Mark},
};

/// Options of `ctdrop who`.
#[derive(Clone, Debug, clap::Args)]
pub struct Who {
    /// Output: text for people, json for programs (one object a line)
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Read this saved table instead of the tables of this host, - for standard
    /// input: output of conntrack -L (plain, -o extended or -o xml), or a copy of
    /// the file in /proc/net that lists the table; plain, or compressed as gz, bz2, xz
    /// or zst
    #[arg(long, value_name = "FILE", conflicts_with = "netns")]
    pub from: Option<PathBuf>,

    /// Only this network namespace: its name, inode number, pid:PID or path
    #[arg(long, value_name = "NETNS")]
    pub netns: Option<String>,

    /// Only entries of this address family
    #[arg(long, value_enum)]
    pub family: Option<Family>,

    /// Only entries of this IP protocol, by name or number
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    pub proto: Option<u8>,

    /// Only entries with this source address, in the original direction
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub src: Option<IpAddr>,

    /// Only entries with this destination address, in the original direction
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub dst: Option<IpAddr>,

    /// Only entries of this conntrack zone
    #[arg(long, value_name = "N", value_parser = zone())]
    pub zone: Option<u16>,

    /// Only entries with this mark, such as 0x10, or 0x10/0xf0 with a mask
    #[arg(long, value_name = "VALUE[/MASK]", value_parser = mark)]
    pub mark: Option<Mark>,

    /// Number of rows in each table, those with the most entries first
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub top: usize,

    /// Show service names instead of port numbers, from /etc/services
    #[arg(long)]
    pub service_names: bool,
}

impl TryFrom<Who> for Options {
    type Error = String;

    fn try_from(arguments: Who) -> Result<Self, String> {
        if let Some(contradiction) = arguments.contradiction() {
            return Err(contradiction);
        }
        Ok(Self {
            output: arguments.output,
            from: arguments.from,
            netns: arguments.netns,
            filter: Filter {
                family: arguments.family,
                protocol: arguments.proto,
                src: arguments.src,
                dst: arguments.dst,
                zone: arguments.zone,
                mark: arguments.mark,
            },
            top: arguments.top,
            service_names: arguments.service_names,
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
            "{first} and {other} are of different address families: no entry can match both"
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
    use crate::cli::read::tests::{assert_accepted, assert_refused};

    #[test]
    fn a_saved_table_has_no_namespaces_to_choose_from() {
        assert_accepted("ctdrop who --from table.txt --proto tcp --top 3 -o json");
        assert_accepted("ctdrop who --from -");
        assert_refused("ctdrop who --from table.txt --netns gateway", 2, "--netns");
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
