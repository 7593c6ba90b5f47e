//! How long programs run, by the kernel's own statistics (`bpf_stats_enabled`).
//! Taking those costs something, so that it is not done while packets are measured.

use std::{collections::BTreeMap, fs, net::UdpSocket};

use anyhow::Result;
use aya::programs::loaded_programs;

use super::{
    Figure,
    batches::{BATCH, BATCHES, FULL, ROOM, empty, flows, send},
    observers::{Arm::Armed, Observer},
};
use crate::{
    net::{Fill, Netns},
    stage::{
        Backend::{Fexit, Kprobe, Tracepoint},
        Machine, setup,
    },
};

/// Runs of programs, and the nanoseconds of all of them, by name. The kernel
/// cuts names to 15 bytes; programs that then share one are taken together.
#[derive(Debug, PartialEq)]
struct Runs(BTreeMap<String, (u64, u128)>);

impl Runs {
    /// Reads them of all programs of this machine.
    fn read() -> Result<Self> {
        let mut runs = BTreeMap::<String, (u64, u128)>::new();
        for program in loaded_programs() {
            let program = program?;
            let name = program.name_as_str().unwrap_or_default().to_owned();
            let (count, time) = runs.entry(name).or_default();
            *count += program.run_count();
            *time += program.run_time().as_nanos();
        }
        Ok(Self(runs))
    }

    /// What has been added since.
    fn since(self, earlier: &Self) -> Self {
        let mut runs = self.0;
        for (name, (count, time)) in &mut runs {
            let (before, took) = earlier.0.get(name).copied().unwrap_or_default();
            *count -= before;
            *time -= took;
        }
        runs.retain(|_, (count, _)| *count > 0);
        Self(runs)
    }

    /// States the nanoseconds of each run, and those of all runs for each packet.
    #[expect(clippy::cast_precision_loss, reason = "far less than 2^53")]
    fn state(&self, packet: &str, observer: Observer, packets: u64) -> Result<()> {
        let mut all = 0;
        for (name, &(count, time)) in &self.0 {
            all += time;
            let what = format!("{packet}_program_instructions");
            let who = format!("{observer}: {name}");
            Figure::state(&what, &who, time as f64 / count as f64)?;
        }
        let what = format!("{packet}_programs_instructions");
        Figure::state(&what, &observer.to_string(), all as f64 / packets as f64)
    }
}

/// States how long the programs of each backend run for a new and a refused packet.
pub(super) fn measure(netns: &Netns, machine: &Machine) -> Result<()> {
    let socket = netns.run(|| Ok(UdpSocket::bind("172.16.0.1:40000")?))?;
    fs::write("/proc/sys/kernel/bpf_stats_enabled", "1")?;
    let packets = u64::from(BATCH) * u64::from(BATCHES);
    for backend in [Fexit, Kprobe, Tracepoint] {
        let observer = Observer::Ctdrop(backend, Armed);
        empty(netns)?;
        let observing = observer.start(machine)?;
        let before = Runs::read()?;
        for batch in 0..BATCHES {
            send(&socket, flows(batch), BATCH)?;
        }
        Runs::read()?
            .since(&before)
            .state("new", observer, packets)?;
        empty(netns)?;
        setup::set_conntrack("max", FULL)?;
        Fill::default().to_the_limit(netns)?;
        let before = Runs::read()?;
        let mut refused = 0;
        for _ in 0..BATCHES {
            refused += send(&socket, flows(0), BATCH)?;
        }
        let runs = Runs::read()?.since(&before);
        runs.state("refused", observer, packets)?;
        observing.finish(netns, refused)?;
        setup::set_conntrack("max", ROOM)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ran_since_is_left() {
        let runs = |list: &[(&str, u64, u128)]| {
            Runs(
                list.iter()
                    .map(|&(name, count, time)| (name.to_owned(), (count, time)))
                    .collect(),
            )
        };
        let before = runs(&[("alloc_exit", 3, 30), ("confirm_exit", 5, 50)]);
        let after = runs(&[
            ("alloc_exit", 5, 70),
            ("confirm_exit", 5, 50),
            ("kfree_skb", 1, 9),
        ]);
        let since = runs(&[("alloc_exit", 2, 40), ("kfree_skb", 1, 9)]);
        assert_eq!(after.since(&before), since);
    }
}
