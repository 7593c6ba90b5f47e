//! A conntrack helper's module goes away while first packets are under way: the
//! kernel then gives up the entries that it does not find in the table yet.
//!
//! Such packets are held in a queue. The kernel empties that too, so only those
//! are refused that leave it, or come into it, while the module goes.

use std::{
    ffi::CString,
    fs, io,
    ops::Range,
    thread::{self, ScopedJoinHandle},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::{
    net::{
        Family, Flood, Lan, LanOptions,
        nfqueue::{self, PacketQueue, append_queue_rule},
    },
    scenario::refusal::eviction::occupants,
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
    watch::{Summary, Watch},
};

/// Up to 5.18, which has a list of entries that are not in the table yet.
pub static DYING: Scenario = Scenario {
    name: "dying",
    about: "entries marked as dying before they were in the table, each named (before 5.19)",
    backends: Backend::INSIDE,
    alone: false,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run: dying,
};

/// Since 5.19, for some years.
pub static STALE_EXTENSION: Scenario = Scenario {
    name: "stale_extension",
    about: "entries older than a helper's unloading are refused, each named (5.19 to 6.11)",
    backends: Backend::INSIDE,
    alone: false,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run: stale_extension,
};

/// A helper that no rule uses.
const MODULE: &str = "nf_conntrack_ftp";

/// How often to try what is a race; every second try succeeds, or more.
const TRIES: u32 = 20;

/// How many packets are held at most.
const CAPACITY: u32 = 20_000;

/// What came of one try.
struct Attempt {
    /// All packets that were sent, one of each flow.
    flood: Flood,
    /// How many were refused, where the queue and the table tell.
    refused: Option<u64>,
}

/// `nf_ct_iterate_destroy` (`net/netfilter/nf_conntrack_core.c`, 4.14 to 5.18)
/// marks all entries that are not in the table as dying, then empties the
/// queues. Packets that are let go meanwhile come to the table with such an
/// entry.
fn dying(machine: &Machine) -> Result<()> {
    const LAST: (u32, u32) = (5, 18);
    if setup::kernel_version()? > LAST {
        println!("skipped: this kernel marks no entry before it is in the table");
        return Ok(());
    }
    race(machine, "dying", |lan, queue| {
        /// Packets held, and how many are let go at once: the kernel waits for
        /// those before it marks anything.
        const HELD: u32 = 8_000;
        const BATCH: usize = 500;
        let flood = flood(0, HELD);
        flood.send(lan)?;
        let newest = queue.wait_for(HELD)?;
        thread::scope(|scope| {
            let unloading = scope.spawn(unload);
            for up_to in (newest - HELD..=newest).step_by(BATCH).skip(1) {
                // It fails once the queue has been emptied.
                let _ = queue.let_go(up_to);
            }
            joined(unloading)
        })?;
        Ok(Attempt {
            flood,
            refused: None,
        })
    })
}

/// `nf_ct_iterate_destroy` (5.19 to 6.11) empties the queues, waits a while,
/// and then begins a new generation of extensions. Packets that came into a
/// queue meanwhile have an extension of the old one (`nf_ct_ext_valid_pre`).
fn stale_extension(machine: &Machine) -> Result<()> {
    const KERNELS: Range<(u32, u32)> = (5, 19)..(6, 12);
    if !KERNELS.contains(&setup::kernel_version()?) {
        println!("skipped: this kernel has no generations of extensions");
        return Ok(());
    }
    if is_blind(machine)? {
        println!("skipped: ctdrop cannot tell them here, and says so");
        return Ok(());
    }
    race(machine, "stale_extension", |lan, queue| {
        const CHUNK: u32 = 100;
        // What an entry has counted is kept in an extension.
        lan.firewall
            .set_sysctl("net.netfilter.nf_conntrack_acct", "1")?;
        let (mut flows, mut newest) = (0, 0);
        thread::scope(|scope| {
            let unloading = scope.spawn(unload);
            while !unloading.is_finished() && flows < CAPACITY {
                flood(flows, CHUNK).send(lan)?;
                flows += CHUNK;
                newest = queue.catch_up()?;
            }
            joined(unloading)
        })?;
        // An entry is counted from its allocation on, in the table or not.
        let (held, before) = (nfqueue::held(&lan.firewall)?, lan.firewall.entries()?);
        if held > 0 {
            queue.let_go(newest)?;
        }
        let refused = before - lan.firewall.entries()?;
        println!("{flows} sent, {held} held, {refused} refused");
        Ok(Attempt {
            flood: flood(0, flows),
            refused: Some(refused),
        })
    })
}

/// Whether ctdrop cannot tell stale extensions on this kernel, which it has to say. It needs a
/// variable for it, and the symbol table has functions alone on Debian's 6.1 for arm64.
fn is_blind(machine: &Machine) -> Result<bool> {
    setup::load_conntrack(machine)?;
    let symbols = fs::read_to_string("/proc/kallsyms").context("cannot read the symbols")?;
    let mut names = symbols
        .lines()
        .filter_map(|it| it.split_whitespace().nth(2));
    let blind = !names.any(|name| name == "init_task");
    let watch = Watch::all_flows(machine)?;
    let warnings = watch.start.warnings.clone();
    watch.finish()?;
    ensure!(
        warnings.iter().any(|it| it.contains("CONFIG_KALLSYMS_ALL")) == blind,
        "the symbol table has {} variables: {warnings:?}",
        if blind { "no" } else { "its" }
    );
    Ok(blind)
}

/// Tries until packets are refused; then all must have been for this reason,
/// and named.
fn race(
    machine: &Machine,
    reason: &str,
    provoke: impl Fn(&Lan, &mut PacketQueue) -> Result<Attempt>,
) -> Result<()> {
    setup::load_conntrack(machine)?;
    setup::set_conntrack("max", 2 * CAPACITY)?;
    for _ in 0..TRIES {
        setup::modprobe(MODULE)?;
        let lan = Lan::create("unload", &LanOptions::default())?;
        let mut queue = hold(&lan)?;
        let watch = Watch::all_flows(machine)?;
        let attempt = provoke(&lan, &mut queue)?;
        let summary = watch.finish()?;
        let counted = summary.kernel("insert_failed");
        println!("{} sent, {counted} refused", attempt.flood.packets);
        if counted > 0 {
            ensure!(
                attempt.refused.is_none_or(|refused| refused == counted),
                "the kernel counted {counted}, and {:?} entries went away",
                attempt.refused
            );
            return named(&lan, &attempt.flood, reason, &summary);
        }
    }
    bail!("no packet was refused in {TRIES} tries")
}

/// Demands that every refused packet has its flow, which has no entry.
fn named(lan: &Lan, flood: &Flood, reason: &str, summary: &Summary) -> Result<()> {
    let refused = summary.kernel("insert_failed");
    summary.expect_drops(reason, refused)?;
    ensure!(summary.kernel("drop") == 0, "{:?}", summary.kernel);
    let flows = summary.flows_of(reason, lan.firewall.inode()?)?;
    ensure!(
        flows.len() as u64 == refused && flows.values().all(|&packets| packets == 1),
        "{} flows of {refused} packets",
        flows.len()
    );
    let (sent, tracked) = (setup::packets_by_flow(flood), occupants(&lan.firewall)?);
    for flow in flows.keys() {
        ensure!(sent.contains_key(flow), "{flow} was not sent");
        ensure!(!tracked.contains(flow), "{flow} was not refused");
    }
    Ok(())
}

/// One packet of each of these flows.
fn flood(first_flow: u32, flows: u32) -> Flood {
    Flood {
        first_flow,
        flows,
        packets: flows.into(),
        ..Flood::default()
    }
}

/// Has the firewall hold whatever it forwards.
fn hold(lan: &Lan) -> Result<PacketQueue> {
    let queue = PacketQueue::bind(&lan.firewall, CAPACITY)?;
    lan.firewall.nft(
        "table ip unload {
            chain hold { type filter hook forward priority filter + 1; }
        }",
    )?;
    append_queue_rule(&lan.firewall, Family::V4, "unload", "hold")?;
    Ok(queue)
}

/// Unloads the helper at once: no time goes by until the kernel has begun.
fn unload() -> Result<()> {
    let module = CString::new(MODULE)?;
    // SAFETY: the pointer is to a string that ends with NUL and outlives the call.
    let done = unsafe { libc::syscall(libc::SYS_delete_module, module.as_ptr(), libc::O_NONBLOCK) };
    ensure!(
        done == 0,
        "cannot unload {MODULE}: {}",
        io::Error::last_os_error()
    );
    Ok(())
}

/// The outcome of a thread.
fn joined<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread panicked"))?
}
