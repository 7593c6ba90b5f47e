//! What a new start of the kernel, or of conntrack, ends.

use crate::{
    kernel::message::Load,
    logs::{
        account::{
            attribution::{Attribution, BootBetween},
            host::Host,
            moment::Moment,
            rate_limit::RateLimit,
            sums::Loaded,
            tally::Count,
        },
        format::event::Event,
    },
};

/// Lines of two processors can be out of order by this much.
const DISORDER: u64 = 1_000_000;

/// Starts of conntrack that are kept, at most.
const LOADS: usize = 10_000;

impl Attribution<'_> {
    /// Notices that the kernel has started anew.
    pub(super) fn follow_boot(
        &mut self,
        host: &mut Host,
        event: &Event,
        boot_between: BootBetween<'_>,
    ) {
        let unseen = host.limit.is_open()
            && host.written.is_some_and(|(_, written, timed)| {
                !(timed && event.is_timed()) && boot_between(written, event.at.0)
            });
        if unseen {
            self.end_limit(host);
        }
        let other = match (host.boot, event.boot) {
            (Some(known), Some(boot)) => known != boot,
            _ => event
                .uptime
                .is_some_and(|uptime| uptime.saturating_add(DISORDER) < host.uptime),
        };
        if other {
            self.boot(host);
        }
        host.boot = event.boot.or(host.boot);
        host.uptime = event.uptime.unwrap_or(host.uptime);
    }

    pub(super) fn boot(&mut self, host: &mut Host) {
        self.give_up(host);
        self.end_limit(host);
        host.full = None;
        host.reported = false;
        host.uptime = 0;
        host.loaded = None;
    }

    pub(super) fn loaded(
        &mut self,
        host: &mut Host,
        event: &Event,
        moment: Moment,
        load: Load,
        boot_between: BootBetween<'_>,
    ) {
        let timed = event.is_timed();
        let reload = host.loaded.is_some_and(|(before, before_timed)| {
            // Otherwise a new start would have been noticed.
            (timed && before_timed) || !boot_between(before, event.at.0)
        });
        host.loaded = Some((event.at.1, timed));
        if host.wanted && self.counts.filter.time(moment) && self.loads.len() < LOADS {
            self.loads.push(Loaded {
                moment,
                host: host.number,
                load,
                reload,
            });
        }
    }

    /// Ends the limits of the hosts for which `ends` holds of the last line.
    pub(super) fn end_limits(&mut self, ends: impl Fn(u64, bool) -> bool) {
        let ended: Vec<_> = self
            .hosts
            .iter()
            .filter(|(_, host)| host.limit.is_open())
            .filter(|(_, host)| {
                host.written
                    .is_some_and(|(_, written, timed)| ends(written, timed))
            })
            .map(|(name, host)| (name.clone(), host.clone()))
            .collect();
        for (name, mut host) in ended {
            self.end_limit(&mut host);
            self.hosts.insert(name, host);
        }
    }

    /// The kernel will report nothing more of what it suppressed.
    pub(super) fn end_limit(&mut self, host: &mut Host) {
        if let Some((moment, _, _)) = host.written.take()
            && host.limit.is_open()
        {
            let count = Count {
                open: true,
                ..Count::default()
            };
            self.counts
                .count(host.number, host.wanted, moment, host.place, count);
        }
        host.limit = RateLimit::default();
    }
}
