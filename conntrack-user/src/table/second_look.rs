//! A second look at connections that may be idle: each is asked for twice, some
//! seconds apart.

use std::{
    io,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result};

use crate::table::{
    entry::Entry,
    idle::{Apart, Look, Pair},
    receive::Source,
    request,
    wire::{self, Message},
};

/// Time between the two looks. A connection that has packets at least this often
/// shows one in between.
pub const PAUSE: Duration = Duration::from_secs(3);

/// Bytes of a datagram: an entry takes some hundred.
const DATAGRAM: usize = 16 << 10;

/// Datagrams about other requests that are passed over: none is expected.
const STRAY: usize = 64;

/// A connection, and between which moments it was looked at.
struct Seen<'a> {
    entry: &'a Entry,
    look: Look,
    requested: Instant,
    answered: Instant,
}

/// Looks twice at each of these, and waits in between.
pub fn look<'a>(
    source: &mut impl Source,
    entries: impl Iterator<Item = &'a Entry>,
    wait: impl FnOnce(Duration),
) -> Result<Vec<Pair>> {
    let mut buffer = vec![0; DATAGRAM];
    let mut first = Vec::new();
    for entry in entries {
        let requested = Instant::now();
        if let Some(look) = once(source, entry, &mut buffer)? {
            first.push(Seen {
                entry,
                look,
                requested,
                answered: Instant::now(),
            });
        }
    }
    wait(PAUSE);
    let mut pairs = Vec::with_capacity(first.len());
    for seen in first {
        let at_least = seen.answered.elapsed();
        let second = once(source, seen.entry, &mut buffer)?;
        pairs.push(Pair {
            source: seen.entry.src.ip(),
            first: seen.look,
            second,
            apart: Apart {
                at_least,
                at_most: seen.requested.elapsed(),
            },
        });
    }
    Ok(pairs)
}

/// Asks for one entry; none if it is gone, or no longer established.
fn once(source: &mut impl Source, entry: &Entry, buffer: &mut [u8]) -> Result<Option<Look>> {
    source
        .request(&request::one(entry))
        .context("cannot ask for an entry of the conntrack table")?;
    for _ in 0..STRAY {
        let length = receive(source, buffer)?;
        let datagram = buffer.get(..length).unwrap_or_default();
        for (message, _) in wire::messages(datagram) {
            match message {
                Message::Entry(payload) => {
                    let found = wire::entry(payload).filter(|found| found.is_same_flow(entry));
                    if let Some(found) = found {
                        return Ok(found.is_established().then(|| found.look(now())));
                    }
                }
                Message::Error(error) if error == libc::ENOENT => return Ok(None),
                Message::Error(error) if error != 0 => {
                    return Err(io::Error::from_raw_os_error(error))
                        .context("cannot read an entry of the conntrack table");
                }
                _ => {}
            }
        }
    }
    anyhow::bail!("the kernel has not answered for an entry of the conntrack table")
}

fn receive(source: &mut impl Source, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match source.receive(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            received => return received.context("cannot receive an entry of the conntrack table"),
        }
    }
}

/// Wall-clock time, in nanoseconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::table::entry::{Address, TCP, TCP_ESTABLISHED};

    /// What the kernel says, in this order.
    #[derive(Default)]
    struct Script {
        answers: VecDeque<Vec<u8>>,
        requests: Vec<Vec<u8>>,
    }

    impl Source for Script {
        fn request(&mut self, message: &[u8]) -> io::Result<()> {
            self.requests.push(message.to_vec());
            Ok(())
        }

        fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let answer = self.answers.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
            buffer[..answer.len()].copy_from_slice(&answer);
            Ok(answer.len())
        }
    }

    fn connection(port: u16) -> Entry {
        Entry {
            family: 2,
            protocol: TCP,
            src: Address::v4([10, 0, 0, 7]),
            dst: Address::v4([192, 0, 2, 80]),
            sport: port,
            dport: 443,
            zone: 7,
            state: Some(TCP_ESTABLISHED),
            ..Entry::default()
        }
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// The answer about a connection: the request's own tuple, and more.
    fn answer(port: u16, state: u8, remaining: u32) -> Vec<u8> {
        let mut bytes = request::one(&connection(port));
        bytes[4..6].copy_from_slice(&wire::CT_NEW.to_ne_bytes());
        bytes.extend(attribute(7, &remaining.to_be_bytes()));
        let state = attribute(0x8001, &attribute(1, &[state]));
        bytes.extend(attribute(0x8004, &state));
        let length = u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }

    fn refusal(error: i32) -> Vec<u8> {
        let mut bytes = vec![20, 0, 0, 0, 2, 0, 0, 0];
        bytes.extend([0; 8]);
        bytes.extend((-error).to_ne_bytes());
        bytes
    }

    fn twice(answers: impl IntoIterator<Item = Vec<u8>>, ports: &[u16]) -> Result<Vec<Pair>> {
        let mut script = Script {
            answers: answers.into_iter().collect(),
            ..Script::default()
        };
        let entries: Vec<Entry> = ports.iter().map(|&port| connection(port)).collect();
        look(&mut script, entries.iter(), |pause| {
            assert_eq!(pause, PAUSE);
        })
    }

    #[test]
    fn each_connection_is_asked_for_twice() {
        let answers = [
            answer(1, TCP_ESTABLISHED, 600),
            answer(2, TCP_ESTABLISHED, 500),
            answer(1, TCP_ESTABLISHED, 599),
            answer(2, TCP_ESTABLISHED, 497),
        ];
        let pairs = twice(answers, &[1, 2]).unwrap();
        let remaining: Vec<_> = pairs
            .iter()
            .map(|pair| (pair.first.remaining, pair.second.unwrap().remaining))
            .collect();
        assert_eq!(remaining, [(Some(600), Some(599)), (Some(500), Some(497))]);
    }

    #[test]
    fn what_has_ended_or_closes_has_no_second_look() {
        const TIME_WAIT: u8 = 7;
        let answers = [
            refusal(libc::ENOENT),
            answer(2, TCP_ESTABLISHED, 500),
            answer(3, TCP_ESTABLISHED, 500),
            refusal(libc::ENOENT),
            answer(3, TIME_WAIT, 120),
        ];
        let pairs = twice(answers, &[1, 2, 3]).unwrap();
        assert_eq!(pairs.len(), 2);
        assert!(pairs.iter().all(|pair| pair.second.is_none()));
    }

    #[test]
    fn answers_about_others_are_passed_over() {
        let answers = [
            answer(9, TCP_ESTABLISHED, 1),
            answer(1, TCP_ESTABLISHED, 600),
            answer(1, TCP_ESTABLISHED, 600),
        ];
        let pairs = twice(answers, &[1]).unwrap();
        assert_eq!(pairs[0].first.remaining, Some(600));
    }

    #[test]
    fn a_refusal_is_an_error() {
        let error = twice([refusal(libc::EPERM)], &[1]).unwrap_err();
        assert!(
            format!("{error:#}").contains("cannot read an entry"),
            "{error:#}"
        );
    }
}
