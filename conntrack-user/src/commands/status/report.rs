//! Everything that `ctdrop status` reports; serialized, it is the JSON.

use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::{
    commands::{
        daemon,
        status::{
            capacity::{Bounds, Capacity},
            configuration,
            forecast::{Namespace, Recorded},
            options::Options,
            persistence::Persistence,
            unknown,
        },
        unread,
    },
    facts::{Facts, Unreadable, numbers::Timeouts, writers::Writer},
    incident::{
        Census, Evidence, Forecast, Incident, Netns, judge_worst,
        look::{self, SavedTable},
    },
    kernel::{
        counters::Totals,
        defaults,
        memory::{Memory, Table},
        netns::HiddenProcess,
        presence::Presence,
        surroundings::Surroundings,
    },
    observe::{
        backend::Backend,
        check::proof::PacketRange,
        survey::{self, Survey, unusable::Unusable},
        unread::UnreadableNamespace,
        usage::{self, NamespaceUse, Usage},
    },
    plan,
    say::{
        clock,
        finding::{Finding, State, rank},
        number::duration,
    },
    survival::{Start, Survival, simulate},
};

/// The limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// In force; none if conntrack is not loaded, or it is not known.
    pub max: Option<u64>,
    /// Buckets of the table.
    pub buckets: Option<u64>,
    /// What the kernel chooses by itself on this host.
    pub default: Option<defaults::Table>,
}

impl Limit {
    fn of(facts: &Facts) -> Self {
        let limits = facts.numbers.limits;
        Self {
            max: limits.max,
            buckets: limits.buckets,
            default: facts.kernel.default_table(),
        }
    }
}

/// Packets that are refused now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Refused {
    /// In this time.
    pub seconds: f64,
    /// How many, in all namespaces.
    #[serde(flatten)]
    pub packets: PacketRange,
}

/// Everything that `ctdrop status` reports.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "status")]
pub struct StatusReport {
    /// Now.
    pub time: String,
    /// Of ctdrop.
    pub version: &'static str,
    /// What it all amounts to.
    pub state: State,
    /// Name of the host; none of a tree.
    pub host: Option<String>,
    /// The tree; none if it is this host.
    pub root: Option<PathBuf>,
    /// Distribution.
    pub distribution: String,
    /// Release of the kernel.
    pub release: Option<String>,
    /// Whether conntrack is loaded; none of a tree.
    pub conntrack: Option<Presence>,
    /// Limit and buckets.
    pub limit: Limit,
    /// Network namespaces, the fullest first.
    pub namespaces: Vec<Namespace>,
    /// Network namespaces that were found and could not be looked into.
    pub unreadable_namespaces: Vec<UnreadableNamespace>,
    /// Processes whose network namespaces are not known.
    pub hidden_processes: Vec<HiddenProcess>,
    /// Counters since boot, over all namespaces that were.
    pub counters: Option<Totals>,
    /// Packets refused now; none if there was only one look.
    pub refused: Option<Refused>,
    /// Why packets are refused, and what fills the table; of the worst namespace.
    pub incident: Incident,
    /// Memory of the table.
    pub memory: Memory,
    /// Timeouts in seconds.
    pub timeouts: Timeouts,
    /// What will be in force.
    pub survives: Survival,
    /// Who else writes the limit.
    pub writers: Vec<Writer>,
    /// What is to be said about all this, the worst first.
    pub findings: Vec<Finding>,
    /// The backend that watch would probably use, told without trying it; none of a
    /// tree, or if none would work.
    pub expected_backend: Option<Backend>,
    /// The better backends, and why each would not be used.
    pub not_used: Vec<Unusable>,
    /// What is there and could not be read.
    pub unreadable: Vec<Unreadable>,
    /// What may be missing, each as a sentence.
    pub warnings: Vec<String>,
}

/// What is known of a running host apart from its files.
#[derive(Debug)]
pub struct Running {
    /// Name of the host.
    pub host: String,
    /// Whether conntrack is loaded.
    pub conntrack: Presence,
    /// How its tables are used.
    pub usage: Usage,
    /// How they were, as far as ctdrop has recorded it.
    pub recorded: Recorded,
    /// Who fills the table of the worst namespace, if that matters.
    pub census: Option<Census>,
    /// Why that cannot be seen.
    pub filling_unknown: Option<Finding>,
    /// What watch would use; none if nothing works.
    pub expected_backend: Option<Backend>,
    /// What is better than that, and why it is not used.
    pub not_used: Vec<Unusable>,
}

impl StatusReport {
    /// Judges a host.
    pub fn of_host(facts: Facts, running: Running, bounds: Bounds) -> Self {
        let Running {
            host,
            conntrack,
            usage,
            recorded,
            census,
            filling_unknown,
            expected_backend,
            not_used,
        } = running;
        Self {
            host: Some(host),
            conntrack: Some(conntrack),
            expected_backend,
            not_used,
            ..Self::of(
                facts,
                usage,
                &recorded,
                census.as_ref(),
                filling_unknown,
                bounds,
            )
        }
    }

    /// Judges a tree: its numbers are of the moment it was copied.
    pub fn of_tree(facts: Facts, root: PathBuf, table: &SavedTable, bounds: Bounds) -> Self {
        let numbers = &facts.numbers;
        let census = table.census.as_ref();
        let namespace = NamespaceUse {
            netns: None,
            name: "host".to_owned(),
            entries: numbers
                .limits
                .entries
                .or(census.map(|census| census.entries)),
            max: numbers.limits.max,
            counters: numbers.counters,
            refused: None,
            trend: None,
            growth: None,
            samples: Vec::new(),
            called: Netns::of_tree(),
        };
        let known =
            namespace.max.is_some() || namespace.counters.is_some() || namespace.entries.is_some();
        let usage = Usage {
            namespaces: known.then_some(namespace).into_iter().collect(),
            warnings: table.caveats.clone(),
            ..Usage::default()
        };
        Self {
            root: Some(root),
            ..Self::of(facts, usage, &Recorded::default(), census, None, bounds)
        }
    }

    fn of(
        facts: Facts,
        usage: Usage,
        recorded: &Recorded,
        census: Option<&Census>,
        filling_unknown: Option<Finding>,
        bounds: Bounds,
    ) -> Self {
        let Usage {
            namespaces,
            apart,
            unread,
            warnings,
        } = usage;
        let limit = Limit::of(&facts);
        let survives = simulate(&facts, Start::of(&facts));
        let memory = Memory::of(&table(&facts, &namespaces));
        let evidence = Evidence::of_all(&namespaces, default_max(&facts));
        let mut incident = judge_worst(&evidence, census);
        if !unread.is_empty() {
            incident = incident.seen_in_part();
        }
        let forecasts: Vec<Forecast> = namespaces
            .iter()
            .map(|namespace| recorded.forecast(namespace))
            .collect();
        let capacity = Capacity {
            facts: &facts,
            namespaces: &namespaces,
            forecasts: &forecasts,
            memory: &memory,
            incident: &incident,
            apart,
            bounds,
        };
        let mut findings = unread::findings(&unread);
        findings.extend(filling_unknown);
        findings.extend(judged(&capacity, &survives));
        rank(&mut findings);
        let mut unreadable = facts.unreadable;
        unreadable.extend(facts.numbers.unreadable);
        Self {
            time: clock::now(),
            version: env!("CARGO_PKG_VERSION"),
            state: State::of(&findings),
            host: None,
            root: None,
            distribution: facts.distribution.name,
            limit,
            release: facts.kernel.release.map(|release| release.text),
            conntrack: None,
            counters: sum(namespaces.iter().filter_map(|namespace| namespace.counters)),
            refused: refused(&namespaces, apart),
            namespaces: namespaces
                .into_iter()
                .zip(forecasts)
                .map(|(used, forecast)| Namespace::new(used, forecast))
                .collect(),
            unreadable_namespaces: unread.namespaces,
            hidden_processes: unread.hidden,
            incident,
            memory,
            timeouts: facts.numbers.timeouts,
            survives,
            writers: facts.writers,
            findings,
            expected_backend: None,
            not_used: Vec::new(),
            unreadable,
            warnings,
        }
    }
}

/// What is to be said about the numbers, what survives, and the configuration.
fn judged(capacity: &Capacity<'_>, survival: &Survival) -> Vec<Finding> {
    let facts = capacity.facts;
    let mut findings = capacity.findings();
    findings.extend(Persistence { facts, survival }.findings());
    findings.extend(unknown::findings(facts, survival));
    findings.extend(configuration::findings(facts, survival));
    findings.extend(plan::programs_not_in_tree(facts));
    findings
}

fn table(facts: &Facts, namespaces: &[NamespaceUse]) -> Table {
    let entries = namespaces.iter().map(|namespace| namespace.entries);
    Table {
        slab: facts.numbers.slab,
        page: rustix::param::page_size() as u64,
        generation: facts.kernel.generation,
        max: facts.numbers.limits.max,
        buckets: facts.numbers.limits.buckets,
        entries: entries
            .sum::<Option<u64>>()
            .filter(|_| !namespaces.is_empty()),
        total: facts.kernel.memory,
    }
}

fn refused(namespaces: &[NamespaceUse], apart: Duration) -> Option<Refused> {
    let each: Vec<PacketRange> = namespaces
        .iter()
        .filter_map(|namespace| namespace.refused)
        .collect();
    (!each.is_empty()).then(|| Refused {
        seconds: apart.as_secs_f64(),
        packets: PacketRange {
            at_least: each.iter().map(|range| range.at_least).sum(),
            at_most: each.iter().map(|range| range.at_most).sum(),
        },
    })
}

/// Adds counters up; all namespaces have the same ones.
fn sum(each: impl Iterator<Item = Totals>) -> Option<Totals> {
    each.reduce(|sum, more| sum.plus(&more))
}

/// The limit that the kernel chooses by itself.
fn default_max(facts: &Facts) -> Option<u64> {
    facts.kernel.default_table().map(|table| table.max)
}

/// The census of the table that is judged, if the report needs one and if it comes in time.
fn census(evidence: Vec<Evidence>, patience: Option<Duration>) -> Result<Option<Census>> {
    let Some(patience) = patience else {
        return look::at_the_worst(&evidence);
    };
    let (done, census) = mpsc::channel();
    thread::Builder::new()
        .name("census".to_owned())
        .spawn(move || {
            // Fails if the census takes longer than that.
            let _ = done.send(look::at_the_worst(&evidence));
        })
        .context("cannot start a thread to read the table")?;
    census.recv_timeout(patience).unwrap_or_else(|_| {
        bail!(
            "reading the table takes longer than {}: run ctdrop who, which waits for the end",
            duration(patience)
        )
    })
}

/// Reads the running host.
pub(crate) fn read_host(facts: &Facts, options: &Options) -> Result<Running> {
    let recorded = Recorded::read(&daemon::file(&options.state));
    let around = Arc::new(Surroundings::read());
    let Survey { works, unusable } = survey::expect(&around);
    let mut usage = match &options.netns {
        Some(wanted) => usage::measure_one(wanted, options.interval)?,
        None => usage::measure(options.interval),
    };
    usage.warnings.extend(around.container_note());
    let evidence = Evidence::of_all(&usage.namespaces, default_max(facts));
    let (census, filling_unknown) = match census(evidence, options.patience) {
        Ok(census) => (census, None),
        Err(error) => (None, Some(plan::filling_unknown(format!("{error:#}")))),
    };
    Ok(Running {
        host: rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        conntrack: Presence::read()?,
        usage,
        recorded,
        census,
        filling_unknown,
        expected_backend: works.map(|(backend, ())| backend),
        not_used: unusable,
    })
}
