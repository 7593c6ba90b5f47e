//! `ctdrop who` names who fills a table.

mod report;
pub mod saved;
pub mod tables;

use std::{
    net::{IpAddr, Ipv4Addr},
    process::{Command, Output},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, Result, ensure};

use self::{
    report::{Evictable, Report, Row},
    tables::{
        ESTABLISHED, FIVE_DAYS, LEAKING, RESOLVER, WEB, client, connection, entry, flood, honest,
        leak,
    },
};
use crate::{
    confine::{Confinement, Public},
    net::{Conntrack, Entry, Fill, Netns},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
};

/// On every kernel.
pub static WHO: Scenario = Scenario {
    name: "who",
    about: "honest load, a leak, a spoofed flood: each with its culprit, in its namespace",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: staged,
};

/// On every kernel.
pub static CHOSEN: Scenario = Scenario {
    name: "who_chosen",
    about: "entries by address, protocol, zone and family, whoever filters; and what goes wrong",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: chosen,
};

/// On every kernel.
pub static CHANGING: Scenario = Scenario {
    name: "who_changing",
    about: "a table that changes while it is dumped, and one of more sources than have room",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: changing,
};

/// Runs `ctdrop who`.
fn who(machine: &Machine, arguments: &[&str]) -> Result<Output> {
    Command::new(&machine.ctdrop)
        .arg("who")
        .args(arguments)
        .output()
        .with_context(|| format!("cannot run {}", machine.ctdrop.display()))
}

/// What it says as JSON, of each namespace.
fn reports(machine: &Machine, arguments: &[&str]) -> Result<Vec<Report>> {
    let output = who(machine, &[&["-o", "json"], arguments].concat())?;
    ensure!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout)?;
    let lines: Vec<&str> = text.lines().collect();
    let (summary, namespaces) = lines.split_last().context("no line")?;
    ensure!(summary.contains(r#""type":"summary""#), "{summary}");
    namespaces
        .iter()
        .map(|line| serde_json::from_str(line).with_context(|| (*line).to_owned()))
        .collect()
}

/// What it says of one namespace.
fn report(machine: &Machine, netns: &Netns, arguments: &[&str]) -> Result<Report> {
    let mut reports = reports(machine, &[&["--netns", netns.name()], arguments].concat())?;
    ensure!(reports.len() == 1, "{reports:?}");
    Ok(reports.remove(0))
}

/// A limit that no table here comes near; others in this guest want a low one.
fn make_room(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    if machine.guest {
        setup::set_conntrack("max", 262_144)?;
    }
    Ok(())
}

/// A namespace with these entries.
fn stage(name: &str, entries: impl Iterator<Item = Entry>) -> Result<Netns> {
    let netns = Netns::create(name)?;
    // Times, so that entries have an age.
    netns.set_sysctl("net.netfilter.nf_conntrack_timestamp", "1")?;
    let made = Conntrack::open(&netns)?.insert(entries)?;
    ensure!(made.refused.is_empty(), "not all were made: {made:?}");
    Ok(netns)
}

fn staged(machine: &Machine) -> Result<()> {
    make_room(machine)?;
    let namespaces = [
        stage("who-honest", honest())?,
        stage("who-leak", leak())?,
        stage("who-flood", flood())?,
    ];
    let all = reports(machine, &[])?;
    for netns in &namespaces {
        let inode = netns.inode()?;
        let found: Vec<_> = all.iter().filter(|it| it.netns == inode).collect();
        ensure!(found.len() == 1, "{} in {all:?}", netns.name());
        check(netns.name(), found[0])?;
        check(netns.name(), &report(machine, netns, &[])?)?;
    }
    // Those with most entries come first.
    let staged: Vec<&str> = all
        .iter()
        .map(|it| it.name.as_str())
        .filter(|name| name.starts_with("who-"))
        .collect();
    ensure!(
        staged == ["who-flood", "who-leak", "who-honest"],
        "{staged:?}"
    );
    let text = who(machine, &["--netns", "who-leak"])?;
    let text = String::from_utf8_lossy(&text.stdout);
    for word in [
        "looks like a leak",
        "10.9.0.66",
        "1,500",
        "evictable  up to 20 (",
    ] {
        ensure!(text.contains(word), "no {word:?} in: {text}");
    }
    Ok(())
}

/// Demands the right culprit first, and the right share, to the entry.
fn check(name: &str, report: &Report) -> Result<()> {
    let web = Row {
        address: WEB.into(),
        protocol: Some("tcp".to_owned()),
        port: Some(443),
        entries: 1500,
    };
    let queries = Row {
        address: RESOLVER.into(),
        protocol: Some("udp".to_owned()),
        port: Some(53),
        entries: 3000,
    };
    let culprit = report.incident.culprit.as_ref();
    let (kind, total, early_drop, collector, source, service) = match name {
        "who-honest" => {
            ensure!(culprit.is_none(), "{report:?}");
            ("honest_load", 2000_u32, 200_u32, 0, 40, web)
        }
        "who-leak" => {
            let who = culprit.and_then(|culprit| culprit.source.as_ref());
            ensure!(
                who.is_some_and(|who| who.address == LEAKING && who.entries == 1800),
                "{report:?}"
            );
            ensure!(report.sources.rows[0].address == LEAKING, "{report:?}");
            ensure!(report.incident.filling.entries == 1500, "{report:?}");
            ensure!(report.idle_established == 1500, "{report:?}");
            let timeout = report
                .would_free
                .iter()
                .find(|it| it.code == "shorten_timeout");
            let freed = timeout.is_some_and(|it| {
                it.entries == 1500 && it.what.contains("tcp_timeout_established")
            });
            ensure!(freed, "{report:?}");
            let web = Row {
                entries: 2100,
                ..web
            };
            ("leak", 2120, 20, 300, 1800, web)
        }
        _ => {
            let who = culprit.and_then(|culprit| culprit.service.as_ref());
            let is_it = who.is_some_and(|who| {
                who.address == RESOLVER && who.port == Some(53) && who.entries == 3000
            });
            ensure!(is_it, "{report:?}");
            ensure!(report.incident.filling.entries == 3000, "{report:?}");
            ensure!(report.sources.distinct == 3001, "{report:?}");
            ("spoofed_flood", 3200, 3000, 0, 200, queries)
        }
    };
    // There is room, so that nothing is refused.
    ensure!(report.incident.kind == "none", "{report:?}");
    ensure!(report.incident.filling.kind == kind, "{report:?}");
    let entries = u64::from(total);
    ensure!(report.entries == entries, "{report:?}");
    let Evictable {
        early_drop: early,
        collector: closing,
        nobody,
    } = report.evictable;
    ensure!(
        (early, closing) == (u64::from(early_drop), collector),
        "{report:?}"
    );
    ensure!(early + closing + nobody == entries, "{report:?}");
    let share = f64::from(early_drop) / f64::from(total);
    ensure!(
        report
            .evictable_share
            .is_some_and(|it| (it - share).abs() < 1e-9),
        "{report:?}"
    );
    ensure!(report.sources.rows[0].entries == source, "{report:?}");
    ensure!(report.services.rows[0] == service, "{report:?}");
    ensure!(
        report.age.known == entries && report.dump.unreadable == 0,
        "{report:?}"
    );
    Ok(())
}

fn chosen(machine: &Machine) -> Result<()> {
    make_room(machine)?;
    let six = |n: u16| IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n));
    let apart = (0..70).map(|n| Entry {
        zone: 7,
        ..entry(17, client(2), 6000 + n, RESOLVER, 53)
    });
    let ipv6 = (0..90).map(|n| entry(17, six(n % 2 + 1), 7000 + n, six(53), 53));
    let netns = stage("who-chosen", leak().chain(apart).chain(ipv6))?;
    let version = setup::kernel_version()?;
    // ctnetlink filters by tuple since 5.8, by zone since 6.8.
    let (tuple, zone) = (version >= (5, 8), version >= (6, 8));
    let cases: [(&[&str], u64, Option<bool>); 9] = [
        (&[], 2280, None),
        (&["--src", "10.9.0.66"], 1800, Some(tuple)),
        (&["--dst", "192.0.2.53"], 90, Some(tuple)),
        (&["--proto", "tcp"], 2100, Some(tuple)),
        (&["--zone", "7"], 70, Some(zone)),
        (&["--family", "ipv6"], 90, Some(true)),
        // The kernel's own filter would give the others.
        (&["--src", "fd00::1"], 45, Some(false)),
        (&["--src", "10.0.0.1", "--proto", "udp"], 20, Some(tuple)),
        (&["--mark", "1/1"], 0, Some(true)),
    ];
    for (arguments, entries, by_kernel) in cases {
        let report = report(machine, &netns, arguments)?;
        ensure!(report.entries == entries, "{arguments:?}: {report:?}");
        let dump = &report.dump;
        match by_kernel {
            None => ensure!(
                dump.filtered_by_kernel.is_empty() && dump.filtered_here.is_empty(),
                "{report:?}"
            ),
            Some(true) => ensure!(
                dump.filtered_here.is_empty() && dump.received == entries,
                "{arguments:?}: {report:?}"
            ),
            Some(false) => ensure!(
                !dump.filtered_here.is_empty() && dump.received > entries,
                "{arguments:?}: {report:?}"
            ),
        }
    }
    errors(machine, &netns)
}

fn errors(machine: &Machine, netns: &Netns) -> Result<()> {
    let pid = format!("pid:{}", std::process::id());
    ensure!(who(machine, &["--netns", &pid])?.status.success());
    let path = format!("/run/netns/{}", netns.name());
    ensure!(who(machine, &["--netns", &path])?.status.success());
    let unknown = who(machine, &["--netns", "no-such-place"])?;
    let text = String::from_utf8_lossy(&unknown.stderr);
    ensure!(
        unknown.status.code() == Some(1) && text.contains("no-such-place"),
        "{unknown:?}"
    );
    ensure!(who(machine, &["--mark", "x"])?.status.code() == Some(2));
    let ctdrop = Public::copy(&machine.ctdrop)?;
    let mut command = ctdrop.command();
    let nobody = Confinement::Nobody
        .apply(command.args(["who", "--netns", netns.name()]))
        .output()?;
    let text = String::from_utf8_lossy(&nobody.stderr);
    ensure!(
        nobody.status.code() == Some(1) && text.contains("run as root"),
        "{nobody:?}"
    );
    Ok(())
}

fn changing(machine: &Machine) -> Result<()> {
    /// More sources than have room (114,688).
    const SOURCES: u32 = 130_000;
    make_room(machine)?;
    let limit = 250_000;
    if machine.guest {
        setup::set_conntrack("buckets", 65_536)?;
        setup::set_conntrack("max", limit)?;
    }
    let spoofed = (0..SOURCES).map(|n| {
        let source = Ipv4Addr::from_bits(Ipv4Addr::new(11, 0, 0, 0).to_bits() + n);
        Entry {
            timeout: 3600,
            ..entry(17, source, 53_000, RESOLVER, 53)
        }
    });
    let heavy = (0..20_000).map(|n| connection(LEAKING, 2000 + n, ESTABLISHED, FIVE_DAYS));
    let netns = stage("who-changing", spoofed.chain(heavy))?;
    let still = report(machine, &netns, &[])?;
    let sources = &still.sources;
    ensure!(still.entries == 150_000, "{still:?}");
    ensure!(sources.rows[0].address == LEAKING, "{still:?}");
    let at_least = sources.rows[0].entries;
    ensure!(
        sources.error_bound > 0
            && at_least <= 20_000
            && at_least + sources.error_bound >= 20_000
            && (128_000..=132_000).contains(&sources.distinct),
        "{still:?}"
    );
    ensure!(still.incident.filling.kind == "spoofed_flood", "{still:?}");

    let enough = AtomicBool::new(false);
    let (made, text) = thread::scope(|scope| {
        let maker = scope.spawn(|| make_until(&netns, &enough));
        let output = who(machine, &["--netns", netns.name()]);
        enough.store(true, Ordering::Relaxed);
        (maker.join(), output)
    });
    let made = made.map_err(|_| anyhow::anyhow!("the maker of entries panicked"))??;
    let text = String::from_utf8(text?.stdout)?;
    ensure!(made > 0, "no entry was made meanwhile");
    ensure!(
        text.contains("the table changed during the dump of"),
        "{made} entries were made, and nothing is said: {text}"
    );
    let after = report(machine, &netns, &[])?;
    ensure!(
        after.entries == 150_000 + made
            && after.dump.entries_before == after.entries
            && after.dump.entries_after == after.entries,
        "{made} were made: {after:?}"
    );
    Ok(())
}

/// Makes entries until it is enough; says how many.
fn make_until(netns: &Netns, enough: &AtomicBool) -> Result<u64> {
    let conntrack = Conntrack::open(netns)?;
    let fill = Fill::default();
    let mut made = 0;
    for batch in 0..300 {
        if enough.load(Ordering::Relaxed) {
            break;
        }
        let numbers = batch * 256..(batch + 1) * 256;
        made += conntrack
            .insert(numbers.map(|number| fill.entry(number)))?
            .inserted;
    }
    Ok(made)
}
