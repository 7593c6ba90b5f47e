//! Which limit and how many buckets come out for which load.

use conntrack_user::{
    engine::refused_flows::FlowRange,
    facts::root::Root,
    incident::{Evidence, Netns},
    plan::{
        Options,
        demand::{Demand, HowMany, RefusedFlows},
        plan,
        sizing::{Request, Size, size},
    },
};

use crate::tree::Tree;

/// A host with that release and memory in MiB.
fn host(release: &str, memory: u64) -> Tree {
    let tree = Tree::empty();
    tree.write("/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    tree.write("/proc/sys/kernel/osrelease", release);
    tree.write("/proc/meminfo", &format!("MemTotal: {} kB\n", memory << 10));
    tree.write("/proc/slabinfo", "nf_conntrack 0 0 256 16 1 : x\n");
    tree.write("/usr/lib/systemd/systemd", "");
    tree
}

fn with_limits(tree: Tree, max: u64, buckets: u64) -> Tree {
    tree.write(
        "/proc/sys/net/netfilter/nf_conntrack_max",
        &format!("{max}\n"),
    );
    tree.write(
        "/proc/sys/net/netfilter/nf_conntrack_buckets",
        &format!("{buckets}\n"),
    );
    tree
}

fn full(entries: u64, refused: f64) -> Demand {
    let host = Evidence {
        netns: Netns::of_tree(),
        entries: Some(entries),
        max: Some(entries),
        ..Evidence::default()
    };
    let refused = RefusedFlows {
        netns: host.netns.inode,
        many: HowMany::Packets {
            protocol: Some(17),
            per_second: refused,
        },
    };
    Demand::new(vec![host], vec![refused], None)
}

/// The same, with flows that were told apart.
fn full_by_flows(entries: u64, at_least: u64, at_most: u64) -> Demand {
    let mut demand = full(entries, 0.0);
    demand.refused[0].many = HowMany::Flows(FlowRange { at_least, at_most });
    demand
}

fn no_load() -> Demand {
    Demand::new(Vec::new(), Vec::new(), None)
}

fn of(tree: &Tree, demand: &Demand, request: Request) -> Result<Size, String> {
    size(&tree.facts(), demand, request).map_err(|error| format!("{error:#}"))
}

fn chosen(tree: &Tree, demand: &Demand) -> (u64, u64) {
    let size = of(tree, demand, Request::default()).unwrap();
    (size.max, size.buckets)
}

#[test]
fn demand_decides() {
    let tree = with_limits(host("6.1.0-25-amd64", 16_000), 65_536, 65_536);
    // Twice the entries.
    assert_eq!(chosen(&tree, &full(65_536, 0.0)), (131_072, 65_536));
    // 1000 flows a second for 120 s are 120,000 entries; 1.5 times 185,536 is
    // 278,304, rounded up to 34 times 8192.
    assert_eq!(chosen(&tree, &full(65_536, 1000.0)), (278_528, 69_632));
    tree.write(
        "/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream",
        "30\n",
    );
    assert_eq!(chosen(&tree, &full(65_536, 1000.0)).0, 147_456);
}

#[test]
fn flows_that_try_again_want_no_more_room() {
    let tree = with_limits(host("6.1.0-25-amd64", 16_000), 3_300, 65_536);
    let why = |demand| of(&tree, &demand, Request::default()).unwrap();
    // 20 flows, refused 200 times a second.
    let flows = why(full_by_flows(3_300, 20, 20));
    assert_eq!(flows.max, 8_192);
    let said = "demand: up to 3,300 entries, plus 20 for the refused flows; wanted: 6,600, the larger of \
                2 × 3,300 and 1.5 × 3,320, rounded up to 8,192";
    assert!(
        flows.why.iter().any(|line| line == said),
        "{:#?}",
        flows.why
    );
    let demand = flows.demand.unwrap();
    assert_eq!((demand.entries, demand.refused.at_most), (3_300, 20));
    // Some had no room among the flows: no more is sure, and it is said.
    let unsure = why(full_by_flows(3_300, 20, 24_000));
    assert_eq!(unsure.max, 8_192);
    let said = "plus at least 20 and at most 24,000 for the refused flows";
    assert!(
        unsure.why.iter().any(|line| line.contains(said)),
        "{:#?}",
        unsure.why
    );
    // From packets alone it is no more than an upper bound.
    let packets = why(full(3_300, 200.0));
    assert_eq!(packets.max, 40_960);
    let said =
        "plus at most 24,000 for the refused packets (several packets can belong to one flow)";
    assert!(
        packets.why.iter().any(|line| line.contains(said)),
        "{:#?}",
        packets.why
    );
}

#[test]
fn many_refused_flows_want_more_than_twice_as_much() {
    let tree = with_limits(host("6.1.0-25-amd64", 16_000), 65_536, 65_536);
    // 1.5 times 185,536.
    assert_eq!(
        chosen(&tree, &full_by_flows(65_536, 120_000, 120_000)).0,
        278_528
    );
}

/// What a boot leads to before and after a plan for a full table of 2,000 entries,
/// and how many files it changes.
fn boots(tree: &Tree, request: Request) -> (Option<u64>, Option<u64>, usize) {
    let facts = tree.facts();
    let size = size(&facts, &full(2_000, 0.0), request).unwrap();
    let root = Root::open(tree.path()).unwrap();
    let plan = plan(&root, &facts, size, Options::default()).unwrap();
    (
        plan.before.boot.value,
        plan.after.boot.value,
        plan.files.len(),
    )
}

#[test]
fn what_a_boot_leads_to_is_not_lowered_unless_that_is_asked_for() {
    let low = || with_limits(host("6.1.0-25-amd64", 16_000), 2_000, 262_144);
    let ceiling = Request {
        to: None,
        ceiling: Some(8_192),
    };
    // Somebody has set less than the kernel begins with.
    for request in [Request::default(), ceiling] {
        assert_eq!(boots(&low(), request), (Some(262_144), Some(262_144), 0));
    }
    let asked = Request {
        to: Some(8_192),
        ceiling: None,
    };
    assert_eq!(boots(&low(), asked).1, Some(8_192));
    // More is meant than the ceiling allows, or no limit at all.
    for meant in [1_048_576, 0] {
        let tree = low();
        tree.write("/etc/modules-load.d/nf.conf", "nf_conntrack\n");
        tree.write(
            "/etc/sysctl.d/50-ct.conf",
            &format!("net.netfilter.nf_conntrack_max = {meant}\n"),
        );
        let (before, after, files) = boots(&tree, ceiling);
        assert_eq!((before, after, files), (Some(meant), Some(meant), 0));
    }
}

#[test]
fn buckets_are_not_lowered() {
    let tree = with_limits(host("6.1.0-25-amd64", 16_000), 65_536, 262_144);
    let low = Request {
        to: Some(5_000),
        ceiling: None,
    };
    assert_eq!(of(&tree, &full(60_000, 0.0), low).unwrap().buckets, 262_144);
}

#[test]
fn memory_bounds_it() {
    // A tenth of 256 MiB, in entries of 256 bytes and 128 of extensions.
    let tree = with_limits(host("6.1.0-25-amd64", 256), 16_384, 16_384);
    assert_eq!(chosen(&tree, &full(65_536, 0.0)).0, 65_536);
    let size = of(
        &tree,
        &full(65_536, 0.0),
        Request {
            to: Some(131_072),
            ceiling: None,
        },
    )
    .unwrap();
    assert_eq!(size.max, 131_072, "who asks for more gets it");
    assert!(
        size.warnings[0].what.contains("10 % of the memory"),
        "{:?}",
        size.warnings
    );
}

#[test]
fn a_ceiling_holds_and_nothing_is_lowered() {
    let tree = with_limits(host("6.1.0-25-amd64", 16_000), 65_536, 65_536);
    let below = |ceiling| {
        let request = Request {
            to: None,
            ceiling: Some(ceiling),
        };
        of(&tree, &full(65_536, 0.0), request).unwrap().max
    };
    assert_eq!(below(100_000), 100_000);
    assert_eq!(below(10_000), 65_536);
}

#[test]
fn buckets_go_with_the_limit() {
    let request = Request {
        to: Some(1_048_576),
        ceiling: None,
    };
    let of_release = |release| {
        of(&host(release, 16_000), &no_load(), request)
            .unwrap()
            .buckets
    };
    assert_eq!(of_release("2.6.32-754.el6.x86_64"), 262_144);
    assert_eq!(of_release("4.18.0-553.el8_10.x86_64"), 262_144);
    assert_eq!(
        of_release("5.15.0-122-generic"),
        1_048_576,
        "short chains are refused"
    );
    assert_eq!(of_release("6.1.0-25-amd64"), 262_144);
    // Those that are there are not given up.
    let tree = with_limits(host("6.1.0-25-amd64", 16_000), 65_536, 524_288);
    assert_eq!(of(&tree, &no_load(), request).unwrap().buckets, 524_288);
}

#[test]
fn what_is_unwise_is_told() {
    let tree = with_limits(host("6.1.0-25-amd64", 16_000), 65_536, 65_536);
    let to = |to| {
        of(
            &tree,
            &full(60_000, 0.0),
            Request {
                to: Some(to),
                ceiling: None,
            },
        )
    };
    assert!(
        to(50_000).unwrap().warnings[0]
            .why
            .contains("new flows will be refused at once")
    );
    assert!(
        to(62_000).unwrap().warnings[0]
            .what
            .contains("less than the current limit")
    );
    assert!(
        to(1 << 31)
            .unwrap_err()
            .contains("more than the kernel accepts")
    );
}

#[test]
fn without_numbers_nothing_is_made_up() {
    let tree = Tree::empty();
    tree.write("/etc/sysctl.conf", "");
    let error = of(&tree, &no_load(), Request::default()).unwrap_err();
    assert!(error.contains("give --to N"), "{error}");
    let none = with_limits(host("6.1.0-25-amd64", 16_000), 0, 65_536);
    let error = of(&none, &no_load(), Request::default()).unwrap_err();
    assert!(error.contains("the limit is 0"), "{error}");
}
