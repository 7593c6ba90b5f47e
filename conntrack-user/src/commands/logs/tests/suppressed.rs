//! Which bursts suppressed messages are attributed to, and when more may have been
//! suppressed.

use super::{FULL, assert_drops, assert_open, gate, gzip, in_2012, read, read_files, when};
use crate::logs::read::request::Request;

#[test]
fn suppressed_messages_belong_to_the_burst_before_however_late_they_are_reported() {
    let report = gate(&[
        ("10:00:01", FULL),
        ("15:00:00", "net_ratelimit: 500 callbacks suppressed"),
        ("15:00:00", "net_ratelimit: 7 callbacks suppressed"),
    ]);
    assert_drops(&report, 1, 501);
    assert_eq!(report["suppressed_elsewhere"], 7);
    assert_eq!(report["by_minute"].as_array().unwrap().len(), 1);
    assert_eq!(report["by_minute"][0]["minute"], "2012-03-12T10:00:00Z");
}

#[test]
fn what_is_not_reported_yet_leaves_a_burst_open() {
    let burst = |minute: &str| format!("Mar 12 10:{minute}:01 gate kernel: {FULL}\n").repeat(10);
    let boot = "Mar 12 10:00:30 gate kernel: Linux version 6.1.0\n";
    let quiet = "Mar 12 10:20:00 gate kernel: eth0: link up\n";
    let line = format!("Mar 12 10:20:01 gate kernel: {FULL}\n");
    let report = "Mar 12 10:20:01 gate kernel: net_ratelimit: 490 callbacks suppressed\n";
    let read = |text: &str| {
        let year = in_2012();
        let in_memory = read_files(&[("messages", text.as_bytes())], &year);
        let (streamed, _) = read_files(&[("messages.gz", &gzip(text))], &year);
        assert_eq!(in_memory.0["by_minute"], streamed["by_minute"], "{text}");
        in_memory
    };

    for end in ["", quiet] {
        let (open, text) = read(&format!("{}{end}", burst("00")));
        assert_open(&open, 10, 10);
        for counts in ["by_minute", "bursts", "by_host"] {
            assert_eq!(open[counts][0]["drops"], open["drops"], "{counts}");
        }
        assert!(
            open["warnings"][0]
                .as_str()
                .unwrap()
                .contains("2012-03-12T10:00:00Z on gate"),
            "{open:#}"
        );
        assert!(
            text.starts_with("at least 10 packets were refused: the table was full\n")
                && text.contains("how many more is not known")
                && text.contains("(at least 10 packets were refused)"),
            "{text}"
        );
    }
    // Whatever is said later ends it, unless it is by the next kernel.
    assert_drops(&read(&format!("{}{line}", burst("00"))).0, 11, 11);
    assert_drops(&read(&format!("{}{report}", burst("00"))).0, 10, 500);
    let (open, text) = read(&format!("{}{boot}{line}", burst("00")));
    assert_open(&open, 11, 11);
    assert_eq!(open["by_minute"][0]["drops"]["open"], true);
    assert_eq!(open["by_minute"][1]["drops"]["open"], false);
    assert!(text.contains("10 or more"), "{text}");
    // The part of the log that comes next.
    let parts = |old: &str, new: &str| {
        let files = [("messages.1", old.as_bytes()), ("messages", new.as_bytes())];
        read_files(&files, &in_2012()).0
    };
    assert_drops(&parts(&burst("00"), report), 10, 500);
    assert_open(&parts(&format!("{}{boot}", burst("00")), &line), 11, 11);
    // Uptimes tell a new start, too, and none.
    let next = |uptime: u64| {
        let line = |minute: u64, uptime: u64| {
            format!("Mar 12 10:{minute}:01 gate kernel: [{uptime:>5}.000001] {FULL}\n")
        };
        read(&format!("{}{}", line(20, 900).repeat(10), line(21, uptime))).0
    };
    assert_open(&next(15), 11, 11);
    assert_drops(&next(960), 11, 11);
    // Fewer lines than the limit allows hide nothing.
    assert_drops(&read(&line.repeat(9)).0, 9, 9);
    // What was not asked for does not matter.
    let (before, _) = read_files(
        &[("messages", format!("{line}{}", burst("30")).as_bytes())],
        &Request {
            until: Some(when("2012-03-12 10:25")),
            ..in_2012()
        },
    );
    assert_drops(&before, 1, 1);
}

#[test]
fn a_burst_of_a_namespace_is_open_like_any_other() {
    let full = "nf_conntrack: nf_conntrack: table full in netns 4026532246, dropping packet";
    let burst = gate(&[("10:00:01", full); 10]);
    assert_open(&burst, 10, 10);
    assert_eq!(burst["by_netns"].as_array().unwrap().len(), 1);
}

#[test]
fn of_two_copies_of_a_log_the_longer_one_tells_the_end() {
    let burst = format!("Mar 12 10:00:01 gate kernel: {FULL}\n").repeat(10);
    let whole =
        format!("{burst}Mar 12 11:00:00 gate kernel: net_ratelimit: 9 callbacks suppressed\n");
    for (a, b) in [(&burst, &whole), (&whole, &burst)] {
        let both = [("kern.log", a.as_bytes()), ("syslog", b.as_bytes())];
        assert_drops(&read_files(&both, &in_2012()).0, 10, 19);
    }
}

#[test]
fn suppressed_messages_far_from_any_full_table_are_others() {
    let report = gate(&[
        ("09:00:00", "net_ratelimit: 100 callbacks suppressed"),
        ("10:00:01", FULL),
        ("10:00:30", "net_ratelimit: 20 callbacks suppressed"),
        ("10:00:50", "net_ratelimit: 3 callbacks suppressed"),
        ("10:02:00", "net_ratelimit: 5000 callbacks suppressed"),
    ]);
    assert_drops(&report, 1, 24);
    assert_eq!(report["suppressed_elsewhere"], 5100);
}

#[test]
fn bursts_are_told_apart_with_the_time_between_them() {
    let report = gate(&[("10:00:01", FULL), ("10:04:59", FULL), ("12:00:00", FULL)]);
    let bursts = report["bursts"].as_array().unwrap();
    assert_eq!(bursts.len(), 2);
    assert_eq!(bursts[0]["lines"], 2);
    assert_eq!(bursts[1]["quiet_before"], 115 * 60);
}

#[test]
fn hosts_of_one_log_are_held_apart() {
    let report = read(
        "Mar 12 10:00:01 a kernel: nf_conntrack: table full, dropping packet\n\
         Mar 12 10:00:02 b kernel: net_ratelimit: 9 callbacks suppressed\n\
         Mar 12 10:00:03 b kernel: martian source 10.0.0.1\n\
         Mar 12 10:00:06 a kernel: net_ratelimit: 4 callbacks suppressed\n",
    );
    assert_drops(&report, 1, 5);
    assert_eq!(report["suppressed_elsewhere"], 9);
}

#[test]
fn two_copies_of_one_message_are_counted_once() {
    let line = "Mar 12 10:00:01 gate kernel: nf_conntrack: table full, dropping packet\n";
    let both = [("kern.log", line.as_bytes()), ("syslog", line.as_bytes())];
    assert_drops(&read_files(&both, &in_2012()).0, 1, 1);
    // A name that any host may have says nothing.
    let line = line.replace("gate", "localhost");
    let both = [("a", line.as_bytes()), ("b", line.as_bytes())];
    assert_drops(&read_files(&both, &in_2012()).0, 2, 2);
}
