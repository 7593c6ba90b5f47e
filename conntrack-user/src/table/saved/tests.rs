use std::{fmt::Write as _, io::Write as _};

use proptest::prelude::*;

use super::*;
use crate::{
    input::progress::Silent,
    table::{
        aggregate::HEAVY_KEYS,
        entry::{Address, ICMP, Progress, Rules, SCTP, TCP, UDP},
        timeouts::Timeouts,
    },
};

/// One table in all forms, made on Linux 6.18 with conntrack 1.4.7 in a network
/// namespace of its own; of `ip_conntrack` in the form of 2.4 and 2.6.18.
const PLAIN: &str = include_str!("fixtures/plain.txt");
const EXTENDED: &str = include_str!("fixtures/extended.txt");
const EXTRAS: &str = include_str!("fixtures/extras.txt");
const XML: &str = include_str!("fixtures/table.xml");
const NF_CONNTRACK: &str = include_str!("fixtures/nf_conntrack.txt");
const IP_CONNTRACK: &str = include_str!("fixtures/ip_conntrack.txt");

fn read_content(content: Content, threads: usize) -> (Vec<Entry>, Reading) {
    let mut entries = Vec::new();
    let filter = Filter::default();
    let mut visit = |entry: &Entry| entries.push(*entry);
    let reading = read(content, threads, &filter, &mut visit, &mut Silent);
    (entries, reading)
}

fn read_text(text: &str) -> (Vec<Entry>, Reading) {
    read_content(Content::Read(text.as_bytes().to_vec()), 1)
}

/// The same whatever the form: without what only some forms have.
fn common(text: &str) -> Vec<Entry> {
    let (mut entries, reading) = read_text(text);
    assert_eq!(reading.malformed, 0, "{:?}", reading.first_malformed);
    assert!(!reading.cut);
    for entry in &mut entries {
        entry.start = None;
        entry.packets = None;
    }
    entries
}

#[test]
fn one_table_is_the_same_in_every_form() {
    let plain = common(PLAIN);
    assert_eq!(plain.len(), 7);
    assert_eq!(common(EXTENDED), plain);
    assert_eq!(common(EXTRAS), plain);
    assert_eq!(common(NF_CONNTRACK), plain);
    // XML leaves out what ICMP has.
    let mut without_icmp = plain.clone();
    for entry in &mut without_icmp {
        if entry.protocol == ICMP {
            (entry.sport, entry.dport) = (0, 0);
        }
    }
    assert_eq!(common(XML), without_icmp);
    assert_eq!(read_text(XML).1.icmp_in_xml, 1);
}

#[test]
fn each_part_of_an_entry_is_read() {
    let (entries, reading) = read_text(EXTRAS);
    assert_eq!((reading.lines, reading.entries), (7, 7));
    let of = |protocol| *entries.iter().find(|it| it.protocol == protocol).unwrap();
    let established = entries.iter().find(|it| it.is_established()).unwrap();
    assert_eq!(established.src, Address::v4([10, 0, 0, 1]));
    assert_eq!(established.reply_src, Address::v4([10, 0, 0, 2]));
    assert_eq!((established.sport, established.dport), (1, 80));
    assert_eq!(established.timeout, Some(431_989));
    assert_eq!(established.progress(), Progress::Assured);
    assert_eq!(established.packets, Some(0));
    assert_eq!(established.age(SAVED), Some(1));
    let v6 = entries.iter().find(|it| it.family == 10).unwrap();
    assert_eq!((v6.zone, v6.mark, v6.state), (7, 16, Some(1)));
    assert_eq!(of(ICMP).dport, 8 << 8);
    // What follows as id= is the number of the entry.
    assert_eq!(of(ICMP).sport, 77);
    assert_eq!((of(47).sport, of(47).dport), (0x10, 0x20));
    assert_eq!(of(SCTP).state, Some(4));
    assert_eq!(of(UDP).progress(), Progress::Unreplied);
    assert_eq!(of(89).timeout, Some(589));
}

#[test]
fn the_listing_of_old_kernels_is_read() {
    let entries = common(IP_CONNTRACK);
    assert_eq!(entries.len(), 7);
    assert_eq!(entries[0].state, Some(TCP_LISTEN));
    assert!(entries[1].is_established());
    // Behind source NAT, who answers is who was asked.
    assert_eq!(entries[1].src, Address::v4([10, 0, 0, 1]));
    assert_eq!(entries[1].reply_src, Address::v4([198, 51, 100, 7]));
    assert_eq!(entries[6].protocol, 89);
}

const TCP_LISTEN: u8 = 9;

#[test]
fn offloaded_and_zoned_entries_are_read() {
    let (entries, reading) = read_text(
        "ipv4     2 tcp      6 src=192.0.2.1 dst=192.0.2.9 sport=1 dport=80 src=192.0.2.9 dst=192.0.2.1 sport=80 dport=1 [OFFLOAD] mark=0 zone=0 use=3\n\
         udp      17 src=192.0.2.1 dst=192.0.2.9 sport=1 dport=53 packets=1 bytes=60 src=192.0.2.9 dst=192.0.2.1 sport=53 dport=1 packets=2 bytes=120 [HW_OFFLOAD] mark=0 secmark=0 secctx=null zone-orig=5 zone-reply=6 helper=ftp use=3\n",
    );
    assert_eq!(reading.entries, 2);
    assert_eq!((entries[0].timeout, entries[0].state), (None, None));
    assert_eq!(entries[0].progress(), Progress::Assured);
    assert_eq!((entries[1].zone, entries[1].packets), (5, Some(3)));
}

#[test]
fn the_last_words_of_conntrack_are_held_against_the_count() {
    let notice = "conntrack v1.4.6 (conntrack-tools): 7 flow entries have been shown.\n";
    let (entries, reading) = read_text(&format!("{notice}{PLAIN}"));
    assert_eq!(
        (entries.len(), reading.shown, reading.malformed),
        (7, Some(7), 0)
    );
    assert!(words::caveats(&reading, "t").is_empty());
    // Standard error comes in between where both go to one file.
    for at in 0..PLAIN.len() {
        let (before, after) = PLAIN.split_at(at);
        let (entries, reading) = read_text(&format!("{before}{notice}{after}"));
        assert_eq!((entries.len(), reading.malformed), (7, 0), "{before}");
        assert_eq!(reading.shown, Some(7));
    }
    let old = "conntrack v0.9.6 (conntrack-tools): 8 flow entries has been shown.\n";
    let (_, reading) = read_text(&format!("{PLAIN}{old}"));
    let caveats = words::caveats(&reading, "t");
    assert_eq!(
        caveats,
        ["conntrack says that it has shown 8 entries, but t has 7: entries were lost or added"]
    );
}

#[test]
fn a_line_that_is_no_entry_is_counted_and_the_first_is_shown() {
    let (entries, reading) = read_text(&format!("{PLAIN}tcp 6 nonsense\n\nmore\u{1b}[2J\n{PLAIN}"));
    assert_eq!((entries.len(), reading.malformed), (14, 2));
    let caveats = words::caveats(&reading, "t");
    assert_eq!(
        caveats,
        [
            "2 lines of t are not whole entries, so they are not counted; the first is line 8: \
             tcp 6 nonsense"
        ]
    );
}

#[test]
fn a_table_that_was_cut_off_is_told() {
    for text in [PLAIN, EXTENDED, NF_CONNTRACK, IP_CONNTRACK, XML] {
        let last = text.trim_end().rfind('\n').unwrap() + 1;
        assert!(!read_text(text.trim_end()).1.cut);
        for end in last + 1..text.trim_end().len() - " use=1".len() {
            let (_, reading) = read_text(&text[..end]);
            assert!(reading.cut, "{}", &text[last..end]);
            assert_eq!(reading.malformed, 0);
        }
    }
    // Between two lines only XML shows it.
    let end = XML.rfind("</conntrack>").unwrap();
    assert!(read_text(&XML[..end]).1.cut);
}

#[test]
fn what_is_no_table_is_refused_and_an_empty_one_is_not() {
    let (_, reading) = read_text("Mar 12 13:40:34 gate kernel: nf_conntrack: table full\n");
    let why = words::no_table(&reading, "kern.log").unwrap();
    assert!(
        why.starts_with("kern.log is not a saved conntrack table: line 1 is no entry")
            && why.ends_with("/proc/net/ip_conntrack"),
        "{why}"
    );
    let (_, empty) = read_text("");
    assert_eq!(words::no_table(&empty, "t"), None);
    assert!(words::caveats(&empty, "t")[0].starts_with("t is empty: "));
    let none = "conntrack v1.4.6 (conntrack-tools): 0 flow entries have been shown.\n";
    let (_, reading) = read_text(none);
    assert_eq!(words::no_table(&reading, "t"), None);
    assert!(words::caveats(&reading, "t").is_empty());
}

#[test]
fn a_compressed_table_that_ends_early_is_told() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(PLAIN.repeat(5000).as_bytes()).unwrap();
    let bytes = gzip.finish().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table");
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        read_content(crate::input::file::open(&path, "", "").unwrap().0, 2).1
    };
    let whole = read(&bytes);
    assert_eq!((whole.entries, whole.not_read), (35_000, None));
    assert!(read(&bytes[..bytes.len() / 2]).not_read.is_some());
}

/// As `conntrack -L` and the kernel write an entry.
fn render(entry: &Entry, form: usize) -> String {
    let mut text = String::new();
    let (family, number) = if entry.family == 2 {
        ("ipv4", 2)
    } else {
        ("ipv6", 10)
    };
    let names = [(TCP, "tcp"), (UDP, "udp"), (ICMP, "icmp"), (SCTP, "sctp")];
    let name = names.iter().find(|it| it.0 == entry.protocol);
    let name = name.map_or("unknown", |it| it.1);
    let state = Entry::state_name(entry.protocol, entry.state);
    let (src, dst) = (entry.src.ip(), entry.dst.ip());
    let ports = |sport: u16, dport: u16| match entry.protocol {
        TCP | UDP | SCTP => format!("sport={sport} dport={dport} "),
        ICMP => format!("type={} code={} id={sport} ", dport >> 8, dport & 0xff),
        _ => String::new(),
    };
    if form > 0 {
        write!(text, "{family}     {number} ").unwrap();
    }
    write!(text, "{name:8} {} ", entry.protocol).unwrap();
    write!(text, "{} ", entry.timeout.unwrap()).unwrap();
    if let Some(state) = state {
        write!(text, "{state} ").unwrap();
    }
    write!(
        text,
        "src={src} dst={dst} {}",
        ports(entry.sport, entry.dport)
    )
    .unwrap();
    if entry.progress() == Progress::Unreplied {
        text.push_str("[UNREPLIED] ");
    }
    let reply = entry.reply_src.ip();
    write!(
        text,
        "src={reply} dst={src} {}",
        ports(entry.dport, entry.sport)
    )
    .unwrap();
    if entry.progress() == Progress::Assured {
        text.push_str("[ASSURED] ");
    }
    writeln!(text, "mark={} zone={} use=2", entry.mark, entry.zone).unwrap();
    text
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let protocol = prop_oneof![Just(TCP), Just(UDP), Just(ICMP), Just(SCTP), Just(89)];
    (
        (protocol, 0..10_u8, any::<bool>(), 0..3_u32),
        any::<(u128, u128, u128, u16, u16)>(),
        any::<(u16, u32, u32)>(),
    )
        .prop_map(
            |((protocol, state, six, progress), tuple, (zone, mark, timeout))| {
                let address = |bits: u128| {
                    if six {
                        // None that is a mapped IPv4 address.
                        Address(bits | 1 << 127)
                    } else {
                        Address(0xffff_0000_0000 | bits & 0xffff_ffff)
                    }
                };
                let (src, dst, reply, sport, dport) = tuple;
                let portless = !matches!(protocol, TCP | UDP | SCTP | ICMP);
                Entry {
                    family: if six { 10 } else { 2 },
                    protocol,
                    src: address(src),
                    dst: address(dst),
                    sport: if portless { 0 } else { sport },
                    dport: if portless { 0 } else { dport },
                    reply_src: address(reply),
                    zone,
                    mark,
                    status: [0, 2, 6][progress as usize],
                    timeout: Some(timeout),
                    state: matches!(protocol, TCP | SCTP).then_some(state),
                    start: None,
                    packets: None,
                }
            },
        )
}

proptest! {
    #[test]
    fn what_was_written_is_read(entry in any_entry(), form in 0..2_usize) {
        let (entries, reading) = read_text(&render(&entry, form));
        prop_assert_eq!(reading.malformed, 0);
        prop_assert_eq!(entries, vec![entry]);
    }

    #[test]
    fn whatever_comes_is_read_to_its_end(text in "[ -~\n]{0,300}", cut in 0..3000_usize) {
        read_text(&text);
        let bytes = XML.as_bytes();
        read_content(Content::Read(bytes[cut.min(bytes.len())..].to_vec()), 1);
    }
}

#[test]
fn threads_and_streams_read_the_same() {
    let text = format!("{NF_CONNTRACK}nonsense\n{XML}").repeat(2000);
    let bytes = || Content::Read(text.clone().into_bytes());
    let one = read_content(bytes(), 1);
    assert_eq!(one.1.entries, 28_000);
    assert_eq!(one.1.first_malformed.as_ref().unwrap().line, 8);
    assert_eq!(read_content(bytes(), 3), one);
    let stream = Content::Stream(Box::new(io::Cursor::new(text.clone().into_bytes())));
    assert_eq!(read_content(stream, 1), one);
}

fn connection(left: u32) -> String {
    format!(
        "tcp 6 {left} ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=80 src=10.0.0.2 \
         dst=10.0.0.1 sport=80 dport=1 [ASSURED] use=1\n"
    )
}

fn established(remaining: &[u32]) -> Aggregate {
    let lines: String = remaining.iter().copied().map(connection).collect();
    of_lines(lines, &Filter::default())
}

fn of_lines(lines: String, filter: &Filter) -> Aggregate {
    let circumstances = Circumstances {
        rules: Rules::of((0, 0)),
        timeouts: Timeouts::or_default(|_| None),
        now: SAVED,
        idle_after: 3600,
        keys: HEAVY_KEYS,
    };
    let content = Content::Read(lines.into_bytes());
    add_up(content, 1, filter, circumstances, true, &mut Silent).0
}

#[test]
fn an_entry_that_is_not_asked_for_still_shows_the_timeout() {
    let of_another = connection(431_999).replace("src=10.0.0.1", "src=10.0.0.9");
    let lines = of_another + &connection(80_000) + &connection(70_000);
    let filter = Filter {
        src: Some("10.0.0.1/32".parse().unwrap()),
        ..Filter::default()
    };
    let sums = of_lines(lines, &filter);
    assert_eq!((sums.idle_established, sums.idle_unknown), (2, 0));
}

#[test]
fn idle_is_only_told_where_the_default_timeout_fits() {
    let sums = established(&[431_999, 80_000, 70_000, 200]);
    // In flight it may have another timeout.
    assert_eq!((sums.idle_established, sums.idle_unknown), (2, 1));
    assert_eq!(sums.overdue[0].3, 3);
    // Nobody has more than a day left: the timeout may be a day.
    let sums = established(&[86_399, 80_000, 70_000]);
    assert_eq!((sums.idle_established, sums.idle_unknown), (0, 3));
    assert_eq!(sums.overdue[0].3, 0);
    assert_eq!(sums.sources.top(1).0[0].1.idle, 0);
}
