//! Who sent the packets that did not come from elsewhere: names for process
//! numbers.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use conntrack_ebpf::Sender;

use crate::kernel::process::{Noted, Process};

/// Processes that are remembered. When more come, those that have ended are
/// forgotten; one that finds no room even so is shown by its number alone.
const PROCESSES: usize = 16_384;

/// The processes that sent packets which were refused.
/// Cheap to clone: a copy shares what is known until one of the two learns more.
#[derive(Clone, Debug, Default)]
pub struct Senders {
    known: Arc<BTreeMap<u32, (Sender, Process)>>,
}

impl Senders {
    /// The process of that number.
    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.known.get(&pid).map(|(_, process)| process)
    }

    /// Takes in what the programs noted of a process, while it may still live.
    pub(crate) fn learn(&mut self, pid: u32, sender: Sender) {
        if self
            .known
            .get(&pid)
            .is_some_and(|(noted, _)| *noted == sender)
        {
            return;
        }
        if self.known.len() >= PROCESSES {
            Arc::make_mut(&mut self.known)
                .retain(|pid, _| Path::new("/proc").join(pid.to_string()).exists());
        }
        if self.known.len() < PROCESSES {
            let noted = Noted {
                comm: &text(&sender.comm),
                cgroup: sender.cgroup,
            };
            let process = Process::of(pid, noted);
            Arc::make_mut(&mut self.known).insert(pid, (sender, process));
        }
    }
}

/// A name as the kernel has it: up to its first 0.
fn text(comm: &[u8; 16]) -> String {
    let name = comm.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_living_process_is_described_by_what_proc_says() {
        let pid = std::process::id();
        let noted = Sender {
            cgroup: 0,
            comm: *b"thread\0\0\0\0\0\0\0\0\0\0",
        };
        let mut senders = Senders::default();
        senders.learn(pid, noted);
        let process = senders.get(pid).unwrap();
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(process.comm, comm.trim_end());
    }
}
