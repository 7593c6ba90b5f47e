//! A host that refuses packets, and a screen that shows it.

use std::{collections::BTreeMap, future, net::Ipv4Addr, time::Duration};

use conntrack_ebpf::{FlowCount, FlowKey, Reason};
use jiff::tz::{self, TimeZone};
use ratatui::{Terminal, backend::TestBackend, buffer::Cell};

use crate::{
    engine::{
        fake::Fake,
        header::Header,
        limit::{Fullest, LimitChange},
        names::Names,
        options::Options,
        report::Report,
        rows::{Row, Subject},
        update::Update,
        view::{View, listing::Listing},
    },
    kernel::{
        defaults::Table,
        process::{Noted, Process},
    },
    observe::backend::Backend,
    say::{clock::Clock, port::Services},
    subscribers::{
        input::{Input, Key},
        screen::{
            draw,
            state::{Effect, State},
        },
    },
};

/// A namespace whose table is full.
pub(super) const BLUE: u32 = 7;

/// A process that has sent packets.
pub(super) const CURL: u32 = u32::MAX;

/// What happens on a host.
pub(super) struct Stage {
    header: Header,
    report: Report,
    seconds: u64,
    /// What the full namespace is called.
    name: String,
    pub(super) state: State,
}

impl Stage {
    /// Nothing has happened yet.
    pub(super) async fn new() -> Self {
        let options = Options {
            duration: Some(Duration::from_millis(1500)),
            ..Options::default()
        };
        let mut engine = Fake::default().engine(options, future::pending());
        let (mut header, mut report) = (None, None);
        while let Some(update) = engine.next().await.unwrap() {
            match update {
                Update::Started(it) => header = Some(*it),
                Update::Interval(it) => report = Some(*it),
                _ => {}
            }
        }
        let (mut header, report) = (header.unwrap(), report.unwrap());
        header.host = "gw1".to_owned();
        header.release = "6.12.48".to_owned();
        header.time = "2026-11-30T10:00:00.000Z".to_owned();
        header.limits.entries = Some(40);
        let zone = TimeZone::fixed(tz::offset(1));
        let mut state = State::new(Services::default(), zone, View::default(), true);
        state.update(&Update::Started(Box::new(header.clone())));
        Self {
            header,
            report,
            seconds: 0,
            name: "blue".to_owned(),
            state,
        }
    }

    /// The same on a backend that does not see all.
    pub(super) fn restart(&mut self, backend: Backend) {
        self.header.backend = backend;
        self.state
            .update(&Update::Started(Box::new(self.header.clone())));
    }

    /// An interval of a second, in which so many packets were refused.
    pub(super) fn second(&mut self, refused: &[(Reason, u64)], entries: u64) {
        self.seconds += 1;
        let mut report = self.report.clone();
        report.time = format!("2026-11-30T10:00:{:02}.000Z", self.seconds % 60);
        report.monotonic = self.seconds * 1_000_000_000;
        report.length = Duration::from_secs(1);
        report.entries = [(BLUE, entries), (8, 120)].into();
        report.fullest = vec![Fullest {
            netns: BLUE,
            name: self.name.clone(),
            entries,
        }];
        let figures = &mut report.figures;
        let name = |reason| crate::say::reason::reason_name(reason);
        for packets in figures.drops.values_mut() {
            *packets = 0;
        }
        figures.counts = BTreeMap::new();
        for &(reason, packets) in refused {
            figures.counts.insert((BLUE, reason), packets);
            if reason.is_drop() {
                figures.drops.insert(name(reason), packets);
            } else {
                figures.evicted = packets;
            }
        }
        figures.by_netns = [(BLUE, figures.total())].into();
        figures.flows = figures.total().min(3);
        report.limit = report.limit.map(|mut limit| {
            limit.table = Table {
                max: 1000,
                buckets: 1024,
            };
            limit
        });
        for state in &mut report.namespaces {
            self.name.clone_into(&mut state.name);
        }
        let lost = report.figures.total();
        self.state.update(&Update::Interval(Box::new(report)));
        if lost > 0 {
            self.list();
        }
    }

    /// The rows that are looked at.
    pub(super) fn list(&mut self) {
        let flows: Vec<Row> = (1..=30).map(|host| self.flow(host)).collect();
        self.list_of(&flows);
    }

    /// Those of these flows.
    pub(super) fn list_of(&mut self, flows: &[Row]) {
        let names = Names::new(
            [(BLUE, self.name.clone())].into(),
            [(
                CURL,
                Process::of(
                    CURL,
                    Noted {
                        comm: "curl",
                        cgroup: 0,
                    },
                ),
            )]
            .into(),
        );
        let clock = Clock::at(
            std::time::SystemTime::UNIX_EPOCH + Duration::from_hours(498_898),
            0,
        );
        let second = Duration::from_secs(1);
        let listing =
            Listing::of_flows(flows.iter(), &names, self.state.view.clone(), second, clock);
        self.state.update(&Update::Listing(Box::new(listing)));
    }

    fn flow(&self, host: u8) -> Row {
        let address = |address: Ipv4Addr| {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            bytes
        };
        let number = u64::from(host);
        let recent = 40_u64.saturating_sub(number);
        Row {
            subject: Subject::Flow(FlowKey {
                src: address(Ipv4Addr::new(192, 0, 2, host)),
                dst: address(Ipv4Addr::new(198, 51, 100, 1)),
                netns: BLUE,
                sport: 40_000 + u16::from(host),
                dport: if host.is_multiple_of(2) { 53 } else { 443 },
                zone: 0,
                family: 2,
                protocol: if host.is_multiple_of(2) { 17 } else { 6 },
                reason: Reason::TableFull as u32,
                sender: if host == 4 { CURL } else { 0 },
            }),
            count: FlowCount {
                packets: recent,
                first: number * 1_000_000_000,
                last: self.seconds.max(1) * 1_000_000_000,
            },
            total: recent * self.seconds.max(1),
        }
    }

    /// Calls the full namespace, the host and its kernel so.
    pub(super) fn call(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        name.clone_into(&mut self.header.host);
        name.clone_into(&mut self.header.release);
        self.restart(Backend::Counters);
    }

    /// Packets are refused for a minute.
    pub(super) fn flood(&mut self) {
        for second in 0..60 {
            let packets = 400 + 40 * (second % 7);
            self.second(
                &[(Reason::TableFull, packets), (Reason::Clash, second % 3)],
                1000,
            );
        }
    }

    /// Somebody changes the limit.
    pub(super) fn change_limit(&mut self) {
        let table = |max| Table { max, buckets: 1024 };
        self.state.update(&Update::Limit(LimitChange {
            time: "2026-11-30T10:00:30.000Z".to_owned(),
            before: table(900),
            after: table(1000),
            made_by: None,
        }));
    }

    /// Presses keys; the last effect.
    pub(super) fn press(&mut self, keys: &str) -> Option<Effect> {
        let keys = keys.chars().map(|key| match key {
            '\n' => Key::Enter,
            '\t' => Key::Tab,
            '\u{1b}' => Key::Escape,
            '↓' => Key::Down,
            '↑' => Key::Up,
            '→' => Key::Right,
            '←' => Key::Left,
            letter => Key::Char(letter),
        });
        keys.map(|key| self.state.input(&Input::Key(key))).last()?
    }

    /// What is on a terminal of that size.
    pub(super) fn shown(&mut self, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let state = &mut self.state;
        terminal
            .draw(|frame| draw::screen(frame, state, true))
            .unwrap();
        let buffer = terminal.backend().buffer();
        let lines = buffer.content.chunks(width.into());
        lines
            .map(|cells| {
                let line: String = cells.iter().map(Cell::symbol).collect();
                line.trim_end().to_owned()
            })
            .collect()
    }
}

/// So many flows with a packet each.
pub(super) fn many_flows(count: u32) -> Vec<Row> {
    let flow = |number: u32| {
        let mut src = [0; 16];
        src[..4].copy_from_slice(&number.to_be_bytes());
        Row {
            subject: Subject::Flow(FlowKey {
                src,
                dst: [1; 16],
                netns: BLUE,
                sport: 40_000,
                dport: 53,
                zone: 0,
                family: 2,
                protocol: 17,
                reason: Reason::TableFull as u32,
                sender: 0,
            }),
            count: FlowCount {
                packets: u64::from(number % 1000),
                first: 1,
                last: 2,
            },
            total: number.into(),
        }
    };
    (0..count).map(flow).collect()
}
