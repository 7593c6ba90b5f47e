//! The kernel's own log, which it keeps in memory.

use anyhow::Result;
use rustix::{
    system::uname,
    time::{ClockId, clock_gettime},
};

use crate::{
    kernel::{kmsg::KernelLog, message::Message},
    logs::{
        account::attribution::Attribution,
        format::{
            event::{Daemon, Event, What},
            stamp::Stamp,
        },
        time::now,
    },
};

/// What was read of it.
pub(super) struct Read {
    /// How much, in bytes.
    pub(super) bytes: u64,
    /// Records overwritten before they could be read.
    pub(super) lost: u64,
}

/// Reads all that it has now.
pub(super) fn read(sums: &mut Attribution<'_>) -> Result<Read> {
    let host: Box<[u8]> = uname().nodename().to_bytes().into();
    let started = now() - since_start();
    let mut bytes = 0;
    let mut log = KernelLog::from_start()?;
    log.read(|record| {
        bytes += record.text.len() as u64;
        if let Some(message) = Message::parse(record.text) {
            let event = Event {
                at: (bytes, bytes),
                stamp: Stamp::At(started + record.uptime.cast_signed()),
                uptime: Some(record.uptime),
                host: Some(host.clone()),
                boot: None,
                daemon: Daemon::Usual,
                what: What::Message(message, 1),
            };
            sums.take(&event, &|_, _| false);
        }
    })?;
    Ok(Read {
        bytes,
        lost: log.lost(),
    })
}

/// Microseconds since the kernel has started, asleep or awake.
fn since_start() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1000
}
