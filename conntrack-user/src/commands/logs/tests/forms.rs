//! The forms that syslog daemons, dmesg and journalctl give a line; broken, quoted and
//! hostile lines.

use super::{assert_drops, assert_open, in_2012, read, read_files};
use crate::logs::read::request::Request;

/// The forms in which the same message can be found; made up after the
/// programs' documentation.
#[test]
fn the_forms_of_syslog_dmesg_and_journalctl() {
    let at = Some("2012-03-12T13:40:34Z");
    for (line, host, first) in [
        ("Mar 12 13:40:34 gate kernel: M", Some("gate"), at),
        (
            "Mar 12 13:40:34.123456 gate kernel: M",
            Some("gate"),
            Some("2012-03-12T13:40:34.123456Z"),
        ),
        ("Mar 12 2012 13:40:34 gate kernel: M", Some("gate"), at),
        ("<4>Mar 12 13:40:34 gate kernel: M", Some("gate"), at),
        (
            "Mar 12 13:40:34 gate kernel: [ 1281.489259] M",
            Some("gate"),
            at,
        ),
        (
            "Mar 12 13:40:34 gate kernel:[ 1281.489259] M",
            Some("gate"),
            at,
        ),
        (
            "Mar 12 13:40:34 gate kernel: [ 1281.489259] [    T99] M",
            Some("gate"),
            at,
        ),
        ("Mar 12 13:40:34 gate kern.warn kernel: M", Some("gate"), at),
        ("Mar 12 13:40:34 kernel: M", None, at),
        ("2012-03-12T14:40:34+01:00 gate kernel: M", Some("gate"), at),
        (
            "2012-03-12T13:40:34.5Z gate kernel: M",
            Some("gate"),
            Some("2012-03-12T13:40:34.5Z"),
        ),
        ("2012-03-12T14:40:34+0100 gate kernel: M", Some("gate"), at),
        ("2012-03-12 13:40:34 gate kernel: M", Some("gate"), at),
        (
            "<4>1 2012-03-12T13:40:34Z gate kernel - - - M",
            Some("gate"),
            at,
        ),
        (
            "<4>1 2012-03-12T13:40:34Z gate kernel - - [x@1 y=\"z\"] M",
            Some("gate"),
            at,
        ),
        (
            "Mon 2012-03-12 13:40:34 UTC gate kernel: M",
            Some("gate"),
            at,
        ),
        ("1331559634.000000 gate kernel: M", Some("gate"), at),
        (
            "Mon Mar 12 13:40:34 2012 kern.warn kernel: [ 1281.489259] M",
            None,
            at,
        ),
        ("[Mon Mar 12 13:40:34 2012] M", None, at),
        (
            "2012-03-12T13:40:34,123456+00:00 M",
            None,
            Some("2012-03-12T13:40:34.123456Z"),
        ),
        ("[Mar12 13:40] M", None, Some("2012-03-12T13:40:00Z")),
        ("[ 1281.489259] M", None, None),
        ("[ 1281.489259] [   C3] M", None, None),
        ("[ 1281.489259 <    0.000012>] M", None, None),
        ("[  +0.000012] M", None, None),
        ("<4>[ 1281.489259] M", None, None),
        ("kern  :warn  : [ 1281.489259] M", None, None),
        ("[ 1281.489259] gate kernel: M", Some("gate"), None),
        ("M", None, None),
        ("kernel: M", None, None),
        // Synthetic, after Documentation/ABI/testing/dev-kmsg.
        ("4,1234,1281489259,-,caller=T99;M", None, None),
        // Synthetic, after systemd.io/JOURNAL_EXPORT_FORMATS.
        (
            "{\"__REALTIME_TIMESTAMP\":\"1331559634000000\",\"_TRANSPORT\":\"kernel\",\"_HOSTNAME\":\"gate\",\"MESSAGE\":\"M\"}",
            Some("gate"),
            at,
        ),
    ] {
        let message = "nf_conntrack: nf_conntrack: table full, dropping packet";
        let text = put(line, message);
        let report = read(&text);
        assert_drops(&report, 1, 1);
        assert_eq!(report["by_host"][0]["host"].as_str(), host, "{text}");
        assert_eq!(report["first"].as_str(), first, "{text}");
    }
}

/// Synthetic, after dmesg(1): `-H` and `-e` give the first message of a minute a time, and the
/// others only the seconds since the one before.
#[test]
fn seconds_since_the_line_before_are_no_time() {
    let dmesg = "\
[Mar12 13:40] nf_conntrack: nf_conntrack: table full, dropping packet
[  +0.000005] nf_conntrack: nf_conntrack: table full, dropping packet
[  +5.000005] net_ratelimit: 55 callbacks suppressed
[  +0.000001] nf_conntrack: nf_conntrack: table full, dropping packet
";
    let (report, text) = read_files(&[("dmesg", dmesg.as_bytes())], &in_2012());
    assert_drops(&report, 3, 58);
    assert_eq!(report["by_minute"][0]["minute"], "2012-03-12T13:40:00Z");
    assert_eq!(report["by_minute"][0]["lines"], 1);
    assert_eq!(report["by_minute"][1]["lines"], 2);
    assert!(report["by_minute"][1]["minute"].is_null(), "{report:#}");
    let said = "2 lines about a full table without a time of day";
    assert!(text.contains(said), "{text}");
    let warnings = |log: &str| read(log)["warnings"].as_array().unwrap().len();
    assert_eq!(warnings("[  +0.000012] M"), 0, "no line has a time");
}

/// Puts the message where the last `M` is that stands by itself.
pub(super) fn put(line: &str, message: &str) -> String {
    let at = line.rfind("M\"}").or_else(|| line.rfind('M')).unwrap();
    format!("{}{message}{}", &line[..at], &line[at + 1..])
}

#[test]
fn lines_that_the_syslog_daemon_folded_are_counted() {
    let sysklogd = "\
Mar 12 10:00:01 gate kernel: ip_conntrack: table full, dropping packet.
Mar 12 10:00:31 gate last message repeated 9 times
Mar 12 10:01:31 gate last message repeated 20 times
Mar 12 10:01:40 gate sshd[1]: bye
Mar 12 10:01:50 gate last message repeated 70 times
";
    // Ten of them may have come at once.
    assert_open(&read(sysklogd), 30, 30);
    let rsyslog = "Mar 12 10:00:01 gate kernel: message repeated 5 times: [ [   12.000001] nf_conntrack: table full, dropping packet]\n";
    assert_drops(&read(rsyslog), 5, 5);
}

/// The first as a host with Buildroot wrote it, renamed; a klogd that is linked with glibc
/// writes under the facility `user`.
#[test]
fn lines_of_the_kernel_under_the_facility_user_are_counted_and_marked() {
    for line in [
        "Jan  1 00:02:10 buildroot user.warn kernel: [  130.481920] nf_conntrack: table full, dropping packet.",
        "Mar 12 13:40:34 unknown user.warn kernel: nf_conntrack: table full, dropping packet.",
        "Mar 12 13:40:34 user.warn kernel: nf_conntrack: table full, dropping packet.",
        "Mon Mar 12 13:40:34 2012 user.warn kernel: [  130.481920] nf_conntrack: table full, dropping packet",
    ] {
        let (report, text) = read_files(&[("messages", line.as_bytes())], &in_2012());
        assert_drops(&report, 1, 1);
        assert_eq!(report["lines_as_user"], 1, "{line}");
        assert!(text.contains("1 line under the facility user"), "{text}");
    }
    let kern =
        "Mar 12 13:40:34 unknown kern.warn kernel: nf_conntrack: table full, dropping packet.";
    assert_eq!(read(kern)["lines_as_user"], 0);
    for other in [
        "Mar 12 13:40:34 unknown user.warn app: nf_conntrack: table full, dropping packet.",
        "Mar 12 13:40:34 unknown user.warning2 kernel: nf_conntrack: table full, dropping packet.",
        "Mar 12 13:40:34 unknown daemon.warn kernel: nf_conntrack: table full, dropping packet.",
    ] {
        assert_drops(&read(other), 0, 0);
    }
}

/// Synthetic, after <https://systemd.io/JOURNAL_EXPORT_FORMATS>.
const EXPORT: &[u8] = b"__CURSOR=s=1;i=1\n\
__REALTIME_TIMESTAMP=1331559634000000\n\
_TRANSPORT=kernel\n_HOSTNAME=gate\n_BOOT_ID=0123456789abcdef0123456789abcdef\n\
MESSAGE=net_ratelimit: 12 callbacks suppressed\n\n\
__CURSOR=s=1;i=2\n\
__REALTIME_TIMESTAMP=1331559634000001\n\
_TRANSPORT=kernel\n_HOSTNAME=gate\n_BOOT_ID=0123456789abcdef0123456789abcdef\n\
MESSAGE\n\x37\0\0\0\0\0\0\0nf_conntrack: nf_conntrack: table full, dropping packet\n\n\
__CURSOR=s=1;i=3\n\
__REALTIME_TIMESTAMP=1331559634000002\n\
_TRANSPORT=syslog\n_HOSTNAME=gate\n\
MESSAGE=nf_conntrack: nf_conntrack: table full, dropping packet\n\n";

#[test]
fn the_journal_s_export_is_read() {
    let (report, _) = read_files(&[("journal", EXPORT)], &Request::default());
    assert_drops(&report, 1, 13);
    assert_eq!(report["first"], "2012-03-12T13:40:34.000001Z");
    assert_eq!(report["by_host"][0]["host"], "gate");
    let inside = memchr::memmem::find(EXPORT, b"MESSAGE\n").unwrap() + 20;
    let (cut, _) = read_files(&[("journal", &EXPORT[..inside])], &Request::default());
    assert_eq!(
        cut["skipped"]["sources"].as_array().unwrap().len(),
        1,
        "{cut:#}"
    );
}

#[test]
fn what_programs_quote_is_not_the_kernel_s() {
    for line in [
        "Mar 12 10:00:01 gate sshd[7]: Invalid user nf_conntrack: table full, dropping packet",
        "Mar 12 10:00:01 gate sshd[7]: Invalid user kernel: nf_conntrack: table full, dropping packet",
        "Mar 12 10:00:01 gate root: kernel: nf_conntrack: table full, dropping packet",
        "<12>Mar 12 10:00:01 gate kernel: nf_conntrack: table full, dropping packet",
        "12,1,2,-;nf_conntrack: table full, dropping packet",
        "10.0.0.1 - - [12/Mar/2012:10:00:01 +0000] \"GET /?q=nf_conntrack: table full, dropping packet\"",
    ] {
        let report = read(line);
        assert_drops(&report, 0, 0);
        assert_eq!(report["skipped"]["lines"]["not_kernel"], 1, "{line}");
    }
}

#[test]
fn broken_lines_are_counted_and_lose_nothing() {
    let mut text = b"Mar 12 10:00:01 gate kernel: nf_conntrack: table full, drop\n".to_vec();
    text.extend(
        b"\0\0\0\0Mar 12 10:00:02 gate kernel: nf_conntrack: table full, dropping packet\n",
    );
    text.extend(b"Mar 12 10:00:03 gate kernel: nf_conntrack: table full\x1b[2J, dropping packet\n");
    text.extend(b"\xff\xfe\x1b nf_conntrack: table full, dropping packet\n");
    text.extend(b"Mar 99 10:00:03 gate kernel: nf_conntrack: table full, dropping packet\n");
    text.extend(b"Mar 12 10:00:04 gate kernel: nf_conntrack: table full, dropping packet");
    let (report, text) = read_files(&[("messages", &text)], &in_2012());
    assert_drops(&report, 2, 2);
    let said = "not counted: 4 lines about a full table (2 cut off, 1 not written by the kernel, 1 \
                with control bytes)";
    assert!(text.contains(said), "{text}");
    let lines = &report["skipped"]["lines"];
    assert_eq!(lines["cut"], 2, "{lines}");
    assert_eq!(lines["binary"], 1, "{lines}");
    assert_eq!(lines["not_kernel"], 1, "{lines}");
}

#[test]
fn a_hostile_log_cannot_reach_the_terminal() {
    let text = "Mar 12 10:00:01 ga\u{1b}]0;owned\u{7}te kernel: nf_conntrack: table full, dropping packet\n\
                Mar 12 10:00:01 \u{9b}31mb kernel: nf_conntrack: table full, dropping packet\n\
                [    1.000000] \u{1b}[31mred kernel: nf_conntrack: table full, dropping packet\n";
    let name = "kern\u{1b}[2J.log";
    let (report, text) = read_files(&[(name, text.as_bytes())], &in_2012());
    assert_drops(&report, 3, 3);
    assert!(text.contains("HOST"), "{text}");
    let control = |char: char| char.is_control() && char != '\n';
    assert!(!text.chars().any(control), "{text:?}");
    let json = serde_json::to_string(&report).unwrap();
    assert!(
        !json.bytes().any(|byte| byte.is_ascii_control()),
        "{json:?}"
    );
}
