//! What the host of a disk guest asks, and what the agent in there answers: one
//! JSON object a line, over a virtio port.

use serde::{Deserialize, Serialize};

use crate::net::Entry;

/// The name of the virtio port that the agent answers on.
pub const PORT: &str = "ctdrop.agent";

/// One thing for the agent to do.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Run a program to its end.
    Run {
        /// The program, found in PATH, and its arguments.
        command: Vec<String>,
        /// What it reads from stdin.
        input: String,
    },
    /// Make a file, or replace its content; the directories above it, too.
    Write {
        /// Its absolute path.
        path: String,
        /// What it holds then.
        content: Vec<u8>,
    },
    /// Tell what a file holds.
    Read {
        /// Its absolute path.
        path: String,
    },
    /// Make a firewall in a network namespace of its own, with conntrack, and fill
    /// its table to the limit in force.
    FillTable,
    /// Make a network namespace with these entries in its table.
    Track {
        /// Its name.
        netns: String,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// Send it one packet of each of some flows that it has never seen.
    Flood {
        /// How many.
        flows: u32,
    },
    /// Take it away, and all that it tracks.
    ForgetTable,
}

/// What the agent says.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The machine has booted: the first line after each start.
    Ready {
        /// What `systemctl is-system-running` said, such as `running` or `degraded`.
        state: String,
    },
    /// A program has ended.
    Ended(Ended),
    /// A file was written.
    Written,
    /// A file's content.
    Content(Vec<u8>),
    /// The firewall's table, after all packets that were sent.
    Table(Table),
    /// The entries are in the table.
    Tracked,
    /// The firewall is gone.
    Forgotten,
    /// It could not be done, and why.
    Failed(String),
}

/// A conntrack table, as the kernel counts it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Entries in it.
    pub entries: u64,
    /// The limit in force.
    pub max: u64,
    /// Packets that were refused as there was no room: the counter `drop`.
    pub refused: u64,
}

/// How a program ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout; what is not UTF-8 is replaced.
    pub stdout: String,
    /// What it wrote to stderr; what is not UTF-8 is replaced.
    pub stderr: String,
}
