//! Sums by something else than flows.

use serde::Serialize;

use crate::{
    engine::{
        by::By,
        names::Names,
        rows::{Row, Rows, Subject},
    },
    say::{protocol::protocol_name, reason::reason_text},
    subscribers::json::flows::Sender,
};

/// Sums by something else than flows.
#[derive(Debug, Serialize)]
pub(super) struct Groups<'a> {
    /// By what.
    by: By,
    /// The sums.
    rows: Vec<Group<'a>>,
    /// Sums left out.
    omitted: usize,
}

impl<'a> Groups<'a> {
    pub(super) fn new(by: By, rows: &Rows, names: &'a Names) -> Self {
        Self {
            by,
            rows: rows.top.iter().map(|row| Group::new(row, names)).collect(),
            omitted: rows.more,
        }
    }
}

/// A sum.
#[derive(Debug, Serialize)]
pub(super) struct Group<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    netns: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    netns_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<Sender<'a>>,
    packets: u64,
}

impl<'a> Group<'a> {
    /// Writes out a row that is a sum.
    pub(super) fn new(row: &Row, names: &'a Names) -> Self {
        let mut group = Self {
            netns: None,
            netns_name: None,
            address: None,
            protocol: None,
            port: None,
            reason: None,
            sender: None,
            packets: row.count.packets,
        };
        match row.subject {
            Subject::Flow(key) => group.netns = Some(key.netns),
            Subject::Address { netns, address } => {
                group.netns = Some(netns);
                group.address = Some(address.to_string());
            }
            Subject::Service {
                netns,
                address,
                protocol,
                port,
            } => {
                group.netns = Some(netns);
                group.address = Some(address.to_string());
                group.protocol = Some(protocol_name(protocol));
                group.port = Some(port);
            }
            Subject::Netns(netns) => group.netns = Some(netns),
            Subject::Reason(reason) => group.reason = Some(reason_text(reason)),
            Subject::Sender(pid) => group.sender = Sender::new(pid, names),
        }
        group.netns_name = group.netns.map(|inode| names.netns(inode));
        group
    }
}
