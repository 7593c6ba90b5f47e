//! What a process has used: processor time, memory, what it wrote.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};

/// What a process has used.
pub(super) struct Used {
    /// Processor time, its own and the kernel's for it.
    pub(super) processor: Duration,
    /// Memory that is resident, in MiB.
    pub(super) memory: f64,
    /// Bytes that it had written to files.
    pub(super) written: u64,
}

/// What a process has used up to now.
pub(super) fn used(pid: i32) -> Result<Used> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let resident = resident(&status).with_context(|| format!("no VmRSS in {path}"))?;
    Ok(Used {
        processor: processor_time(pid)?,
        memory: resident / 1024.0,
        written: written(pid)?,
    })
}

/// The clock of all of a process's threads, in the kernel too.
fn processor_time(pid: i32) -> Result<Duration> {
    let mut clock = 0;
    // SAFETY: the pointer is to a variable of this function.
    let failed = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    ensure!(failed == 0, "process {pid} has no clock (error {failed})");
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a variable of this function.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) };
    ensure!(failed == 0, "cannot read the clock of process {pid}");
    Ok(Duration::new(
        time.tv_sec.try_into()?,
        time.tv_nsec.try_into()?,
    ))
}

/// `VmRSS`, in KiB.
fn resident(status: &str) -> Option<f64> {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix("VmRSS:"))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

/// `write_bytes`: what it had the kernel send to a disk (proc(5)).
fn written(pid: i32) -> Result<u64> {
    let path = format!("/proc/{pid}/io");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix("write_bytes: "));
    let value = value.with_context(|| format!("no write_bytes in {path}"))?;
    Ok(value.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status() {
        let status = "Name:\tctdrop\nVmHWM:\t   10000 kB\nVmRSS:\t    9216 kB\n";
        assert_eq!(resident(status), Some(9216.0));
        assert_eq!(resident("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn a_process_has_used_something() {
        let pid = std::process::id().cast_signed();
        let used = used(pid).unwrap();
        assert!(used.processor > Duration::ZERO && used.memory > 0.1);
    }
}
