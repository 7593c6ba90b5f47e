//! Times in other languages than English: journalctl and dmesg write them in the language
//! of whoever runs them.

use super::{FULL, assert_drops, assert_open, in_2012, read, read_files};

/// The first two as they were published, the host of the second renamed; the others after
/// glibc's locales.
const LINES: &[(&str, Option<&str>, Option<&str>)] = &[
    (
        "8月 10 17:27:03 localhost.localdomain kernel: nf_conntrack: table full, dropping packet",
        Some("localhost.localdomain"),
        Some("2012-08-10T17:27:03Z"),
    ),
    (
        "oct 28 08:38:46 gate kernel: nf_conntrack: table full, dropping packet",
        Some("gate"),
        Some("2012-10-28T08:38:46Z"),
    ),
    (" 8月 10 17:27:03 gate kernel: M", Some("gate"), AUGUST),
    ("8월 10 17:27:03 gate kernel: M", Some("gate"), AUGUST),
    ("Thg 8 10 17:27:03 gate kernel: M", Some("gate"), AUGUST),
    ("août 10 17:27:03 gate kernel: M", Some("gate"), AUGUST),
    (
        "ago 10 17:27:03 gate kernel: [ 1281.489259] M",
        Some("gate"),
        AUGUST,
    ),
    ("авг 10 17:27:03 gate kernel: M", Some("gate"), AUGUST),
    ("ส.ค. 10 17:27:03 gate kernel: M", Some("gate"), AUGUST),
    ("أغس 10 17:27:03 gate kernel: M", Some("gate"), AUGUST),
    ("أغسطس ١٠ ١٧:٢٧:٠٣ gate kernel: M", Some("gate"), AUGUST),
    ("ago 10 2012 17:27:03 gate kernel: M", Some("gate"), AUGUST),
    (
        "de març 10 17:27:03 gate kernel: M",
        Some("gate"),
        Some("2012-03-10T17:27:03Z"),
    ),
    (
        "Di 2012-08-10 17:27:03 UTC gate kernel: M",
        Some("gate"),
        AUGUST,
    ),
    (
        "五 2012-08-10 17:27:03 UTC gate kernel: M",
        Some("gate"),
        AUGUST,
    ),
    ("[五 8月 10 17:27:03 2012] M", None, AUGUST),
    ("[ven. août 10 17:27:03 2012] M", None, AUGUST),
    ("[Пт авг 10 17:27:03 2012] M", None, AUGUST),
    ("[Fr Aug 10 17:27:03 2012] M", None, AUGUST),
    ("[الجمعة أغسطس ١٠ ١٧:٢٧:٠٣ ٢٠١٢] M", None, AUGUST),
    ("[T6 Thg 8 10 17:27:03 2012] M", None, AUGUST),
    ("[8月10 17:27] M", None, Some("2012-08-10T17:27:00Z")),
    ("[Aug 1 17:27] M", None, Some("2012-08-01T17:27:00Z")),
    // October in Croatian and November in Polish; and a language that nobody has told of.
    ("lis 10 17:27:03 gate kernel: M", Some("gate"), None),
    ("Foo 10 17:27:03 gate kernel: M", Some("gate"), None),
    ("[foo bar 10 17:27:03 2012] M", None, None),
    // A day that there is not.
    ("févr. 30 17:27:03 gate kernel: M", Some("gate"), None),
];

const AUGUST: Option<&str> = Some("2012-08-10T17:27:03Z");

#[test]
fn lines_are_counted_in_every_language() {
    for (line, host, first) in LINES {
        let text = line
            .strip_suffix('M')
            .map_or((*line).to_owned(), |line| format!("{line}{FULL}"));
        let report = read(&text);
        assert_drops(&report, 1, 1);
        assert_eq!(report["by_host"][0]["host"].as_str(), *host, "{text}");
        assert_eq!(report["first"].as_str(), *first, "{text}");
    }
    let mut latin = b"M\xe4r 10 17:27:03 gate kernel: ".to_vec();
    latin.extend(FULL.as_bytes());
    let (report, _) = read_files(&[("messages", &latin)], &in_2012());
    assert_drops(&report, 1, 1);
    assert_eq!(report["first"], "2012-03-10T17:27:03Z");
}

#[test]
fn a_burst_is_followed_through_times_of_another_language() {
    let line = "8月 10 17:27:03 gate kernel: nf_conntrack: table full, dropping packet\n";
    let report = "8月 10 18:30:00 gate kernel: net_ratelimit: 490 callbacks suppressed\n";
    let burst = line.repeat(10);
    assert_open(&read(&burst), 10, 10);
    let known = read(&format!("{burst}{report}"));
    assert_drops(&known, 10, 500);
    assert_eq!(known["by_minute"][0]["minute"], "2012-08-10T17:27:00Z");
}

#[test]
fn what_only_looks_like_a_time_is_none() {
    for line in [
        "Invalid user Mar 12 10:00:01 gate kernel: M",
        "foo bar baz 12 10:00:01 gate kernel: M",
        "user=x 12 10:00:01 gate kernel: M",
        "sshd[7]: oct 12 10:00:01 gate kernel: M",
        "oct 32 10:00:01 gate kernel: M",
        "oct 12 10:00 gate kernel: M",
        "oct 12 10:00:01 gate sshd[7]: M",
        "10 12 10:00:01 gate kernel: M",
    ] {
        let report = read(&line.replace('M', FULL).replace(&format!("{FULL}ar"), "Mar"));
        assert_drops(&report, 0, 0);
        assert_eq!(report["skipped"]["lines"]["not_kernel"], 1, "{line}");
    }
}
