//! Which metrics there are: one function for each subject. docs/metrics.md lists them.

use std::time::Duration;

use crate::{
    incident::Kind as Incident,
    observe::counts::health::{Faults, Missed, Runs},
    subscribers::metrics::{
        export::Export,
        family::{
            Family,
            Kind::{Counter, Gauge},
            Sample, Value,
        },
        numbers::{Named, Numbers, Phase, refused_by_reason},
    },
};

/// The kinds of incidents, each with its name.
const INCIDENTS: [(Incident, &str); 10] = [
    (Incident::Undersized, "undersized"),
    (Incident::Leak, "leak"),
    (Incident::SpoofedFlood, "spoofed_flood"),
    (Incident::Flood, "flood"),
    (Incident::FewBuckets, "few_buckets"),
    (Incident::Clash, "clash"),
    (Incident::NatExhausted, "nat_exhausted"),
    (Incident::Memory, "memory"),
    (Incident::NoisyNamespace, "noisy_namespace"),
    (Incident::Unknown, "unknown"),
];

/// All of them.
pub fn families(numbers: &Numbers) -> Vec<Family> {
    let mut families = observer(numbers);
    families.extend(packets(numbers));
    families.extend(accuracy(numbers));
    families.extend(tables(numbers));
    families.extend(incidents(numbers));
    families.extend(evidence(numbers));
    families.extend(numbers.export.iter().flat_map(exported));
    families
}

fn counter(name: &'static str, help: &'static str, samples: Vec<Sample>) -> Family {
    Family {
        name,
        help,
        kind: Counter,
        samples,
    }
}

pub(crate) fn gauge(name: &'static str, help: &'static str, samples: Vec<Sample>) -> Family {
    Family {
        name,
        help,
        kind: Gauge,
        samples,
    }
}

/// Which ctdrop this is.
pub(crate) fn build_info() -> Family {
    let version = Sample::of("version", env!("CARGO_PKG_VERSION"), 1_u64);
    gauge(
        "ctdrop_build_info",
        "The version of ctdrop; the value is 1",
        vec![version],
    )
}

fn one(value: impl Into<Value>) -> Vec<Sample> {
    vec![Sample::plain(value)]
}

fn some(value: Option<impl Into<Value>>) -> Vec<Sample> {
    value.map(Sample::plain).into_iter().collect()
}

fn by_netns<T: Copy + Into<Value>>(named: &[Named<T>]) -> Vec<Sample> {
    let samples = named.iter();
    samples
        .map(|one| Sample::of("netns", one.name.as_str(), one.value))
        .collect()
}

/// How well it can see.
fn observer(numbers: &Numbers) -> Vec<Family> {
    let backend = numbers.backend;
    let backend = backend.map(|backend| Sample::of("backend", backend.to_string(), 1_u64));
    vec![
        build_info(),
        gauge(
            "ctdrop_observer_info",
            "The backend that observes; the value is 1",
            backend.into_iter().collect(),
        ),
        gauge(
            "ctdrop_observing",
            "Whether refused packets are counted: 0 while conntrack is not loaded",
            one(numbers.phase == Phase::Observing),
        ),
        gauge(
            "ctdrop_armed",
            "Whether the programs that run for each new flow are attached",
            one(numbers.armed),
        ),
        gauge(
            "ctdrop_last_interval_timestamp_seconds",
            "When the last interval was counted, since 1970",
            some(numbers.interval_end),
        ),
    ]
}

/// What is counted.
fn packets(numbers: &Numbers) -> Vec<Family> {
    let figures = &numbers.figures;
    let by_reason = refused_by_reason(figures).into_iter();
    let by_reason = by_reason.map(|(reason, packets)| Sample::of("reason", reason, packets));
    let named: Vec<Named<u64>> = numbers.refused_in.values().cloned().collect();
    let mut in_netns = by_netns(&unique(named));
    in_netns.push(Sample::of("netns", "other", numbers.refused_elsewhere));
    let owners = numbers.owners.iter();
    let owners = owners.map(|labels| Sample::with(labels.clone(), 1_u64));
    let top = numbers.top.iter();
    let top = top.map(|flow| Sample::with(flow.labels.to_vec(), flow.packets));
    vec![
        counter(
            "ctdrop_refused_packets",
            "Packets that conntrack refused, by reason",
            by_reason.collect(),
        ),
        counter(
            "ctdrop_netns_refused_packets",
            "The same by network namespace; other: all without a series of their own",
            in_netns,
        ),
        gauge(
            "ctdrop_netns_owner_info",
            "Names of the container or the pod of a network namespace; the value is 1",
            owners.collect(),
        ),
        counter(
            "ctdrop_refused_flows",
            "Flows that had a packet refused for the first time since the start",
            one(figures.flows),
        ),
        counter(
            "ctdrop_evicted_entries",
            "Entries that were evicted for another one",
            one(figures.evicted),
        ),
        counter(
            "ctdrop_clash_resolved_packets",
            "Packets that lost the race for their tuple and passed nevertheless",
            one(figures.clash_resolved),
        ),
        counter(
            "ctdrop_non_packet_entries",
            "Entries that were refused and that no packet wanted",
            one(figures.non_packet),
        ),
        counter(
            "ctdrop_rule_or_refused_packets",
            "Packets that either a rule dropped or conntrack refused",
            one(figures.rule_or_refused),
        ),
        gauge(
            "ctdrop_top_refused_packets",
            "Packets since the start of the flows that were refused most lately",
            top.collect(),
        ),
    ]
}

/// Series by names that are not the same.
fn unique(mut named: Vec<Named<u64>>) -> Vec<Named<u64>> {
    named.sort_by(|one, other| one.name.cmp(&other.name));
    named.dedup_by(|later, first| {
        let same = later.name == first.name;
        if same {
            first.value += later.value;
        }
        same
    });
    named
}

/// How exact that is.
fn accuracy(numbers: &Numbers) -> Vec<Family> {
    let figures = &numbers.figures;
    let Missed {
        allocations,
        confirmations,
        evictions,
        clashes,
    } = numbers.missed;
    let Faults {
        unreadable,
        join_lost,
    } = numbers.faults;
    let program = |name: &str, runs: u64| Sample::of("program", name, runs);
    let kind = |name: &str, packets: u64| Sample::of("kind", name, packets);
    vec![
        counter(
            "ctdrop_unattributed_packets",
            "Refused packets whose flow has no count of its own",
            one(figures.unattributed),
        ),
        gauge(
            "ctdrop_discrepancy_packets",
            "Packets by which the counts and the counters of the kernel differ",
            vec![
                kind("unconfirmed", figures.discrepancy.unconfirmed),
                kind("unseen", figures.discrepancy.unseen),
            ],
        ),
        gauge(
            "ctdrop_reconciled",
            "Whether the counts and the counters of the kernel agree to the packet",
            if numbers.phase == Phase::Observing {
                one(figures.reconciled())
            } else {
                Vec::new()
            },
        ),
        counter(
            "ctdrop_skipped_program_runs",
            "Runs of programs that the kernel skipped",
            vec![
                program("allocations", allocations),
                program("confirmations", confirmations),
                program("evictions", evictions),
                program("clashes", clashes),
            ],
        ),
        counter(
            "ctdrop_program_runs",
            "Runs of each program; only while kernel.bpf_stats_enabled is 1",
            by_program(numbers, |runs| runs.count.into()),
        ),
        counter(
            "ctdrop_program_run_time_seconds",
            "Time that they took, of all processors together; likewise",
            by_program(numbers, |runs| seconds(runs.nanoseconds).into()),
        ),
        counter(
            "ctdrop_program_errors",
            "Errors inside the programs",
            vec![kind("unreadable", unreadable), kind("join_lost", join_lost)],
        ),
        gauge(
            "ctdrop_flow_error_bound_packets",
            "Packets by which the count of a flow may be too high at most",
            one(numbers.error_bound),
        ),
    ]
}

fn by_program(numbers: &Numbers, value: impl Fn(&Runs) -> Value) -> Vec<Sample> {
    let runs = numbers.runs.iter();
    runs.map(|(&program, runs)| Sample::of("program", program, value(runs)))
        .collect()
}

fn seconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64()
}

/// The tables and their limit.
fn tables(numbers: &Numbers) -> Vec<Family> {
    let limit = numbers.limit.as_ref().map(|limit| limit.table);
    let after = numbers.limit_after.map(|after| {
        let each = [
            ("boot", after.boot),
            ("service_restart", after.restart),
            ("module_reload", after.reload),
        ];
        let known = each.into_iter();
        let known: Vec<Sample> = known
            .filter_map(|(event, max)| Some(Sample::of("event", event, max?)))
            .collect();
        known
    });
    vec![
        gauge(
            "ctdrop_table_entries",
            "Entries of the fullest tables, by network namespace",
            by_netns(&numbers.entries),
        ),
        gauge(
            "ctdrop_table_entries_limit",
            "Entries that each network namespace may have; 0 is no limit",
            some(limit.map(|limit| limit.max)),
        ),
        gauge(
            "ctdrop_table_buckets",
            "Buckets of the hash table that all network namespaces share",
            some(limit.map(|limit| limit.buckets)),
        ),
        gauge(
            "ctdrop_table_full_in_seconds",
            "Time until a table is full if it goes on as it does, of those that fill",
            by_netns(&numbers.full_in),
        ),
        gauge(
            "ctdrop_table_entries_limit_after",
            "The limit as it will be after an event, where that can be told",
            after.unwrap_or_default(),
        ),
        counter(
            "ctdrop_limit_changes",
            "Changes of the limit or the buckets since the start",
            one(numbers.limit_changes),
        ),
    ]
}

/// Incidents and fixes.
fn incidents(numbers: &Numbers) -> Vec<Family> {
    let open = INCIDENTS.into_iter().map(|(kind, name)| {
        let open = numbers.incidents.values();
        let open = open.filter(|&&one| one == kind || (kind == Incident::Unknown && is_odd(one)));
        Sample::of("kind", name, open.count() as u64)
    });
    vec![
        gauge(
            "ctdrop_incidents_open",
            "Incidents that are open, by kind",
            open.collect(),
        ),
        counter(
            "ctdrop_incidents_opened",
            "Incidents that were opened since the start",
            one(numbers.incidents_opened),
        ),
        counter(
            "ctdrop_fixes",
            "Fixes that --fix made since the start",
            one(numbers.fixes),
        ),
    ]
}

/// An incident of a kind that is none.
fn is_odd(kind: Incident) -> bool {
    matches!(kind, Incident::None | Incident::NotSeen)
}

/// What was recorded.
fn evidence(numbers: &Numbers) -> Vec<Family> {
    let evidence = &numbers.evidence;
    vec![
        gauge(
            "ctdrop_evidence_size_bytes",
            "Size of the database and its log of changes",
            some(evidence.bytes),
        ),
        gauge(
            "ctdrop_evidence_size_limit_bytes",
            "The most that they may take",
            some(evidence.limit),
        ),
        gauge(
            "ctdrop_evidence_failing",
            "Whether evidence cannot be written",
            one(evidence.failing),
        ),
        counter(
            "ctdrop_evidence_lost_rows",
            "Rows of evidence that had no room in memory while it could not be written",
            one(evidence.lost_rows),
        ),
    ]
}

/// The state of the export by OTLP.
fn exported(export: &Export) -> Vec<Family> {
    let signal = |name: &str, value: Value| Sample::of("signal", name, value);
    let cause = |name: &str, records: u64| Sample::of("cause", name, records);
    let last = [
        ("metrics", export.metrics.last_success),
        ("logs", export.logs.last_success),
    ];
    let last = last.into_iter();
    vec![
        gauge(
            "ctdrop_otlp_queued_records",
            "Records of incidents that wait to be sent by OTLP",
            one(export.queued),
        ),
        gauge(
            "ctdrop_otlp_queue_size_bytes",
            "Size of the OTLP queue on the disk",
            one(export.queue_bytes),
        ),
        gauge(
            "ctdrop_otlp_queue_size_limit_bytes",
            "Maximum size of the OTLP queue on the disk",
            one(export.queue_limit),
        ),
        counter(
            "ctdrop_otlp_sent_records",
            "Records of incidents that an OTLP receiver has accepted",
            one(export.sent),
        ),
        counter(
            "ctdrop_otlp_dropped_records",
            "Records of incidents that were dropped and not sent by OTLP, by cause",
            vec![
                cause("queue_full", export.dropped.queue_full),
                cause("refused", export.dropped.refused),
                cause("unwritable", export.dropped.unwritable),
            ],
        ),
        counter(
            "ctdrop_otlp_dropped_points",
            "Data points that were not delivered by OTLP, including those of earlier runs",
            one(export.dropped_points),
        ),
        counter(
            "ctdrop_otlp_failed_requests",
            "OTLP requests that the receiver did not accept, by signal",
            vec![
                signal("metrics", export.metrics.failed.into()),
                signal("logs", export.logs.failed.into()),
            ],
        ),
        gauge(
            "ctdrop_otlp_last_success_timestamp_seconds",
            "When the OTLP receiver last accepted a request, in seconds since 1970",
            last.filter_map(|(name, at)| Some(signal(name, at?.into())))
                .collect(),
        ),
    ]
}
