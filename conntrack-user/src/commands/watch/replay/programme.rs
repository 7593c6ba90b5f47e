//! What is played back, in order of time.

use serde_json::Value;

use crate::{
    commands::watch::replay::translate::Translator,
    engine::{
        update::Update,
        watched_netns::{Change, NetnsChange},
    },
    store::{
        Reader,
        failure::Failure,
        record::{Event, Fix, Gap, LimitChange, Namespace, PastRun},
        timeline::Mark,
    },
    subscribers::recording::What,
};

/// Something that is played back: boxed but for intervals, of which there are most.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Gap(Box<Gap>),
    Event(Box<Event>),
    Limit(Box<LimitChange>),
    Fix(Box<Fix>),
    /// An interval is read when its time comes.
    Interval(Mark),
}

/// What is played back.
#[derive(Debug)]
pub(super) struct Programme {
    pub(super) namespaces: Vec<Namespace>,
    pub(super) runs: Vec<PastRun>,
    /// In order of time.
    pub(super) items: Vec<Item>,
}

impl Programme {
    /// Reads what was recorded in a time, but for what is in the intervals.
    pub(super) fn read(reader: &Reader, (from, to): (i64, i64)) -> Result<Self, Failure> {
        let happened = reader.happenings(from..=to)?;
        let timeline = reader.timeline(from..=to)?;
        // Of what happened at the same time, the interval is the last.
        let mut items: Vec<Item> = boxed(happened.gaps, Item::Gap).collect();
        items.extend(boxed(happened.events, Item::Event));
        items.extend(boxed(happened.limits, Item::Limit));
        items.extend(boxed(happened.fixes, Item::Fix));
        items.extend(timeline.into_iter().map(Item::Interval));
        items.sort_by_key(Item::order);
        Ok(Self {
            namespaces: happened.namespaces,
            runs: reader.runs(i64::MIN..=i64::MAX)?,
            items,
        })
    }

    fn intervals(&self) -> impl Iterator<Item = &Mark> {
        self.items.iter().filter_map(|item| match item {
            Item::Interval(mark) => Some(mark),
            _ => None,
        })
    }

    /// The place of the run of the first interval; none if there is no interval.
    pub(super) fn first_run(&self) -> Option<usize> {
        self.place_of(self.intervals().next()?.run)
    }

    /// The place of a run, by its number.
    pub(super) fn place_of(&self, run: i64) -> Option<usize> {
        self.runs.iter().position(|one| one.run == run)
    }

    /// How many intervals there are, and when the first and the last one ended.
    pub(super) fn extent(&self) -> (usize, String, String) {
        let time = |mark: Option<&Mark>| mark.map_or_else(String::new, |mark| mark.at.time());
        let (first, last) = (self.intervals().next(), self.intervals().last());
        (self.intervals().count(), time(first), time(last))
    }

    /// The length of the longest interval, in milliseconds.
    pub(super) fn longest(&self) -> u64 {
        let lengths = self.intervals().map(|mark| mark.length);
        lengths.max().unwrap_or(0)
    }
}

fn boxed<T>(rows: Vec<T>, item: fn(Box<T>) -> Item) -> impl Iterator<Item = Item> {
    rows.into_iter().map(move |row| item(Box::new(row)))
}

impl Item {
    fn order(&self) -> (i64, i64) {
        match self {
            Self::Gap(gap) => gap.at.order(),
            Self::Event(event) => event.at.order(),
            Self::Limit(change) => change.at.order(),
            Self::Fix(fix) => fix.at.order(),
            Self::Interval(mark) => mark.at.order(),
        }
    }
}

/// An event as it was told; none of those that follow from what is played back.
pub(super) fn update(event: &Event, translator: &Translator) -> Option<Update> {
    let time = event.at.time();
    let detail = event.detail.as_deref().unwrap_or_default();
    let (name, change) = match event.event.as_str() {
        "netns_gone" => (detail, Change::Gone),
        "netns_renamed" => {
            let (name, now) = detail.split_once(" → ")?;
            let now = now.to_owned();
            (name, Change::Renamed { now })
        }
        other => {
            let event = serde_json::from_value(Value::from(other)).ok()?;
            return Some(Update::Observer { time, event });
        }
    };
    Some(Update::Netns(NetnsChange {
        time,
        netns: translator.called(name),
        name: name.to_owned(),
        change,
    }))
}

/// What `--fix` did, as it was told.
pub(super) fn fixed(fix: &Fix) -> Option<What> {
    let mut body: Value = serde_json::from_str(&fix.body).ok()?;
    let text = body.as_object_mut()?.remove("text");
    let lines = text
        .as_ref()
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let lines: Vec<String> = lines
        .filter_map(|line| line.as_str().map(ToOwned::to_owned))
        .collect();
    let lines = if lines.is_empty() {
        vec![format!("{}  fix: {}", fix.at.time(), fix.action)]
    } else {
        lines
    };
    Some(What::Fixed { body, lines })
}
