//! What has happened, newest last.

use std::collections::VecDeque;

use anstream::adapter::strip_str;

use crate::say::clock;

/// Events that are kept.
const KEPT: usize = 1000;

/// What has happened.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    list: VecDeque<Event>,
}

/// Something that has happened.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// When, RFC 3339; empty if nobody knows.
    pub(super) time: String,
    /// What, without the time.
    pub(super) lines: Vec<String>,
}

impl Events {
    /// Adds something; its first line may begin with the time.
    pub(super) fn add(&mut self, time: &str, lines: &[String]) {
        let mut lines: Vec<String> = lines.iter().map(|it| strip_str(it).to_string()).collect();
        let mut known = String::new();
        if let Some(first) = lines.first_mut()
            && let Some(rest) = first.strip_prefix(&clock::shown(time))
            && !time.is_empty()
        {
            time.clone_into(&mut known);
            *first = rest.trim_start().to_owned();
        }
        if self.list.len() == KEPT {
            self.list.pop_front();
        }
        self.list.push_back(Event { time: known, lines });
    }

    /// The oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Event> {
        self.list.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_stands_by_itself_and_colours_go() {
        let mut events = Events::default();
        let line = "2026-11-30T10:00:00Z  \u{1b}[31mgone\u{1b}[0m".to_owned();
        events.add("2026-11-30T10:00:00Z", &[line]);
        events.add("2026-11-30T10:00:00Z", &["records  x.db".to_owned()]);
        let all: Vec<_> = events.iter().collect();
        assert_eq!(
            (all[0].time.as_str(), all[0].lines[0].as_str()),
            ("2026-11-30T10:00:00Z", "gone")
        );
        assert_eq!(
            (all[1].time.as_str(), all[1].lines[0].as_str()),
            ("", "records  x.db")
        );
        for number in 0..2 * KEPT {
            events.add("", &[number.to_string()]);
        }
        assert_eq!(events.iter().count(), KEPT);
    }
}
