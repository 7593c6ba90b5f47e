//! Which network namespace is the host's.

use std::{fs, io, path::Path};

use crate::kernel::{netns::files::inode_of_process, surroundings::isolation::FIRST_PID_NAMESPACE};

/// The namespace of the host, as far as it can be seen.
pub(super) struct Host {
    /// Its number, if that is known.
    pub(super) inode: Option<u32>,
    /// Why the namespace of PID 1 cannot be read, if it cannot.
    pub(super) first: Option<io::Error>,
    /// See [`is_contained`].
    pub(super) contained: bool,
}

impl Host {
    /// Finds it: that of PID 1 or, where this one cannot be read, of the kernel's
    /// own threads.
    pub(super) fn find() -> Self {
        let first = inode_of_process(1);
        let contained = is_contained();
        let inode = match &first {
            Ok(inode) => Some(*inode),
            Err(_) if contained => None,
            Err(_) => inode_of_kernel_threads(),
        };
        Self {
            inode,
            first: first.err(),
            contained,
        }
    }
}

/// Whether processes of the host are out of sight, as those of a container
/// have numbers of their own.
fn is_contained() -> bool {
    fs::read_link("/proc/self/ns/pid").is_ok_and(|own| own != Path::new(FIRST_PID_NAMESPACE))
}

/// The process that starts all of the kernel's threads.
const KTHREADD: u32 = 2;

/// `PF_KTHREAD` (`include/linux/sched.h`, the same since 2.6.27).
const PF_KTHREAD: u64 = 0x0020_0000;

/// The number of the namespace that the kernel's own threads are in, which is
/// the first one: they never leave it. Only to be asked in the first PID
/// namespace; in another, number 2 is anybody's.
fn inode_of_kernel_threads() -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{KTHREADD}/stat")).ok()?;
    let inode = is_kthreadd(&stat).then(|| inode_of_process(KTHREADD))?;
    inode.ok()
}

/// Whether a line of `/proc/PID/stat` is that of `kthreadd`: its name can be had
/// by anybody, its flag and the lack of a parent cannot.
fn is_kthreadd(stat: &str) -> bool {
    let Some((before, after)) = stat.rsplit_once(')') else {
        return false;
    };
    let parent = after.split_whitespace().nth(1);
    before == "2 (kthreadd" && parent == Some("0") && is_kernel_thread(stat)
}

/// Whether a line of `/proc/PID/stat` is that of one of the kernel's own threads.
pub(super) fn is_kernel_thread(stat: &str) -> bool {
    let flags = || {
        let (_, after) = stat.rsplit_once(')')?;
        after.split_whitespace().nth(6)?.parse::<u64>().ok()
    };
    flags().is_some_and(|flags| flags & PF_KTHREAD != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kernel_s_own_thread_is_kthreadd() {
        let line = |name: &str, parent: u32, flags: u64| {
            format!("2 ({name}) S {parent} 0 0 0 -1 {flags} 0 0 0 0 1 0 0 0 20 0 1 0 21 0 0\n")
        };
        assert!(is_kthreadd(&line("kthreadd", 0, 2_129_984)));
        assert!(
            !is_kthreadd(&line("kthreadd", 0, 4_194_560)),
            "no kernel thread"
        );
        assert!(!is_kthreadd(&line("kthreadd", 1, 2_129_984)), "a child");
        assert!(!is_kthreadd(&line("a) S 0 (kthreadd", 0, 2_129_984)));
        assert!(!is_kthreadd(&line("sleep", 0, 2_129_984)));
        assert!(!is_kthreadd(""));
    }
}
