//! The arguments of `ctdrop who`.

use std::path::PathBuf;

use crate::{
    cli::{
        addresses::Addresses,
        values::{mark, protocol, zone},
    },
    commands::who::{Options, by::By},
    say::output::Output,
    table::filter::{Family, Filter, Mark},
};

/// Options of `ctdrop who`.
#[derive(Clone, Debug, clap::Args)]
pub struct Who {
    /// Form of the output: text for people, json for programs (one object a line)
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

    /// Only this IP protocol, by name or number
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    pub proto: Option<u8>,

    #[command(flatten)]
    pub(super) addresses: Addresses,

    /// Only entries of this conntrack zone
    #[arg(long, value_name = "N", value_parser = zone())]
    pub zone: Option<u16>,

    /// Only entries with this mark, such as 0x10, or 0x10/0xf0 with a mask
    #[arg(long, value_name = "VALUE[/MASK]", value_parser = mark)]
    pub mark: Option<Mark>,

    /// What the rows of the table are; by default there are several tables. JSON always has
    /// all of them
    #[arg(long, value_enum)]
    pub by: Option<By>,

    /// Number of rows of a table; those with the most entries are shown
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub top: usize,

    /// Show service names instead of port numbers, from /etc/services
    #[arg(long)]
    pub service_names: bool,
}

impl TryFrom<Who> for Options {
    type Error = String;

    fn try_from(arguments: Who) -> Result<Self, String> {
        if let Some(contradiction) = arguments.addresses.contradiction(arguments.family) {
            return Err(contradiction);
        }
        if arguments.from.is_some() && arguments.by == Some(By::Netns) {
            return Err(
                "--by netns does not work with --from: a saved table does not tell network namespaces apart"
                    .to_owned(),
            );
        }
        Ok(Self {
            output: arguments.output,
            from: arguments.from,
            netns: arguments.netns,
            filter: Filter {
                family: arguments.family,
                protocol: arguments.proto,
                src: arguments.addresses.src,
                dst: arguments.addresses.dst,
                zone: arguments.zone,
                mark: arguments.mark,
            },
            by: arguments.by,
            top: arguments.top,
            service_names: arguments.service_names,
        })
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
        assert_refused("ctdrop who --from table.txt --by netns", 2, "--by netns");
        assert_accepted("ctdrop who --from table.txt --by src");
    }
}
