//! Files of sysctls, held against what the programs that apply them do: the same limit,
//! or unknown, and never another one. Each program is run in a directory of its own.

use std::{cell::Cell, env, process::ExitCode};

use anyhow::{Context as _, Result};
use conntrack_user::{
    facts::{Facts, root::Root, sysctl::Taken},
    survival::{Start, simulate},
};
use ctdrop_tests::{
    host,
    sysctl::{self, CONF, DIRECTORIES, Host, Kept, Kind, Program, Tree},
};
use libtest_mimic::{Arguments, Failed, Trial};
use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestCaseError, TestRunner},
};

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let trials = match cases() {
        None => vec![skipped(
            "run `cargo xtask test`, or set CTDROP_SYSCTL_CASES to a number of files",
        )],
        Some(_) if !host::Facts::gather()?.root => vec![skipped("chroot needs root")],
        Some(cases) => sysctl::ALL
            .iter()
            .flat_map(|program| both(program, cases))
            .collect(),
    };
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// How many files, and trees, each program judges; none if nobody has asked for it.
fn cases() -> Option<u32> {
    match env::var("CTDROP_SYSCTL_CASES") {
        Ok(asked) => asked.parse().ok(),
        Err(_) if env::var_os("CTDROP_ALL").is_some() => Some(1000),
        Err(_) => env::var_os("CTDROP_BIN").map(|_| 100),
    }
}

/// A trial that only says why nothing runs.
fn skipped(reason: &str) -> Trial {
    Trial::test("sysctl", || Ok(()))
        .with_kind(format!("skipped: {reason}"))
        .with_ignored_flag(true)
}

/// The two trials of a program: one file, and whole trees.
fn both(program: &'static Program, cases: u32) -> [Trial; 2] {
    let trial = |name, trees: fn(Kind) -> BoxedStrategy<Tree>| {
        Trial::test(format!("{}::{name}", program.name), move || {
            judge(program, cases, &trees(program.kind))
        })
    };
    [trial("file", one_file), trial("tree", trees)]
}

/// Whether the program and ctdrop come to the same limit over so many trees.
fn judge(program: &Program, cases: u32, trees: &BoxedStrategy<Tree>) -> Result<(), Failed> {
    let host = Host::new(program).map_err(|error| format!("{error:#}"))?;
    let (known, set) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed()),
        ..ProptestConfig::default()
    });
    let outcome = runner.run(trees, |tree| {
        let fail = |error: anyhow::Error| TestCaseError::fail(format!("{error:#}"));
        host.put(&tree).map_err(fail)?;
        let facts = Root::open(host.root()).and_then(|root| Facts::read(&root));
        let facts = facts.map_err(fail)?;
        // None if it is unknown.
        let Some(told) = simulate(&facts, Start::AfterBoot).boot.value else {
            return Ok(());
        };
        let (real, writes) = real(&host, &facts).map_err(fail)?;
        known.set(known.get() + 1);
        set.set(set.get() + u32::from(!writes.is_empty()));
        prop_assert_eq!(told, real, "written: {:?}", writes);
        Ok(())
    });
    outcome.map_err(|error| error.to_string())?;
    let (known, set) = (known.get(), set.get());
    println!(
        "{}: {cases} cases, {known} known, {set} of them written to",
        program.name
    );
    // Who knows nothing is never wrong.
    if known * 2 < cases {
        return Err(format!("only {known} of {cases} are known").into());
    }
    Ok(())
}

/// Another seed is for who looks for more.
fn seed() -> u64 {
    let asked = env::var("PROPTEST_RNG_SEED").ok();
    asked.and_then(|seed| seed.parse().ok()).unwrap_or(11)
}

/// The limit that the program leads to, and what it writes: the kernel keeps the last
/// text that it takes.
fn real(host: &Host, facts: &Facts) -> Result<(u64, Vec<String>)> {
    let writes = host.run()?;
    let taken = writes
        .iter()
        .rev()
        .find_map(|text| match facts.kernel.takes(text) {
            Taken::Number(number) => Some(number),
            Taken::Refused | Taken::Unclear => None,
        });
    let default = facts.kernel.default_table();
    let default = default.context("the kernel's default is known")?.max;
    Ok((taken.unwrap_or(default), writes))
}

/// A text in a file that the program reads.
fn one_file(kind: Kind) -> BoxedStrategy<Tree> {
    let path = match kind {
        Kind::Systemd => "etc/sysctl.d/50-limit.conf",
        Kind::Procps | Kind::Busybox => CONF,
    };
    let tree = move |content| vec![(path.to_owned(), Kept::File(content))];
    text().prop_map(tree).boxed()
}

/// Files in all directories, some of which take the place of others.
fn trees(_: Kind) -> BoxedStrategy<Tree> {
    let names = [
        "10-a.conf",
        "50-b.conf",
        "90-c.conf",
        "99-sysctl.conf",
        "zz.conf",
        ".hidden.conf",
        "90-c.conf.bak",
        "README",
        "Z.conf",
        "é.conf",
    ];
    let kept = prop_oneof![
        6 => lines().prop_map(Kept::File),
        1 => prop::sample::select(vec!["/dev/null", "nowhere", "../sysctl.conf", "10-a.conf"])
            .prop_map(Kept::Link),
    ];
    let place = (
        prop::sample::select(&DIRECTORIES[..]),
        prop::sample::select(names.to_vec()),
    );
    let path = prop_oneof![
        8 => place.prop_map(|(directory, name)| format!("{directory}/{name}")),
        1 => Just(CONF.to_owned()),
    ];
    let tree = prop::collection::btree_map(path, kept, 0..8);
    tree.prop_map(|tree| tree.into_iter().collect()).boxed()
}

/// Plain lines, of which the last counts.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let line = (prop::sample::select(KEYS.to_vec()), 1..1000_u32)
        .prop_map(|(key, value)| format!("{key} = {value}\n"));
    let line = prop_oneof![
        6 => line,
        1 => prop::sample::select(LINES.to_vec()).prop_map(str::to_owned),
    ];
    prop::collection::vec(line, 0..3).prop_map(|lines| lines.concat().into_bytes())
}

/// Names of the limit, and patterns that may stand for it.
const KEYS: [&str; 9] = [
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_max",
    "net.nf_conntrack_max",
    "net/netfilter/nf_conntrack_max",
    "-net.nf_conntrack_max",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.*",
    "net.*",
    "net.ipv4.ip_conntrack_max",
];

/// Whole lines.
const LINES: [&str; 14] = [
    "net.netfilter.nf_conntrack_max = 524288\n",
    "net.netfilter.nf_conntrack_max = 131072\n",
    "net.nf_conntrack_max=65536\n",
    "net/nf_conntrack_max = 0x8000\n",
    "-net.nf_conntrack_max = 7000\n",
    "-net.netfilter.nf_conntrack_max\n",
    "-net.nf_conntrack_max\n",
    "-\n",
    "net.netfilter.* = 4000\n",
    "net.*.nf_conntrack_max = 5000\n",
    "net.netfilter.nf_conntrack_ma[a-x] = 6000\n",
    "# net.netfilter.nf_conntrack_max = 1\n",
    "; net.netfilter.nf_conntrack_max = 2\n",
    "net.netfilter.nf_conntrack_max =\n",
];

/// Parts of lines.
const PIECES: [&str; 64] = [
    "net",
    "netfilter",
    "nf_conntrack_max",
    "nf_conntrack_m?x",
    "nf_*",
    "*",
    "[",
    "]",
    "{a,b}",
    "net.netfilter.nf_conntrack_max",
    "net.nf_conntrack_max",
    "net/netfilter/nf_conntrack_max",
    "net/nf_conntrack_max",
    "net/netfilter.nf_conntrack_max",
    "net.netfilter/nf_conntrack_max",
    "net.netfilter.nf_conntrack_max = ",
    "net.netfilter.nf_conntrack_max=",
    "net.nf_conntrack_max=",
    "net.netfilter.nf_conntrack_max = ",
    "net.netfilter.nf_conntrack_max=",
    "net.nf_conntrack_max=",
    ".",
    "/",
    "//",
    "/./",
    "/../",
    "..",
    "-",
    "- ",
    "--",
    "=",
    " = ",
    "==",
    " ",
    "\t",
    "\u{b}",
    "\u{c}",
    "\r",
    "\r\n",
    "\n",
    "\n",
    "\n",
    "\n",
    "\0",
    "\\",
    "\\\n",
    "#",
    "# ",
    ";",
    " # many",
    "\u{a0}",
    "\u{feff}",
    "”",
    "1048576",
    "262144",
    "1",
    "0x100",
    "010",
    "08",
    "-1",
    "-0",
    "+5",
    "2147483648",
    "99999999999999999999999",
];

/// Bytes that are no UTF-8, and what is long.
fn odd() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"\xa0".to_vec()),
        Just(b"\xff".to_vec()),
        Just(b"\xe9t\xe9".to_vec()),
        prop::sample::select(vec![240, 300, 1000, 4090, 4100, 70_000])
            .prop_map(|length| vec![b'x'; length]),
        Just(vec![b' '; 300]),
    ]
}

/// A file that is put together from pieces.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let piece = prop_oneof![
        20 => prop::sample::select(PIECES.to_vec()).prop_map(bytes),
        12 => prop::sample::select(LINES.to_vec()).prop_map(bytes),
        1 => odd(),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}
