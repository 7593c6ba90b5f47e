//! What is to be observed, and what of it is to be reported.

use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::watch;

use crate::{
    engine::{by::By, view::View},
    observe::{arming::Arm, backend::Backend},
    say::reason::ReasonName,
};

/// What is to be observed, and what of it is to be reported.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Options {
    /// The backend; the best that works here, if none is named.
    pub backend: Option<Backend>,
    /// When to attach the programs that run for each new flow.
    pub arm: Arm,
    /// Whether to let go of the conntrack module when nobody else needs it.
    pub release_module: bool,
    /// Whether options that have no effect here are named: somebody has chosen them.
    pub names_ineffective: bool,
    /// Time between two reports.
    pub interval: Duration,
    /// How long to observe; until told to end, if there is no duration.
    pub duration: Option<Duration>,
    /// The only network namespace to observe: its name, inode number, `pid:PID` or
    /// path.
    pub netns: Option<String>,
    /// The only IP protocol to report; totals by reason know none.
    pub protocol: Option<u8>,
    /// The only sources to report; totals by reason cover all sources.
    pub src: Option<IpNet>,
    /// The only destinations to report; totals by reason cover all destinations.
    pub dst: Option<IpNet>,
    /// The only reasons to report; all if there are none.
    pub reasons: Vec<ReasonName>,
    /// What the rows of a report are.
    pub by: By,
    /// How many rows a report has, those with the most packets.
    pub top: usize,
    /// Whether the final totals have every flow, also those that ended well.
    pub all_flows: bool,
    /// Whether there is an [`Update::Interval`](super::update::Update::Interval)
    /// after each interval.
    pub intervals: bool,
    /// Whether refused packets are told of at once, as
    /// [`Update::Refused`](super::update::Update::Refused).
    pub refusals: bool,
    /// Whether the first bytes of refused packets, of all addresses, are copied and told as
    /// [`Update::Captured`](super::update::Update::Captured).
    pub capture: bool,
    /// What somebody looks at, as it changes: those rows are told as
    /// [`Update::Listing`](super::update::Update::Listing).
    pub view: Option<watch::Receiver<View>>,
}

impl Default for Options {
    /// Everything, each second, until told to end.
    fn default() -> Self {
        Self {
            backend: None,
            arm: Arm::Always,
            release_module: false,
            names_ineffective: true,
            interval: Duration::from_secs(1),
            duration: None,
            netns: None,
            protocol: None,
            src: None,
            dst: None,
            reasons: Vec::new(),
            by: By::Flow,
            top: 10,
            all_flows: false,
            intervals: true,
            refusals: false,
            capture: false,
            view: None,
        }
    }
}
