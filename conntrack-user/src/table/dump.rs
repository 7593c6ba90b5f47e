//! A dump of one namespace's table, entry by entry.

use std::{io, sync::mpsc, thread};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::geteuid;

use crate::{
    say::number::{counted_entries, number},
    table::{
        entry::Entry,
        filter::{Criterion, Filter},
        receive::{AHEAD, DATAGRAM, PATIENCE, Received, Source, receive},
        request::{self, Ask},
        wire::{self, Message},
    },
};

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
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// With the end of the dump.
    Done,
    /// The kernel does not know such a filter.
    FilterRefused,
}

/// Dumps the table, and calls `visit` with each entry asked for.
/// `progress` hears now and then how many have been received.
pub fn dump(
    source: &mut (impl Source + Send),
    filter: &Filter,
    visit: &mut impl FnMut(&Entry),
    progress: &mut impl FnMut(u64),
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for &family in request::families(filter) {
        let request = request::dump(filter, family, Ask::Everything);
        let end = once(source, &request, filter, &mut outcome, visit, progress)?;
        if end == End::FilterRefused {
            outcome.refused_filter = true;
            break;
        }
    }
    if outcome.refused_filter {
        // It was refused before anything was sent.
        let request = request::dump(filter, filter.family_number(), Ask::Family);
        once(source, &request, filter, &mut outcome, visit, progress)?;
    }
    Ok(outcome)
}

/// Carries out one request. A thread of its own receives, since that is when
/// the kernel goes through the table: so both work at the same time.
fn once(
    source: &mut (impl Source + Send),
    request: &[u8],
    filter: &Filter,
    outcome: &mut Outcome,
    visit: &mut impl FnMut(&Entry),
    progress: &mut impl FnMut(u64),
) -> Result<End> {
    source
        .request(request)
        .context("cannot ask for a dump of the conntrack table")?;
    thread::scope(|scope| {
        let (full, received) = mpsc::sync_channel(AHEAD);
        let (empty, free) = mpsc::sync_channel(AHEAD);
        thread::Builder::new()
            .spawn_scoped(scope, move || receive(source, &full, &free))
            .context("cannot start a thread to receive the conntrack table")?;
        for _ in 0..AHEAD {
            // The thread has not ended before it has received anything.
            let _ = empty.send(vec![0; DATAGRAM]);
        }
        for event in received {
            let (buffer, length) = match event {
                Received::Datagram(buffer, length) => (buffer, length),
                Received::Overrun => {
                    outcome.overruns += 1;
                    continue;
                }
                Received::Failed(error) => return Err(failed(error, outcome)),
            };
            let Some(datagram) = buffer.get(..length) else {
                bail!(
                    "a datagram of {length} bytes was cut off: the kernel should write at most 32 KiB"
                );
            };
            if let Some(end) = take(datagram, filter, outcome, visit)? {
                return Ok(end);
            }
            progress(outcome.received);
            // The thread may have ended, with what ends the dump on its way.
            let _ = empty.send(buffer);
        }
        bail!("the conntrack table was not received completely")
    })
}

/// What it means that nothing more could be received.
fn failed(error: io::Error, outcome: &Outcome) -> anyhow::Error {
    let received = outcome.received;
    match error.raw_os_error() {
        Some(libc::ENOBUFS) => anyhow!(
            "the kernel had no memory for the dump of the conntrack table, {} times",
            number(PATIENCE)
        ),
        _ if error.kind() == io::ErrorKind::WouldBlock => anyhow!(
            "the dump of the conntrack table stopped after {}: the kernel sent nothing more",
            counted_entries(received)
        ),
        _ => anyhow::Error::new(error).context("cannot receive the conntrack table"),
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
        libc::EPERM => anyhow::Error::new(cause).context(denied(geteuid().is_root())),
        libc::EINVAL | libc::EOPNOTSUPP => anyhow::Error::new(cause).context(
            "the kernel cannot dump the conntrack table: its module nf_conntrack_netlink is not \
             loaded and cannot be loaded (CONFIG_NF_CT_NETLINK; modprobe nf_conntrack_netlink)",
        ),
        _ => anyhow::Error::new(cause).context("the kernel could not dump the conntrack table"),
    })
}

/// What it takes to read the table; root lacks it in a container.
const fn denied(root: bool) -> &'static str {
    if root {
        "no permission to read the conntrack table: this needs CAP_NET_ADMIN in the user \
         namespace that the network namespace belongs to"
    } else {
        "no permission to read the conntrack table: this needs CAP_NET_ADMIN (run as root)"
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::atomic::{AtomicBool, Ordering},
    };

    use super::*;
    use crate::table::socket::Unless;

    /// What the kernel would answer.
    #[derive(Default)]
    struct Script {
        answers: VecDeque<io::Result<Vec<u8>>>,
        requests: Vec<Vec<u8>>,
    }

    impl Source for Script {
        fn request(&mut self, message: &[u8]) -> io::Result<()> {
            self.requests.push(message.to_vec());
            Ok(())
        }

        fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let end = || Err(io::ErrorKind::WouldBlock.into());
            let bytes = self.answers.pop_front().unwrap_or_else(end)?;
            if let Some(room) = buffer.get_mut(..bytes.len()) {
                room.copy_from_slice(&bytes);
            }
            Ok(bytes.len())
        }
    }

    fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(16 + payload.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(payload);
        bytes
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn entry(source: [u8; 4], flags: u16) -> Vec<u8> {
        let ip = [attribute(1, &source), attribute(2, &[192, 0, 2, 1])].concat();
        let proto = [attribute(1, &[17]), attribute(3, &53_u16.to_be_bytes())].concat();
        let tuple = [attribute(0x8001, &ip), attribute(0x8002, &proto)].concat();
        let payload = [vec![2, 0, 0, 0], attribute(0x8001, &tuple)].concat();
        message(wire::CT_NEW, flags, &payload)
    }

    fn done(error: i32) -> Vec<u8> {
        message(3, 2, &(-error).to_ne_bytes())
    }

    fn refusal(error: i32) -> Vec<u8> {
        message(2, 0, &(-error).to_ne_bytes())
    }

    fn os(error: i32) -> io::Result<Vec<u8>> {
        Err(io::Error::from_raw_os_error(error))
    }

    /// The sources seen, how it went, and how many requests it took.
    fn play(
        answers: impl IntoIterator<Item = io::Result<Vec<u8>>>,
        filter: &Filter,
    ) -> (Vec<String>, Result<Outcome>, usize) {
        let mut script = Script {
            answers: answers.into_iter().collect(),
            ..Script::default()
        };
        let mut seen = Vec::new();
        let visit = &mut |entry: &Entry| seen.push(entry.src.to_string());
        let outcome = dump(&mut script, filter, visit, &mut |_| {});
        (seen, outcome, script.requests.len())
    }

    #[test]
    fn entries_come_in_several_datagrams() {
        let datagrams = [
            [entry([10, 0, 0, 1], 2), entry([10, 0, 0, 2], 2)].concat(),
            [entry([10, 0, 0, 3], 2), done(0)].concat(),
        ];
        let (seen, outcome, requests) = play(datagrams.map(Ok), &Filter::default());
        assert_eq!(seen, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        let outcome = outcome.unwrap();
        assert!(outcome.is_whole());
        assert_eq!((outcome.received, requests), (3, 1));
    }

    #[test]
    fn lack_of_room_is_counted_and_the_dump_goes_on() {
        let answers = [
            os(libc::ENOBUFS),
            os(libc::EINTR),
            Ok(entry([10, 0, 0, 1], 2)),
            os(libc::ENOBUFS),
            Ok(done(0)),
        ];
        let (seen, outcome, _) = play(answers, &Filter::default());
        let outcome = outcome.unwrap();
        assert_eq!((seen.len(), outcome.overruns), (1, 2));
        assert!(!outcome.is_whole());
        let endless = (0..2000).map(|_| os(libc::ENOBUFS));
        let error = play(endless, &Filter::default()).1.unwrap_err();
        assert!(error.to_string().contains("no memory"), "{error}");
    }

    #[test]
    fn a_dump_that_nobody_wants_any_more_ends_early() {
        let stop = AtomicBool::new(false);
        let mut source = Unless {
            stop: &stop,
            source: Script {
                answers: (0..1000).map(|_| Ok(entry([10, 0, 0, 1], 2))).collect(),
                ..Script::default()
            },
        };
        let mut seen = 0;
        let visit = &mut |_: &Entry| {
            seen += 1;
            stop.fetch_or(seen == 5, Ordering::Relaxed);
        };
        let filter = Filter::default();
        let error = dump(&mut source, &filter, visit, &mut |_| {}).unwrap_err();
        assert!(format!("{error:#}").contains("was stopped"), "{error:#}");
        let left = source.source.answers.len();
        // What was received ahead is out of it.
        assert!(left >= 1000 - 5 - AHEAD, "{left}");
    }

    #[test]
    fn a_changed_table_is_noticed_in_both_forms() {
        let flagged = [Ok(entry([10, 0, 0, 1], 0x12)), Ok(done(0))];
        let ended = [Ok(entry([10, 0, 0, 1], 2)), Ok(done(libc::EINTR))];
        for answers in [flagged, ended] {
            let (seen, outcome, _) = play(answers, &Filter::default());
            assert_eq!(seen.len(), 1);
            let outcome = outcome.unwrap();
            assert!(outcome.interrupted && !outcome.is_whole());
        }
    }

    #[test]
    fn what_the_kernel_does_not_filter_is_filtered_here() {
        let filter = Filter {
            src: "10.0.0.2/32".parse().ok(),
            ..Filter::default()
        };
        let table = || {
            let entries = [entry([10, 0, 0, 1], 2), entry([10, 0, 0, 2], 2), done(0)];
            Ok(entries.concat())
        };
        // A kernel that ignores what it does not know, and one that refuses.
        let (seen, outcome, requests) = play([table()], &filter);
        let outcome = outcome.unwrap();
        assert_eq!((seen, requests), (vec!["10.0.0.2".to_owned()], 1));
        assert_eq!(outcome.discarded[Criterion::Src as usize], 1);
        let (seen, outcome, requests) = play([Ok(refusal(libc::EOPNOTSUPP)), table()], &filter);
        assert!(outcome.unwrap().refused_filter);
        assert_eq!((seen, requests), (vec!["10.0.0.2".to_owned()], 2));
    }

    #[test]
    fn refusals_name_the_remedy() {
        let error = |number| {
            let outcome = play([Ok(refusal(number))], &Filter::default()).1;
            outcome.unwrap_err().to_string()
        };
        assert!(error(libc::EPERM).contains("CAP_NET_ADMIN"));
        assert!(denied(false).contains("run as root"));
        assert!(!denied(true).contains("as root"));
        assert!(error(libc::EINVAL).contains("modprobe nf_conntrack_netlink"));
        let cut = play([Ok(vec![0; DATAGRAM + 4])], &Filter::default()).1;
        assert!(cut.unwrap_err().to_string().contains("was cut off"));
        let stopped = play([Ok(entry([10, 0, 0, 1], 2))], &Filter::default()).1;
        let stopped = stopped.unwrap_err().to_string();
        assert!(stopped.contains("after 1 entry:"), "{stopped}");
    }

    #[test]
    fn what_cannot_be_read_is_counted() {
        let mut broken = entry([10, 0, 0, 1], 2);
        // The length of the tuple's nest.
        broken[20] = 0xff;
        let answers = [Ok([broken, entry([10, 0, 0, 2], 2), done(0)].concat())];
        let (seen, outcome, _) = play(answers, &Filter::default());
        let outcome = outcome.unwrap();
        assert_eq!((seen.len(), outcome.received), (1, 2));
        assert_eq!(outcome.unreadable, 1);
    }
}
