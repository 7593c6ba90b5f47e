//! What the engine tells: plain data, which lives as long as anybody keeps it.

use conntrack_ebpf::ServiceKey;

use crate::{
    engine::{
        captured::Captured, header::Header, limit::LimitChange, refusals::Refusals, report::Report,
        view::listing::Listing, watched_netns::NetnsChange,
    },
    observe::{capture::Omitted, observer::event::Event},
    say::clock,
};

/// What has happened since the update before.
#[derive(Clone, Debug)]
pub enum Update {
    /// Conntrack is not loaded, so nothing is refused: the engine waits for it.
    Waiting {
        /// RFC 3339.
        time: String,
    },
    /// From now on refused packets are counted.
    Started(Box<Header>),
    /// They are seen better or worse from now on.
    Observer {
        /// RFC 3339.
        time: String,
        /// What has changed.
        event: Event,
    },
    /// Something has become of the only namespace that is observed.
    Netns(NetnsChange),
    /// Somebody has changed the limit.
    Limit(LimitChange),
    /// How many packets a higher limit would have let in, since the start: at once
    /// after the first sign of pressure, and with each drain. Only where
    /// [`Options::refusals`](super::options::Options::refusals) asks for it.
    Refused(Refusals),
    /// An interval is over.
    Interval(Box<Report>),
    /// The rows that somebody looks at: with each interval, and when something else is
    /// looked at. Only where [`Options::view`](super::options::Options::view) asks for
    /// them.
    Listing(Box<Listing>),
    /// Copies of refused packets, after each drain that found some. Only where
    /// [`Options::capture`](super::options::Options::capture) asks for them.
    Captured(Captured),
    /// The last: the totals.
    Finished(Box<Summary>),
}

/// The totals.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The numbers.
    pub report: Report,
    /// Name of the host.
    pub host: String,
    /// Release of the kernel.
    pub release: String,
    /// Where packets went whose flow has no count of its own, and how many.
    pub services: Vec<(ServiceKey, u64)>,
    /// How many packets were seen and not copied; none without a capture.
    pub omitted: Option<Omitted>,
    /// What may be wrong with the numbers, each as a sentence.
    pub warnings: Vec<String>,
}

impl Update {
    pub(super) fn waiting() -> Self {
        Self::Waiting { time: clock::now() }
    }

    pub(super) fn observer(event: Event) -> Self {
        Self::Observer {
            time: clock::now(),
            event,
        }
    }

    /// This update and a later one in one, for a reader that has taken neither yet.
    /// Intervals and captured packets are added up. Refusals and rows are counted since the
    /// start, so the later ones replace the earlier ones. None for any others.
    pub fn merged(&self, later: &Self) -> Option<Self> {
        match (self, later) {
            (Self::Interval(earlier), Self::Interval(later)) => {
                Some(Self::Interval(Box::new(earlier.merged(later))))
            }
            (Self::Refused(_), Self::Refused(later)) => Some(Self::Refused(later.clone())),
            (Self::Listing(_), Self::Listing(later)) => Some(Self::Listing(later.clone())),
            (Self::Captured(earlier), Self::Captured(later)) => {
                Some(Self::Captured(earlier.merged(later)))
            }
            _ => None,
        }
    }

    /// Whether a reader that is late must get it nevertheless: it comes once.
    pub const fn is_kept(&self) -> bool {
        matches!(
            self,
            Self::Waiting { .. } | Self::Started(_) | Self::Finished(_)
        )
    }
}
