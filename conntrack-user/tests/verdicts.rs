//! One verdict for one table: each command is given the same staged tables as
//! plain data, and all say the same.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{path::Path, time::Duration};

use conntrack_user::{
    auto::background,
    commands::{
        status::{
            capacity::Bounds,
            forecast::Recorded,
            report::{Running, StatusReport as Status},
        },
        who::report::{Context, NamespaceReport as Who, Seen},
    },
    engine::{
        refusals::{Need, RefusedIn},
        refused_flows::FlowRange,
    },
    facts::{Facts, root::Root},
    incident::{Census, Evidence, FillingKind, Incident, Kind, Netns, thresholds},
    input::{file::Content, progress::Silent},
    kernel::{counters::Totals, defaults::Table, limits::Limits, presence::Presence},
    observe::usage::{NamespaceUse, Usage},
    plan::demand::Demand,
    table::{
        aggregate::{Aggregate, Circumstances, HEAVY_KEYS},
        dump::Outcome,
        entry::{Entry, Rules},
        filter::Filter,
        idle::{Apart, Look, Pair},
        owners::Owners,
        saved,
        timeouts::Timeouts,
    },
};

/// The limit, and the entries of each table.
const MAX: u64 = 1000;

/// A table, and whose it is.
struct Staged {
    netns: Netns,
    listing: String,
    /// What a second look sees of each connection that may be idle.
    second: Option<Second>,
}

/// What a second look sees.
#[derive(Clone, Copy)]
enum Second {
    /// The remaining time was set anew.
    Refreshed,
    /// It fell by the time that has passed.
    Silent,
}

fn host() -> Netns {
    Netns {
        inode: Some(4_026_531_840),
        ..Netns::of_tree()
    }
}

fn container() -> Netns {
    Netns {
        inode: Some(4_026_532_000),
        name: "docker/web".to_owned(),
        is_host: false,
        enter: Some("nsenter -t 7 -n ".to_owned()),
        ..Netns::default()
    }
}

fn connection(source: &str, port: u64, remaining: u32) -> String {
    format!(
        "ipv4 2 tcp 6 {remaining} ESTABLISHED src={source} dst=192.0.2.80 sport={port} dport=443 \
         src=192.0.2.80 dst={source} sport=443 dport={port} [ASSURED] mark=0 zone=0 use=2\n"
    )
}

fn query(source: &str, port: u64) -> String {
    format!(
        "ipv4 2 udp 17 29 src={source} dst=192.0.2.53 sport={port} dport=53 [UNREPLIED] \
         src=192.0.2.53 dst={source} sport=53 dport={port} mark=0 zone=0 use=2\n"
    )
}

/// Connections of 50 clients, each with a packet just now.
fn used(count: u64) -> String {
    (0..count)
        .map(|n| connection(&format!("10.0.0.{}", n % 50 + 1), 2000 + n, 432_000))
        .collect()
}

impl Staged {
    fn of(listing: String) -> Self {
        Self {
            netns: host(),
            listing,
            second: None,
        }
    }

    fn honest() -> Self {
        let queries: String = (0..100).map(|n| query("10.0.0.7", 3000 + n)).collect();
        Self::of(used(900) + &queries)
    }

    /// 600 connections of one client that have been idle for four days.
    fn leak() -> Self {
        let idle: String = (0..600)
            .map(|n| connection("10.9.0.66", 2000 + n, 86_400))
            .collect();
        Self {
            second: Some(Second::Silent),
            ..Self::of(used(400) + &idle)
        }
    }

    /// The same 600, under a policy of ten minutes, each with packets all the time.
    fn live_under_another_timeout() -> Self {
        let live: String = (0..600)
            .map(|n| connection("10.9.0.66", 2000 + n, 600))
            .collect();
        Self {
            second: Some(Second::Refreshed),
            ..Self::of(used(400) + &live)
        }
    }

    fn spoofed_flood() -> Self {
        let queries: String = (0..800)
            .map(|n| query(&format!("198.18.{}.{}", n / 250, n % 250 + 1), 53_000))
            .collect();
        Self::of(used(200) + &queries)
    }

    fn few_source_flood() -> Self {
        let queries: String = (0..800).map(|n| query("198.18.0.1", 3000 + n)).collect();
        Self::of(used(200) + &queries)
    }

    fn only_a_container() -> Self {
        Self {
            netns: container(),
            ..Self::honest()
        }
    }

    /// The table, added up as a dump of it is.
    fn sums(&self) -> Aggregate {
        let timeouts = Timeouts::resolve(|name| {
            let seconds = match name {
                "tcp_timeout_established" => "432000",
                "tcp_timeout_unacknowledged" | "tcp_timeout_max_retrans" => "300",
                _ => return None,
            };
            Some(seconds.to_owned())
        });
        let mut sums = Aggregate::new(Circumstances {
            rules: Rules::of((6, 12)),
            timeouts,
            now: 0,
            idle_after: thresholds::IDLE,
            keys: HEAVY_KEYS,
        });
        let owners = Owners::default();
        let listing = Content::Read(self.listing.clone().into_bytes());
        let mut add = |entry: &Entry| sums.add(entry, &owners);
        let reading = saved::read(listing, 1, &Filter::default(), &mut add, &mut Silent);
        assert_eq!(reading.malformed, 0);
        if let Some(second) = self.second {
            let pairs: Vec<Pair> = sums
                .in_question
                .entries()
                .map(|entry| {
                    let first = entry.look(0);
                    let three_seconds = Duration::from_secs(3);
                    let remaining = first.remaining.map(|remaining| match second {
                        Second::Refreshed => remaining,
                        Second::Silent => remaining - 3,
                    });
                    Pair {
                        source: entry.src.ip(),
                        first,
                        second: Some(Look { remaining, ..first }),
                        apart: Apart {
                            at_least: three_seconds,
                            at_most: three_seconds,
                        },
                    }
                })
                .collect();
            sums.judge(&pairs);
        }
        sums
    }

    fn census(&self) -> Census {
        Census::of(&self.sums(), &Owners::default())
    }

    fn growth() -> Totals {
        Totals {
            drop: Some(50),
            insert_failed: Some(0),
            chaintoolong: Some(0),
            early_drop: Some(0),
            ..Totals::default()
        }
    }

    fn evidence(&self) -> Evidence {
        Evidence {
            netns: self.netns.clone(),
            entries: Some(MAX),
            max: Some(MAX),
            growth: Some(Self::growth()),
            ..Evidence::default()
        }
    }

    /// As `ctdrop who` has it, of the namespace itself.
    fn who(&self) -> Incident {
        let limits = Limits {
            max: Some(MAX),
            buckets: Some(65_536),
            entries: Some(MAX),
        };
        let seen = Seen {
            sums: self.sums(),
            outcome: Outcome::default(),
            time: String::new(),
            seconds: 0.0,
            attempts: 1,
            before: limits,
            after: limits,
        };
        let context = Context {
            container: None,
            owners: &Owners::default(),
            filter: &Filter::default(),
            evidence: self.evidence(),
            top: 10,
        };
        Who::new(&seen, &context).incident
    }

    /// As `ctdrop status` has it, of all namespaces.
    fn status(&self) -> Incident {
        let running = Running {
            host: "gateway".to_owned(),
            conntrack: Presence::BuiltIn,
            usage: Usage {
                namespaces: self.namespaces(),
                apart: Duration::from_secs(1),
                ..Usage::default()
            },
            recorded: Recorded::default(),
            census: Some(self.census()),
            filling_unknown: None,
            expected_backend: None,
            not_used: Vec::new(),
        };
        let bounds = Bounds {
            warning: 80,
            critical: 95,
        };
        Status::of_host(facts(), running, bounds).incident
    }

    /// As `ctdrop fix` has it.
    fn fix(&self) -> Incident {
        let namespaces = Evidence::of_all(&self.namespaces(), None);
        Demand::new(namespaces, Vec::new(), Some(&self.census())).incident
    }

    /// As `ctdrop watch --fix plan` has it, from what programs have counted.
    fn watch(&self) -> Incident {
        let trigger = background::Trigger {
            need: Need::Room,
            refused: vec![RefusedIn {
                netns: self.netns.inode.unwrap(),
                packets: 50,
                flows: FlowRange::of_packets(50),
            }],
            table: Table {
                max: MAX,
                buckets: 65_536,
            },
        };
        let demand = trigger.demand(|_| self.netns.clone(), Some(&self.census()));
        demand.incident
    }

    /// The host's namespace, and the table's own if it is another one.
    fn namespaces(&self) -> Vec<NamespaceUse> {
        let mut namespaces = vec![namespace(self.netns.clone(), MAX, Self::growth())];
        if !self.netns.is_host {
            namespaces.push(namespace(host(), 12, Totals::default()));
        }
        namespaces
    }
}

fn namespace(called: Netns, entries: u64, growth: Totals) -> NamespaceUse {
    NamespaceUse {
        netns: called.inode,
        name: called.name.clone(),
        entries: Some(entries),
        max: Some(MAX),
        counters: Some(growth),
        refused: None,
        trend: None,
        growth: Some(growth),
        samples: Vec::new(),
        called,
    }
}

/// Those of some host.
fn facts() -> Facts {
    let tree = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trees/debian12");
    Facts::read(&Root::open(Path::new(tree)).unwrap()).unwrap()
}

#[test]
fn every_command_has_the_same_verdict_on_a_table() {
    let tables = [
        (Staged::honest(), Kind::Undersized, FillingKind::HonestLoad),
        (Staged::leak(), Kind::Leak, FillingKind::Leak),
        (
            Staged::live_under_another_timeout(),
            Kind::Undersized,
            FillingKind::HonestLoad,
        ),
        (
            Staged::spoofed_flood(),
            Kind::SpoofedFlood,
            FillingKind::SpoofedFlood,
        ),
        (Staged::few_source_flood(), Kind::Flood, FillingKind::Flood),
        (
            Staged::only_a_container(),
            Kind::NoisyNamespace,
            FillingKind::HonestLoad,
        ),
    ];
    for (number, (staged, kind, filling)) in tables.into_iter().enumerate() {
        let said = [
            ("who", staged.who()),
            ("status", staged.status()),
            ("fix", staged.fix()),
            ("watch --fix plan", staged.watch()),
        ];
        for (command, incident) in &said {
            assert_eq!(
                (incident.kind, incident.filling.kind),
                (kind, filling),
                "{command} on table {number}: {incident:#?}"
            );
            let first = &said[0].1;
            assert_eq!(incident.culprit, first.culprit, "{command}");
            assert_eq!(incident.confidence, first.confidence, "{command}");
            assert_eq!(incident.remedies, first.remedies, "{command}");
            assert_eq!(incident.netns, first.netns, "{command}");
        }
    }
}
