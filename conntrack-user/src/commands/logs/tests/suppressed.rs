//! Which bursts suppressed messages are attributed to, and when more may have been
//! suppressed.

use super::{FULL, assert_drops, assert_open, gate, gzip, in_2012, read, read_files, when};
use crate::logs::read::request::Request;

/// What the kernel wrote right after a report, as it always writes something: of a whole
/// log, not of an excerpt.
const MARTIAN: &str = "martian source 10.0.0.1 from 192.0.2.7, on dev eth0";

#[test]
fn suppressed_messages_belong_to_the_burst_before_however_late_they_are_reported() {
    let report = gate(&[
        ("10:00:01", FULL),
        ("15:00:00", "net_ratelimit: 500 callbacks suppressed"),
        ("15:00:00", "net_ratelimit: 7 callbacks suppressed"),
        ("15:00:00", MARTIAN),
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
                && text.contains("minute 2012-03-12 10:00:00 +00:00 on gate")
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
        ("09:00:00", MARTIAN),
        ("10:00:01", FULL),
        ("10:00:30", "net_ratelimit: 20 callbacks suppressed"),
        ("10:00:30", MARTIAN),
        ("10:00:50", "net_ratelimit: 3 callbacks suppressed"),
        ("10:00:50", MARTIAN),
        ("10:02:00", "net_ratelimit: 5000 callbacks suppressed"),
        ("10:02:00", MARTIAN),
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

/// A number of suppressed messages that comes up to a minute before a burst or after it
/// may be of it, whichever kernel wrote it.
#[test]
fn suppressed_messages_near_a_burst_are_in_its_upper_bound() {
    let full = |second: &str| format!("Mar 12 10:{second} gate kernel: {FULL}\n");
    for report in [
        "NET: 37 messages suppressed.",
        "printk: 37 messages suppressed.",
        "__ratelimit: 37 callbacks suppressed",
        "net_ratelimit: 37 callbacks suppressed",
    ] {
        let with = |time: &str| {
            format!(
                "Mar 12 10:{time} gate kernel: {report}\nMar 12 10:{time} gate kernel: {MARTIAN}\n"
            )
        };
        let at_most = |text: String| read(&text)["drops"]["at_most"].as_u64().unwrap();
        for before in ["04:55", "04:54", "04:05", "04:00"] {
            assert_eq!(
                at_most(with(before) + &full("05:00")),
                38,
                "{report} {before}"
            );
            let twice = with("03:30") + &with(before) + &full("05:00");
            assert_eq!(at_most(twice), 38, "{report} {before}");
        }
        // Several reports in that minute, each of another moment.
        let several = with("04:54") + &with("04:59") + &full("05:00");
        assert_eq!(at_most(several), 75, "{report}");
        let after = full("05:00") + &with("05:05") + &with("06:00");
        assert_eq!(at_most(after), 75, "{report}");
        let later = full("05:00") + &with("05:05") + &with("06:01");
        assert_eq!(at_most(later), 38, "{report}");
        let earlier = read(&(with("03:59") + &full("05:00")));
        assert_drops(&earlier, 1, 1);
        assert_eq!(earlier["suppressed_elsewhere"], 37, "{report}");
    }
}

/// Without times nothing shows that they are far from each other.
#[test]
fn suppressed_messages_without_a_time_are_in_the_upper_bound() {
    let report = "net_ratelimit: 5 callbacks suppressed\nmartian source\n";
    let text = format!("{report}{report}{FULL}\n{report}{report}");
    assert_drops(&read(&text), 1, 21);
}

/// `grep -E 'table full|suppressed'`, published in this form; the host is renamed.
#[test]
fn an_excerpt_has_a_wide_bound() {
    let excerpt = "\
Mar 12 09:10:00 gate kernel: net_ratelimit: 500 callbacks suppressed
Mar 12 10:00:01 gate kernel: nf_conntrack: table full, dropping packet
Mar 12 10:00:06 gate kernel: net_ratelimit: 40 callbacks suppressed
Mar 12 10:00:06 gate kernel: nf_conntrack: table full, dropping packet
Mar 12 11:00:00 gate kernel: net_ratelimit: 3 callbacks suppressed
Mar 12 12:30:00 gate kernel: net_ratelimit: 7 callbacks suppressed
";
    let (report, text) = read_files(&[("messages", excerpt.as_bytes())], &in_2012());
    assert_drops(&report, 2, 552);
    assert_eq!(report["suppressed_elsewhere"], 0);
    assert_eq!(report["unfollowed_reports"], 2);
    assert!(text.contains("the log is an excerpt"), "{text}");
    // Without a full table it is not about one.
    let other = excerpt.replace("nf_conntrack: table full, dropping packet", MARTIAN);
    let report = read(&other);
    assert_drops(&report, 0, 0);
    assert_eq!(report["suppressed_elsewhere"], 550);
    assert_eq!(report["unfollowed_reports"], 0);
    // A line of another host that was searched for, too, does not make it whole.
    let central = "\
Mar 12 09:10:00 gate kernel: net_ratelimit: 500 callbacks suppressed
Mar 12 09:10:01 mail kernel: nf_conntrack: table full, dropping packet
Mar 12 10:00:01 gate kernel: nf_conntrack: table full, dropping packet
";
    assert_drops(&read(central), 2, 502);
    // What other hosts log meanwhile shows that the log is whole.
    let whole = central.replace(
        "mail kernel: nf_conntrack: table full, dropping packet",
        "mail sshd[1]: bye",
    );
    assert_drops(&read(&whole), 1, 1);
    // In a stream as in memory, and only what was asked for.
    let (streamed, _) = read_files(&[("messages.gz", &gzip(excerpt))], &in_2012());
    assert_drops(&streamed, 2, 552);
    let since = Request {
        since: Some(when("2012-03-12 10:00")),
        until: Some(when("2012-03-12 12:00")),
        ..in_2012()
    };
    let (report, _) = read_files(&[("messages", excerpt.as_bytes())], &since);
    assert_drops(&report, 2, 45);
}

/// `grep 'table full'`, which leaves the reports out: bursts as large as the limit and
/// nothing else.
#[test]
fn an_excerpt_without_reports_has_no_upper_bound() {
    let burst = |time: &str| format!("Mar 12 10:{time} gate kernel: {FULL}\n").repeat(10);
    let bursts = |times: &[&str]| -> String { times.iter().map(|time| burst(time)).collect() };
    let excerpt = bursts(&["00:01", "00:06", "00:12"]) + "Mar 12 10:00:20 gate kernel: " + FULL;
    let (report, text) = read_files(&[("messages", excerpt.as_bytes())], &in_2012());
    assert_open(&report, 31, 31);
    assert_eq!(report["lacks_reports"], true);
    assert!(text.contains("are missing in this excerpt"), "{text}");
    // The same of 2.6.18: a line for each token that comes back.
    let line = |second: usize| {
        format!(
            "Mar 12 10:00:{second:02} gate kernel: ip_conntrack: table full, dropping packet.\n"
        )
    };
    let tokens = (0..12)
        .map(|token| line(token * 5))
        .collect::<Vec<_>>()
        .concat();
    assert_eq!(read(&(line(0).repeat(9) + &tokens))["lacks_reports"], true);
    // Anything else shows that nothing was left out; one burst can be as large by chance.
    let line = "Mar 12 10:00:20 gate sshd[7]: bye\n";
    let whole = bursts(&["00:01", "00:06"])
        + line
        + &burst("00:25")
        + "Mar 12 10:00:33 gate kernel: "
        + FULL;
    assert_drops(&read(&whole), 31, 31);
    let report = "Mar 12 09:00:00 gate kernel: net_ratelimit: 7 callbacks suppressed\n";
    assert_eq!(read(&format!("{report}{excerpt}"))["lacks_reports"], false);
    let once = burst("00:01") + "Mar 12 10:00:31 gate kernel: " + FULL;
    assert_drops(&read(&once), 11, 11);
    // Packets that are refused at less than the limit's rate are written one by one.
    let each = |second: u32| format!("Mar 12 10:00:{second:02} gate kernel: {FULL}\n");
    let slow = (0..50).map(each).collect::<Vec<_>>().concat();
    assert_drops(
        &read(&format!("{slow}Mar 12 10:01:10 gate kernel: {FULL}\n")),
        51,
        51,
    );
}

/// A host with Linux 2.4, as it was published; the host is renamed.
#[test]
fn a_report_of_linux_2_4_is_counted() {
    let text = "\
Nov 15 20:51:00 gate kernel: ip_conntrack: table full, dropping packet.
Nov 15 20:51:05 gate kernel: NET: 37 messages suppressed.
Nov 15 20:51:05 gate kernel: ip_conntrack: table full, dropping packet.
";
    assert_open(&read(text), 2, 39);
    let first = text.split_inclusive('\n').take(2).collect::<String>();
    assert_drops(&read(&first), 1, 38);
}

/// A report that is not whole is one: nobody knows how many it said.
#[test]
fn a_damaged_report_leaves_the_burst_open() {
    let line = "[1737157.057528] nf_conntrack: table full, dropping packet.\n";
    for (damaged, messages) in [
        ("__ratelimit: N callbacks suppressed", 0),
        ("__ratelimit: 83 callbacks suppres", 83),
        ("__ratelimit: 8\u{fffd}3 callbacks suppressed", 8),
        ("_ratelimit: 83 callbacks suppressed", 83),
        // Without what logs are searched for, right after the burst.
        ("__ratelimit: 83 call", 83),
        ("__ratelimit: ", 0),
    ] {
        let text = format!("{}[1737162.214084] {damaged}\n", line.repeat(4));
        for file in [("dmesg", text.as_bytes()), ("dmesg.gz", &gzip(&text))] {
            let (report, said) = read_files(&[file], &Request::default());
            assert_open(&report, 4, 4 + messages);
            assert_eq!(report["damaged_reports"], true, "{damaged}");
            assert!(
                said.contains("how many more is not known: a line in which the kernel reports"),
                "{said}"
            );
        }
    }
    // Of another limit, or far away from any full table.
    for other in [
        "[1737162.214084] show_signal_msg: 83 callbacks suppressed\n",
        "[1737762.214084] __ratelimit: 8 callbacks suppressed\n[1737862.214084] __ratelimit: N callbacks suppressed\n[1737862.214084] martian source\n",
    ] {
        let (report, _) = read_files(
            &[("dmesg", format!("{}{other}", line.repeat(4)).as_bytes())],
            &Request::default(),
        );
        assert_eq!(report["drops"]["open"], false, "{other}");
        assert_eq!(report["damaged_reports"], false, "{other}");
    }
}
