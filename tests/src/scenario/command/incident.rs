//! One verdict for one table: `who`, `status`, `fix` and `watch --fix plan` say the
//! same of it, and the commands that help can be run.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{
    net::{Connections, Conntrack, Entry, Netns, refused_locally},
    scenario::staged::{
        CONNECTIONS, DAY, FIVE_DAYS, FLOODING, LEAKING, RESOLVER, TRACK, close, connection,
        few_sources, fill, honest, leak, make_room, spoofed,
    },
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
    watch::Watch,
};

/// Six tables.
pub static INCIDENT: Scenario = Scenario {
    name: "incident",
    about: "who, status, fix and watch --fix plan have the same verdict on six staged tables",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: six_tables,
};

/// Also on a kernel whose limit is not to be changed.
pub static IDLENESS: Scenario = Scenario {
    name: "idleness",
    about: "connections in use under a ct timeout policy are no leak, idle ones are",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: idleness,
};

/// Gives the connections of [`Connections`] ten minutes instead of five days.
const POLICY: &str = "table ip live {
    ct timeout short { protocol tcp; l3proto ip; policy = { established : 600 }; }
    chain out { type filter hook output priority -150; tcp dport 7777 ct timeout set \"short\"; }
}";

/// What all commands have to say.
struct Expected {
    kind: &'static str,
    filling: &'static str,
    /// Address of the culprit, if it has one.
    culprit: Option<Ipv4Addr>,
}

fn six_tables(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    let host = Netns::of_host()?;
    host.nft(TRACK)?;
    let tables = [
        ("honest load", honest(), "undersized", "honest_load", None),
        ("a leak", leak(), "leak", "leak", Some(LEAKING)),
        (
            "a spoofed flood",
            spoofed(),
            "spoofed_flood",
            "spoofed_flood",
            Some(RESOLVER),
        ),
        (
            "a flood of one source",
            few_sources(),
            "flood",
            "flood",
            Some(FLOODING),
        ),
    ];
    for (name, entries, kind, filling, culprit) in tables {
        let expected = Expected {
            kind,
            filling,
            culprit,
        };
        let full = Full {
            netns: &host,
            entries: &entries,
        };
        verdicts(machine, &full, &expected).with_context(|| format!("on {name}"))?;
        helps(machine, &host, &entries).with_context(|| format!("on {name}"))?;
    }
    in_use(machine, &host).context("on connections in use")?;
    make_room(&host)?;
    in_a_container(machine).context("on a container")
}

/// A full table of a namespace.
struct Full<'a> {
    netns: &'a Netns,
    /// What fills it; nothing if that is not to be made anew.
    entries: &'a [Entry],
}

impl Full<'_> {
    /// Fills the table and asks something about it; once more if the kernel's garbage
    /// collector made room meanwhile, as it does in a table over 95 % whose entries nothing
    /// has answered (`net/netfilter/nf_conntrack_core.c: gc_worker`).
    fn ask(&self, what: impl Fn() -> Result<Value>) -> Result<Value> {
        const TIMES: u32 = 5;
        if self.entries.is_empty() {
            return what();
        }
        for _ in 0..TIMES {
            fill(self.netns, self.entries)?;
            let said = what();
            let left = usize::try_from(self.netns.entries()?)?;
            if left >= self.entries.len() {
                return said;
            }
            println!("{left} of {} entries are left", self.entries.len());
        }
        bail!("the kernel made room {TIMES} times")
    }
}

/// Connections in use under a policy of ten minutes fill the host's table.
fn in_use(machine: &Machine, host: &Netns) -> Result<()> {
    make_room(host)?;
    host.nft(POLICY)?;
    let connections = Connections::in_use(host, CONNECTIONS)?;
    close(host)?;
    let expected = Expected {
        kind: "undersized",
        filling: "honest_load",
        culprit: None,
    };
    let full = Full {
        netns: host,
        entries: &[],
    };
    verdicts(machine, &full, &expected)?;
    connections.end()?;
    host.nft("delete table ip live")
}

/// A table other than the host's is full.
fn in_a_container(machine: &Machine) -> Result<()> {
    let netns = Netns::create("incident-box")?;
    netns.nft(TRACK)?;
    let entries = honest();
    let full = Full {
        netns: &netns,
        entries: &entries,
    };
    let expected = Expected {
        kind: "noisy_namespace",
        filling: "honest_load",
        culprit: None,
    };
    verdicts(machine, &full, &expected)?;
    helps(machine, &netns, &entries)
}

/// Asks each command, and compares.
fn verdicts(machine: &Machine, full: &Full<'_>, expected: &Expected) -> Result<()> {
    let netns = full.netns;
    let ask = |arguments: &[&str]| full.ask(|| said_by(machine, arguments));
    let said = BTreeMap::from([
        ("who", ask(&["who", "--netns", netns.name()])?),
        ("status", ask(&["status"])?),
        ("fix", ask(&["fix", "--dry-run"])?),
        ("watch --fix plan", full.ask(|| planned(machine, netns))?),
    ]);
    for (command, incident) in &said {
        ensure!(
            incident["kind"] == expected.kind && incident["filling"]["kind"] == expected.filling,
            "{command} says {incident}"
        );
        ensure!(
            incident["netns"]["name"] == netns.name(),
            "{command} says {incident}"
        );
        let culprit = &incident["culprit"];
        let address = [&culprit["source"], &culprit["service"]]
            .into_iter()
            .find_map(|it| it["address"].as_str());
        let wanted = expected.culprit.map(|address| address.to_string());
        ensure!(address == wanted.as_deref(), "{command} says {incident}");
        ensure!(
            incident["confidence"] == said["who"]["confidence"],
            "{command} says {incident}, who {}",
            said["who"]
        );
        println!(
            "{command}: {} ({})",
            incident["kind"], incident["confidence"]
        );
    }
    Ok(())
}

/// The incident that a command tells of.
fn said_by(machine: &Machine, arguments: &[&str]) -> Result<Value> {
    let output = Command::new(&machine.ctdrop)
        .args(arguments)
        .args(["-o", "json"])
        .output()
        .with_context(|| format!("cannot run {}", machine.ctdrop.display()))?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().next();
    let line = line
        .with_context(|| format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let mut report: Value = serde_json::from_str(line)?;
    Ok(report["incident"].take())
}

/// The same of a plan that is made when packets are refused.
fn planned(machine: &Machine, netns: &Netns) -> Result<Value> {
    let mut watch = Watch::start(machine, &["--interval", "10m", "--fix", "plan"])?;
    refused_locally(netns)?;
    let mut planned = watch.next_fix()?;
    ensure!(planned["action"] == "planned", "{planned}");
    watch.finish()?;
    Ok(planned["incident"].take())
}

/// Runs the commands that `who` names, each on the same table, but for those that look
/// at refused packets or ask for consent.
fn helps(machine: &Machine, netns: &Netns, entries: &[Entry]) -> Result<()> {
    // A packet that was sent to be refused may have found an entry evicted instead.
    fill(netns, entries)?;
    let output = Command::new(&machine.ctdrop)
        .args(["who", "--netns", netns.name(), "-o", "json"])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let report: Value = serde_json::from_str(text.lines().next().context("no line")?)?;
    let lists = [&report["incident"]["remedies"], &report["would_free"]];
    let remedies = lists.into_iter().filter_map(Value::as_array).flatten();
    let commands: Vec<String> = remedies
        .filter_map(|remedy| remedy["commands"].as_array())
        .flatten()
        .filter_map(|command| Some(command.as_str()?.to_owned()))
        .collect();
    for command in commands {
        let mut words = command.split_whitespace();
        let program = words.next().context("an empty command")?;
        let rest: Vec<&str> = words.collect();
        if program == "ctdrop" && matches!(rest.first(), Some(&"fix" | &"watch")) {
            continue;
        }
        let program = if program == "ctdrop" {
            machine.ctdrop.as_os_str()
        } else {
            program.as_ref()
        };
        fill(netns, entries)?;
        let done = Command::new(program)
            .args(&rest)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {command}"))?;
        ensure!(done.status.success(), "{command}: {done:?}");
        println!("ran {command}");
    }
    // A remedy has shortened it.
    netns.set_sysctl(
        "net.netfilter.nf_conntrack_tcp_timeout_established",
        &FIVE_DAYS.to_string(),
    )
}

fn idleness(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    if machine.guest {
        setup::set_conntrack("max", 100_000)?;
    }
    let filled_by = |netns: &Netns| -> Result<Value> {
        let mut incident = said_by(machine, &["who", "--netns", netns.name()])?;
        println!("{incident}");
        Ok(incident["filling"]["kind"].take())
    };
    let live = Netns::create("idleness-live")?;
    live.nft(POLICY)?;
    let connections = Connections::in_use(&live, CONNECTIONS)?;
    let said = filled_by(&live)?;
    connections.end()?;
    ensure!(said == "honest_load", "connections in use are {said}");

    let idle = Netns::create("idleness-idle")?;
    let entries = (0..CONNECTIONS).map(|number| connection(LEAKING, 2000 + number, DAY));
    let made = Conntrack::open(&idle)?.insert(entries)?;
    ensure!(made.refused.is_empty(), "not all were made: {made:?}");
    let said = filled_by(&idle)?;
    ensure!(said == "leak", "idle connections are {said}");
    Ok(())
}
