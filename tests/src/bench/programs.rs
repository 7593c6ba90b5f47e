//! How long programs run, by the kernel's own statistics (`bpf_stats_enabled`).
//! Taking those costs something, so that it is not done while packets are measured.

use std::{collections::BTreeMap, fs, net::UdpSocket};

use anyhow::Result;
use aya::programs::loaded_programs;

use super::{
    Figure,
    batches::{BATCH, BATCHES, FULL, ROOM, empty, flows, send},
    observers::{Arm::Pressed, Observer, start_full},
};
use crate::{
    net::{Fill, Netns},
    stage::{
        Backend::{Fexit, Kprobe, Tracepoint},
        Machine, setup,
    },
};

/// Runs of programs, by their number and name.
#[derive(Debug, PartialEq)]
pub(super) struct Runs(BTreeMap<(u32, String), Ran>);

/// How often something ran, and the nanoseconds of all its runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ran {
    count: u64,
    time: u128,
}

impl Runs {
    /// Reads them of all programs of this machine.
    pub(super) fn read() -> Result<Self> {
        let mut runs = BTreeMap::new();
        for program in loaded_programs() {
            let program = program?;
            let name = program.name_as_str().unwrap_or_default().to_owned();
            let ran = Ran {
                count: program.run_count(),
                time: program.run_time().as_nanos(),
            };
            runs.insert((program.id(), name), ran);
        }
        Ok(Self(runs))
    }

    /// What has been added since.
    pub(super) fn since(self, earlier: &Self) -> Self {
        let mut runs = self.0;
        for (program, ran) in &mut runs {
            let before = earlier.0.get(program).copied().unwrap_or_default();
            ran.count -= before.count;
            ran.time -= before.time;
        }
        runs.retain(|_, ran| ran.count > 0);
        Self(runs)
    }

    /// Without the programs that are in `others`.
    pub(super) fn without(mut self, others: &Self) -> Self {
        self.0.retain(|program, _| !others.0.contains_key(program));
        self
    }

    /// The nanoseconds of all runs.
    pub(super) fn time(&self) -> u128 {
        self.0.values().map(|ran| ran.time).sum()
    }

    /// By name. The kernel cuts names to 15 bytes. Programs with the same cut name are added
    /// up.
    fn by_name(&self) -> BTreeMap<&str, Ran> {
        let mut names = BTreeMap::<_, Ran>::new();
        for ((_, name), ran) in &self.0 {
            let sum = names.entry(name.as_str()).or_default();
            sum.count += ran.count;
            sum.time += ran.time;
        }
        names
    }

    /// States the nanoseconds of each run, and those of all runs for each packet.
    #[expect(clippy::cast_precision_loss, reason = "far less than 2^53")]
    fn state(&self, packet: &str, observer: Observer, packets: u64) -> Result<()> {
        for (name, ran) in self.by_name() {
            let what = format!("{packet}_program_instructions");
            let who = format!("{observer}: {name}");
            Figure::state(&what, &who, ran.time as f64 / ran.count as f64)?;
        }
        let what = format!("{packet}_programs_instructions");
        Figure::state(
            &what,
            &observer.to_string(),
            self.time() as f64 / packets as f64,
        )
    }
}

/// States how long the programs of each backend run for a new and a refused packet.
pub(super) fn measure(netns: &Netns, machine: &Machine) -> Result<()> {
    let socket = netns.run(|| Ok(UdpSocket::bind("172.16.0.1:40000")?))?;
    fs::write("/proc/sys/kernel/bpf_stats_enabled", "1")?;
    let packets = u64::from(BATCH) * u64::from(BATCHES);
    for backend in [Fexit, Kprobe, Tracepoint] {
        let observer = Observer::Ctdrop(backend, Pressed);
        empty(netns)?;
        let observing = start_full(netns, machine, observer)?;
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

    fn runs(list: &[(u32, &str, u64, u128)]) -> Runs {
        let run = |&(id, name, count, time): &(u32, &str, u64, u128)| {
            ((id, name.to_owned()), Ran { count, time })
        };
        Runs(list.iter().map(run).collect())
    }

    #[test]
    fn only_what_ran_since_is_left() {
        let before = runs(&[(1, "alloc_exit", 3, 30), (2, "confirm_exit", 5, 50)]);
        let after = runs(&[
            (1, "alloc_exit", 5, 70),
            (2, "confirm_exit", 5, 50),
            (3, "kfree_skb", 1, 9),
        ]);
        let since = runs(&[(1, "alloc_exit", 2, 40), (3, "kfree_skb", 1, 9)]);
        assert_eq!(after.since(&before), since);
    }

    #[test]
    fn programs_of_others_are_left_out_though_they_have_the_same_name() {
        let others = runs(&[(1, "kfree_skb", 0, 0)]);
        let all = runs(&[(1, "kfree_skb", 4, 90), (2, "kfree_skb", 2, 40)]);
        assert_eq!(
            all.by_name()["kfree_skb"],
            Ran {
                count: 6,
                time: 130
            }
        );
        assert_eq!(all.without(&others).time(), 40);
    }
}
