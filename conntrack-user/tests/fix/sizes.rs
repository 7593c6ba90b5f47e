//! Which limit and how many buckets come out for which load.

use conntrack_user::fix::{
    diagnosis::{Load, NamespaceLoad, RefusedFlows, diagnose},
    sizing::{Request, Size, size},
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

fn full(entries: u64, refused: f64) -> Load {
    let host = NamespaceLoad {
        name: "host".to_owned(),
        is_host: true,
        entries: Some(entries),
        max: Some(entries),
        growth: None,
    };
    let refused = RefusedFlows {
        protocol: Some(17),
        per_second: refused,
    };
    Load {
        namespaces: vec![host],
        refused: vec![refused],
        ..Load::default()
    }
}

fn of(tree: &Tree, load: &Load, request: Request) -> Result<Size, String> {
    let facts = tree.facts();
    let diagnosis = diagnose(load, &facts.numbers.timeouts);
    size(&facts, load, &diagnosis, request).map_err(|error| format!("{error:#}"))
}

fn chosen(tree: &Tree, load: &Load) -> (u64, u64) {
    let size = of(tree, load, Request::default()).unwrap();
    (size.max, size.buckets)
}

#[test]
fn demand_decides() {
    let tree = with_limits(host("6.1.0-25-amd64", 16_000), 262_144, 262_144);
    // Twice the entries.
    assert_eq!(chosen(&tree, &full(262_144, 0.0)), (524_288, 262_144));
    // 10,000 flows a second for 120 s are 1,200,000 entries; 1.5 times 1,462,144
    // is 2,193,216, rounded up to 268 times 8192.
    assert_eq!(
        chosen(&tree, &full(262_144, 10_000.0)),
        (2_195_456, 548_864)
    );
    tree.write(
        "/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream",
        "30\n",
    );
    assert_eq!(chosen(&tree, &full(262_144, 10_000.0)).0, 843_776);
}

#[test]
fn what_a_boot_leads_to_is_not_lowered() {
    // Somebody has set less than the kernel begins with.
    let tree = with_limits(host("6.1.0-25-amd64", 16_000), 2_000, 262_144);
    let size = of(&tree, &full(2_000, 0.0), Request::default()).unwrap();
    assert_eq!((size.max, size.buckets), (262_144, 262_144));
    let said = |size: &Size| size.why.iter().any(|line| line.contains("a boot leads to"));
    assert!(said(&size), "{:?}", size.why);
    let bounded = Request {
        to: None,
        ceiling: Some(8_192),
    };
    assert_eq!(of(&tree, &full(2_000, 0.0), bounded).unwrap().max, 8_192);
    // Nothing calls for more.
    let size = of(&tree, &Load::default(), Request::default()).unwrap();
    assert_eq!(size.max, 2_000);
    assert!(!said(&size), "{:?}", size.why);
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
        size.warnings[0].contains("10 % of the memory"),
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
        of(&host(release, 16_000), &Load::default(), request)
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
    assert_eq!(
        of(&tree, &Load::default(), request).unwrap().buckets,
        524_288
    );
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
    assert!(to(50_000).unwrap().warnings[0].contains("new flows will be refused at once"));
    assert!(to(62_000).unwrap().warnings[0].contains("less than the limit now"));
    assert!(
        to(1 << 31)
            .unwrap_err()
            .contains("more than the kernel takes")
    );
}

#[test]
fn without_numbers_nothing_is_made_up() {
    let tree = Tree::empty();
    tree.write("/etc/sysctl.conf", "");
    let error = of(&tree, &Load::default(), Request::default()).unwrap_err();
    assert!(error.contains("give --to N"), "{error}");
    let none = with_limits(host("6.1.0-25-amd64", 16_000), 0, 65_536);
    let error = of(&none, &Load::default(), Request::default()).unwrap_err();
    assert!(error.contains("the limit is 0"), "{error}");
}
