//! The arguments of `ctdrop who`.

use std::net::IpAddr;

use crate::{
    cli::{
        Output,
        values::{address, mark, protocol},
    },
    table::filter::{Family, Mark},
};

/// Options of `ctdrop who`.
#[derive(Clone, Debug, clap::Args)]
pub struct Who {
    /// Output: text for people, json for programs (one object a line)
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Only this network namespace: its name, inode number, pid:PID or path
    #[arg(long, value_name = "NETNS")]
    pub netns: Option<String>,

    /// Only entries of this address family
    #[arg(long, value_enum)]
    pub family: Option<Family>,

    /// Only entries of this IP protocol, by name or number
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    pub proto: Option<u8>,

    /// Only entries with this source of the original direction
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub src: Option<IpAddr>,

    /// Only entries with this destination of the original direction
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub dst: Option<IpAddr>,

    /// Only entries of this zone
    #[arg(long, value_name = "N")]
    pub zone: Option<u16>,

    /// Only entries with this mark, such as 0x10 or 0x10/0xf0
    #[arg(long, value_name = "VALUE[/MASK]", value_parser = mark)]
    pub mark: Option<Mark>,

    /// Rows of each table, the ones with the most entries
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub top: usize,

    /// Name service ports, from /etc/services
    #[arg(long)]
    pub service_names: bool,
}
