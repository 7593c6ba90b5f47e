//! The systemd journal, as `journalctl` exports it: `-o export` and `-o json`
//! (<https://systemd.io/JOURNAL_EXPORT_FORMATS>).

use std::io::{self, BufRead, Read as _};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    kernel::message::Message,
    logs::format::{
        event::{Daemon, Event, What},
        stamp::Stamp,
    },
};

/// How an export begins.
pub const EXPORT: &[u8] = b"__CURSOR=";

/// The longest field that is kept. Longer ones are none of the kernel's.
const LONGEST: u64 = 64 * 1024;

/// What is needed of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    realtime: Option<String>,
    #[serde(rename = "_SOURCE_MONOTONIC_TIMESTAMP")]
    uptime: Option<String>,
    #[serde(rename = "_HOSTNAME")]
    host: Option<String>,
    #[serde(rename = "_BOOT_ID")]
    boot: Option<String>,
    #[serde(rename = "_TRANSPORT")]
    transport: Option<String>,
    /// Text, or a list of bytes if it is none.
    #[serde(rename = "MESSAGE")]
    message: Value,
}

impl Entry {
    /// Takes a field in; others are left out.
    fn field(&mut self, name: &[u8], value: &[u8]) {
        let text = || Some(String::from_utf8_lossy(value).into_owned());
        match name {
            b"__REALTIME_TIMESTAMP" => self.realtime = text(),
            b"_SOURCE_MONOTONIC_TIMESTAMP" => self.uptime = text(),
            b"_HOSTNAME" => self.host = text(),
            b"_BOOT_ID" => self.boot = text(),
            b"_TRANSPORT" => self.transport = text(),
            b"MESSAGE" => self.message = text().into(),
            _ => {}
        }
    }

    /// What it says, if it is the kernel's and about us.
    fn event(&self, at: (u64, u64)) -> Option<Event> {
        if self.transport.as_deref() != Some("kernel") {
            return None;
        }
        let message = match &self.message {
            Value::String(text) => text.as_bytes().to_vec(),
            Value::Array(bytes) => bytes
                .iter()
                .map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()))
                .collect::<Option<_>>()?,
            _ => return None,
        };
        let message = Message::parse(&message)?;
        let number = |text: &Option<String>| text.as_deref()?.parse().ok();
        Some(Event {
            at,
            stamp: number(&self.realtime)
                .and_then(|at: u64| i64::try_from(at).ok())
                .map_or(Stamp::Missing, Stamp::At),
            daemon: Daemon::Usual,
            uptime: number(&self.uptime),
            host: self.host.as_deref().map(|host| host.as_bytes().into()),
            boot: self
                .boot
                .as_deref()
                .and_then(|boot| boot.as_bytes().try_into().ok()),
            what: What::Message(message, 1),
        })
    }
}

/// Reads a line of `journalctl -o json`, `json-seq` or `json-sse`. None: it is not one.
pub fn json(line: &[u8], at: (u64, u64)) -> Option<Option<Event>> {
    let line = line
        .strip_prefix(b"\x1e")
        .or_else(|| line.strip_prefix(b"data: "))
        .unwrap_or(line);
    if line.first() != Some(&b'{') {
        return None;
    }
    let entry: Entry = serde_json::from_slice(line).ok()?;
    entry.realtime.as_ref()?;
    Some(entry.event(at))
}

/// How `journalctl -o json-pretty` begins: a brace and the end of the line.
pub fn is_pretty(begin: &[u8]) -> bool {
    begin
        .strip_prefix(b"{")
        .is_some_and(|rest| rest.starts_with(b"\n") || rest.starts_with(b"\r\n"))
}

/// Reads `journalctl -o json-pretty`, and calls `take` with what is about us and with how
/// many bytes have been read. None: it is JSON of another program.
pub fn pretty(
    source: impl io::Read,
    mut take: impl FnMut(Option<Event>, u64),
) -> Option<io::Result<()>> {
    let mut values = serde_json::Deserializer::from_reader(source).into_iter::<Entry>();
    let mut begin = 0;
    let mut is_journal = false;
    while let Some(entry) = values.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return is_journal.then(|| Err(error.into())),
        };
        is_journal |= entry.realtime.is_some();
        let end = values.byte_offset() as u64;
        take(entry.event((begin, end)), end);
        begin = end;
    }
    is_journal.then_some(Ok(()))
}

/// Reads the export format, and calls `take` with what is about us and with how
/// many bytes have been read.
pub fn export(
    mut source: impl BufRead,
    mut take: impl FnMut(Option<Event>, u64),
) -> io::Result<u64> {
    let mut entry = Entry::default();
    let mut read = 0;
    let mut begin = 0;
    let mut entries = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = bounded_line(&mut source, &mut line)?;
        read += length;
        let content = line.strip_suffix(b"\n").unwrap_or(&line);
        if length == 0 || content.is_empty() {
            if entry != Entry::default() {
                entries += 1;
                take(entry.event((begin, read)), read);
                entry = Entry::default();
            }
            begin = read;
            if length == 0 {
                return Ok(entries);
            }
            continue;
        }
        if let Some(equals) = memchr::memchr(b'=', content) {
            entry.field(&content[..equals], &content[equals + 1..]);
        } else {
            let name = content.to_vec();
            let (value, length) = binary(&mut source)?;
            read += length;
            entry.field(&name, &value);
        }
    }
}

/// Reads a line, and keeps of it no more than the longest field.
fn bounded_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    let mut length = source.take(LONGEST).read_until(b'\n', line)? as u64;
    while length >= LONGEST && line.last() != Some(&b'\n') {
        let buffered = source.fill_buf()?;
        if buffered.is_empty() {
            break;
        }
        let newline = memchr::memchr(b'\n', buffered);
        let part = newline.map_or(buffered.len(), |newline| newline + 1);
        source.consume(part);
        length += part as u64;
        if newline.is_some() {
            break;
        }
    }
    Ok(length)
}

/// Reads a field that is not text: its length, its bytes, a newline.
fn binary(source: &mut impl BufRead) -> io::Result<(Vec<u8>, u64)> {
    let mut length = [0; 8];
    source.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut value = Vec::new();
    let kept = source
        .by_ref()
        .take(length.min(LONGEST))
        .read_to_end(&mut value)? as u64;
    let rest = length - length.min(LONGEST);
    let left = io::copy(&mut source.by_ref().take(rest), &mut io::sink())?;
    if kept + left < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut newline = [0];
    source.read_exact(&mut newline)?;
    if newline != *b"\n" {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not in the journal's export format: a field is longer than it says",
        ));
    }
    Ok((value, 8 + length + 1))
}
