//! A dump of one namespace's table, entry by entry.

use std::io;

use anyhow::{Context as _, Result, bail};

use super::{
    entry::Entry,
    filter::{Criterion, Filter},
    request::{self, Ask},
    wire::{self, Message},
};

/// Bytes of a datagram: the kernel never writes more than 32 KiB at once, and
/// as much only if the reader has room for it (`netlink_dump`,
/// `net/netlink/af_netlink.c`).
const DATAGRAM: usize = 64 << 10;

/// How often a dump goes on after the kernel lacked room for a datagram.
const PATIENCE: u64 = 1000;

/// What a dump is asked of and comes from.
pub trait Source {
    /// Sends a message to the kernel.
    fn request(&mut self, message: &[u8]) -> io::Result<()>;

    /// Receives a datagram and gives its length, which is that of the datagram
    /// even if it had no room.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// How a dump went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Messages received that hold an entry, also of others than asked for.
    pub received: u64,
    /// Of these, how many could not be read.
    pub unreadable: u64,
    /// Of these, how many were not asked for, by the criterion they fail, in
    /// the order of [`Criterion::ALL`]: the kernel did not filter by it.
    pub discarded: [u64; Criterion::ALL.len()],
    /// How often the kernel said that it lacked room for a datagram (`ENOBUFS`).
    pub overruns: u64,
    /// Whether the kernel said that the table changed so that entries may be
    /// missing or come twice (`NLM_F_DUMP_INTR`, `EINTR`).
    pub interrupted: bool,
    /// Whether the kernel refused to filter by anything but the family.
    pub refused_filter: bool,
}

impl Outcome {
    /// Whether it is sure that no message was lost.
    pub const fn is_whole(&self) -> bool {
        self.overruns == 0 && !self.interrupted
    }
}

/// How a request ended.
enum End {
    /// With the end of the dump.
    Done,
    /// The kernel does not know such a filter.
    FilterRefused,
}

/// Dumps the table, and calls `visit` with each entry asked for.
/// `progress` hears now and then how many have been received.
pub fn dump(
    source: &mut impl Source,
    filter: &Filter,
    visit: &mut impl FnMut(&Entry),
    progress: &mut impl FnMut(u64),
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let request = request::dump(filter, Ask::Everything);
    match once(source, &request, filter, &mut outcome, visit, progress)? {
        End::Done => return Ok(outcome),
        End::FilterRefused => outcome.refused_filter = true,
    }
    let request = request::dump(filter, Ask::Family);
    match once(source, &request, filter, &mut outcome, visit, progress)? {
        End::Done => Ok(outcome),
        End::FilterRefused => bail!("the kernel refuses to dump the table"),
    }
}

fn once(
    source: &mut impl Source,
    request: &[u8],
    filter: &Filter,
    outcome: &mut Outcome,
    visit: &mut impl FnMut(&Entry),
    progress: &mut impl FnMut(u64),
) -> Result<End> {
    source
        .request(request)
        .context("cannot ask for a dump of the conntrack table")?;
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let length = match source.receive(&mut buffer) {
            Ok(length) => length,
            // The dump goes on with the next call.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                outcome.overruns += 1;
                if outcome.overruns > PATIENCE {
                    bail!(
                        "the kernel had no room for the dump of the conntrack table \
                         {PATIENCE} times: it lacks memory"
                    );
                }
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                bail!(
                    "the dump of the conntrack table stopped short after {} entries: the kernel \
                     sent nothing more",
                    outcome.received
                )
            }
            Err(error) => return Err(error).context("cannot receive the conntrack table"),
        };
        let Some(datagram) = buffer.get(..length) else {
            bail!("a datagram of {length} bytes was cut: the kernel writes no more than 32 KiB");
        };
        if let Some(end) = take(datagram, filter, outcome, visit)? {
            return Ok(end);
        }
        progress(outcome.received);
    }
}

/// Takes in a datagram; gives the end, if it is there.
fn take(
    datagram: &[u8],
    filter: &Filter,
    outcome: &mut Outcome,
    visit: &mut impl FnMut(&Entry),
) -> Result<Option<End>> {
    for (message, interrupted) in wire::messages(datagram) {
        outcome.interrupted |= interrupted;
        match message {
            Message::Entry(payload) => {
                outcome.received += 1;
                match wire::entry(payload) {
                    None => outcome.unreadable += 1,
                    Some(entry) => match filter.fails(&entry) {
                        None => visit(&entry),
                        Some(criterion) => outcome.discarded[criterion as usize] += 1,
                    },
                }
            }
            Message::Done(error) | Message::Error(error) if error == libc::EINTR => {
                outcome.interrupted = true;
                return Ok(Some(End::Done));
            }
            Message::Done(0) => return Ok(Some(End::Done)),
            Message::Error(0) | Message::Other => {}
            Message::Done(error) | Message::Error(error) => {
                return refused(error, filter).map(Some);
            }
            Message::Overrun => outcome.overruns += 1,
            Message::Broken => {
                outcome.received += 1;
                outcome.unreadable += 1;
            }
        }
    }
    Ok(None)
}

/// What an error in place of a dump means.
fn refused(error: i32, filter: &Filter) -> Result<End> {
    let has_more = filter.criteria().any(|it| it != Criterion::Family);
    if has_more && [libc::EOPNOTSUPP, libc::EINVAL].contains(&error) {
        return Ok(End::FilterRefused);
    }
    let cause = io::Error::from_raw_os_error(error);
    Err(match error {
        libc::EPERM => anyhow::Error::new(cause)
            .context("the conntrack table may not be read: it needs CAP_NET_ADMIN (run as root)"),
        libc::EINVAL | libc::EOPNOTSUPP => anyhow::Error::new(cause).context(
            "the kernel does not offer the conntrack table: module nf_conntrack_netlink is not \
             loaded and could not be (CONFIG_NF_CT_NETLINK; modprobe nf_conntrack_netlink)",
        ),
        _ => anyhow::Error::new(cause).context("the kernel could not dump the conntrack table"),
    })
}
