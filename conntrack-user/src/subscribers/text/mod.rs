//! What the engine observes as text for people.

pub(super) mod header;
pub(super) mod limit;
pub(super) mod report;
pub(super) mod table;

use anstyle::{AnsiColor, Style};

use crate::{
    engine::watched_netns::{Change, NetnsChange},
    observe::observer::event::Event,
    say::{clock, text::plain},
};

const BOLD: Style = Style::new().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();

/// Something that changes how well refusals are seen.
pub(super) fn event(time: &str, event: Event) -> String {
    let what = match event {
        Event::Armed => "armed: there is pressure; from now on refused packets are counted by flow",
        Event::AtRest => {
            "at rest: the pressure is over; refused packets are counted, but not by flow"
        }
        Event::Unloaded => "module nf_conntrack was unloaded; waiting until it is loaded again",
        Event::Released => {
            "detached from module nf_conntrack: nothing else uses it, so it can be unloaded"
        }
        Event::Attached => "attached again: module nf_conntrack is in use",
    };
    format!("{}  {what}", clock::shown(time))
}

/// Something has become of the only network namespace that is observed.
pub(super) fn netns(change: &NetnsChange) -> String {
    let name = plain(&change.name);
    let what = match &change.change {
        Change::Gone => format!("{BAD}network namespace {name} is gone{BAD:#}"),
        Change::Renamed { now } => {
            format!("network namespace {name} has a new name: {}", plain(now))
        }
    };
    format!("{}  {what}", clock::shown(&change.time))
}

/// A warning, before the numbers or after them.
fn note(warning: &str) -> String {
    format!("note     {}", clock::retold(&plain(warning)))
}

/// Says on standard error that there is nothing to observe yet.
pub(super) fn say_waiting() {
    anstream::eprintln!(
        "ctdrop: conntrack is not loaded, so it refuses no packet. ctdrop waits until it is loaded \
         (by modprobe nf_conntrack, or by a firewall or NAT rule)"
    );
}
