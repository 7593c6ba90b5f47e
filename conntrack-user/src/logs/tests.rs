//! Logs from kernel to report: every generation of the lines, each with where
//! it comes from. What is made up is said to be.

use std::{fs, io::Write as _, path::PathBuf};

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::logs::{
    Options,
    reading::{EmptyPeriod, Reading, Request},
    report::Report,
    text,
    when::When,
};

/// The year that the logs begin in.
fn in_2012() -> Request {
    Request {
        year: Some(2012),
        ..Request::default()
    }
}

fn when(text: &str) -> When {
    When::parse(text).unwrap()
}

fn hosts(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

fn report_of(paths: &[PathBuf], request: &Request) -> Report {
    let mut reading = Reading::new(request, TimeZone::UTC).unwrap();
    reading.files(paths);
    Report::new(&reading.finish())
}

/// Reads files, and gives the JSON and the text.
fn read_paths(paths: &[PathBuf], request: &Request) -> (Value, String) {
    let report = report_of(paths, request);
    let text = text::report(&report, &TimeZone::UTC).join("\n");
    (serde_json::to_value(&report).unwrap(), text)
}

/// Reads files with these names and texts, and gives the JSON and the text.
fn read_files(files: &[(&str, &[u8])], request: &Request) -> (Value, String) {
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = files
        .iter()
        .map(|(name, text)| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path
        })
        .collect();
    read_paths(&paths, request)
}

fn read(text: &str) -> Value {
    read_files(&[("messages", text.as_bytes())], &in_2012()).0
}

#[track_caller]
fn assert_drops(report: &Value, at_least: u64, at_most: u64) {
    let drops = serde_json::json!({"at_least": at_least, "at_most": at_most, "open": false});
    assert_eq!(report["drops"], drops, "{report:#}");
}

/// The kernel may have held back more.
#[track_caller]
fn assert_open(report: &Value, at_least: u64, at_most: u64) {
    let drops = serde_json::json!({"at_least": at_least, "at_most": at_most, "open": true});
    assert_eq!(report["drops"], drops, "{report:#}");
}

/// An EL5 host's own log, as its operator published it.
const EL5: &str = "\
Mar 12 13:40:34 localhost kernel: printk: 5990 messages suppressed.
Mar 12 13:40:34 localhost kernel: ip_conntrack: table full, dropping packet.
";

#[test]
fn the_story_of_an_el5_box() {
    let (report, text) = read_files(&[("messages", EL5.as_bytes())], &in_2012());
    assert_open(&report, 1, 5991);
    assert_eq!(report["lines"], 1);
    assert_eq!(report["suppressed"], 5990);
    assert_eq!(report["first"], "2012-03-12T13:40:34Z");
    assert_eq!(report["last"], report["first"]);
    let minutes = report["by_minute"].as_array().unwrap();
    assert_eq!(minutes.len(), 1);
    assert_eq!(minutes[0]["minute"], "2012-03-12T13:40:00Z");
    assert_eq!(minutes[0]["drops"], report["drops"]);
    assert_eq!(report["by_host"][0]["host"], "localhost");
    assert!(
        text.starts_with("1 to 5,991 packets or more refused: table full\n"),
        "{text}"
    );
    // What fits that box, and nothing that does not.
    let advice = report["advice"].as_array().unwrap();
    assert_eq!(advice.len(), 1, "{advice:#?}");
    let remedy = advice[0]["remedy"].to_string();
    for needed in [
        "/etc/sysctl.conf",
        "net.ipv4.ip_conntrack_max = 131072",
        "net.ipv4.netfilter.ip_conntrack_max",
        "IPTABLES_SYSCTL_LOAD_LIST=\\\".ip_conntrack\\\"",
        "/etc/sysconfig/iptables-config",
        "options ip_conntrack hashsize=32768",
        "/etc/modprobe.conf",
        "1.3.5-9.1.el5",
    ] {
        assert!(remedy.contains(needed), "{needed} in {remedy}");
    }
    for wrong in ["nf_conntrack", "sysctl.d", "modules-load", "ctdrop watch"] {
        assert!(!remedy.contains(wrong), "{wrong} in {remedy}");
    }
}

/// Lines as they were published, with where. Each stands for one message.
const PUBLISHED: &[(&str, &str, &str)] = &[
    (
        "linux-kernel mailing list, 2001, with a blank at the end",
        "Nov  6 02:39:55 doom kernel: ip_conntrack: table full, dropping packet. ",
        "doom",
    ),
    (
        "a Red Hat host, with a blank at the end",
        "Jun 18 12:43:36 red-hat kernel: ip_conntrack: table full, dropping packet. ",
        "red-hat",
    ),
    (
        "a 2.6 host",
        "Mar 31 12:34:24 garden kernel: ip_conntrack: table full, dropping packet.",
        "garden",
    ),
    (
        "a 2.6 host",
        "Jun 20 04:08:00 xsell1 kernel: ip_conntrack: table full, dropping packet.",
        "xsell1",
    ),
    (
        "ex1.m-yabe.com, without the full stop",
        "Jul  7 10:00:46 testsv kernel: ip_conntrack: table full, dropping packet",
        "testsv",
    ),
    (
        "ex1.m-yabe.com, the same host with its next kernel",
        "Jul  7 10:00:46 testsv kernel: nf_conntrack: table full, dropping packet.",
        "testsv",
    ),
    (
        "a 2.6.32 host",
        "May  1 12:30:13 svn kernel: nf_conntrack: table full, dropping packet.",
        "svn",
    ),
    (
        "pc-freak.net, dmesg",
        "[1737157.057528] nf_conntrack: table full, dropping packet.",
        "",
    ),
    (
        "kubernetes issue 18604, dmesg",
        "[1454500.910215] nf_conntrack: table full, dropping packet",
        "",
    ),
    (
        "kubernetes issue 71261, dmesg -T",
        "[Tue Nov 20 22:30:22 2018] nf_conntrack: table full, dropping packet",
        "",
    ),
    (
        "hotsos issue 101, the prefix twice",
        "kernel: [1694413.644132] nf_conntrack: nf_conntrack: table full, dropping packet",
        "",
    ),
    (
        "a tuning guide, dmesg, the prefix twice",
        "[104235.156774] nf_conntrack: nf_conntrack: table full, dropping packet",
        "",
    ),
    (
        "jaanhio.me, an EKS node",
        "[ 3590.416157] nf_conntrack: nf_conntrack: table full, dropping packet",
        "",
    ),
    (
        "Linux 6.18.44, in a namespace",
        "[ 1281.489259] nf_conntrack: nf_conntrack: table full in netns 4026532246, dropping packet",
        "",
    ),
    (
        "techytrois.com, an OpenVZ host; its number, which was left out there, is made up",
        "Mar 12 13:40:34 host kernel: ip_conntrack: VPS 101 table full, dropping packet.",
        "host",
    ),
];

#[test]
fn the_lines_of_every_generation() {
    for (from, line, host) in PUBLISHED {
        for end in ["\n", "\r\n", ""] {
            let report = read(&format!("{line}{end}"));
            assert_drops(&report, 1, 1);
            let name = report["by_host"][0]["host"].as_str().unwrap_or_default();
            assert_eq!(name, *host, "{from}");
            assert_eq!(report["skipped"]["lines"]["cut"], 0, "{from}");
        }
    }
    let all: String = PUBLISHED
        .iter()
        .flat_map(|(_, line, _)| [line, "\n"])
        .collect();
    let report = read(&all);
    assert_drops(&report, PUBLISHED.len() as u64, PUBLISHED.len() as u64);
    let netns = report["by_netns"].as_array().unwrap();
    assert!(
        netns
            .iter()
            .any(|place| place["netns"] == 4_026_532_246_u32 && place["lines"] == 1)
    );
    assert!(netns.iter().any(|place| place["container"] == 101));
    // Those that have none say so.
    assert!(netns.iter().all(|place| place.get("container").is_some()));
    let (_, one) = read_files(&[("dmesg", PUBLISHED[7].1.as_bytes())], &Request::default());
    assert!(
        one.starts_with("1 packet refused: table full\n  1 line in ")
            && one.contains("(1 packet was refused)"),
        "{one}"
    );
}

#[test]
fn messages_held_back_in_the_words_of_every_generation() {
    for (from, text, messages) in [
        ("the EL5 host above", EL5, 5990),
        (
            "a 2.6 host; the line about the table is the one of doom above",
            "kernel: printk: 443 messages suppressed.\nkernel: ip_conntrack: table full, dropping packet.\n",
            443,
        ),
        (
            "pc-freak.net, dmesg, 2.6.32",
            "[1737157.057528] nf_conntrack: table full, dropping packet.\n\
             [1737162.214084] __ratelimit: 83 callbacks suppressed\n",
            83,
        ),
        (
            "a tuning guide, dmesg",
            "[104235.156774] nf_conntrack: nf_conntrack: table full, dropping packet\n\
             [104243.800401] net_ratelimit: 3939 callbacks suppressed\n",
            3939,
        ),
        (
            "jaanhio.me, an EKS node",
            "[ 3590.416157] nf_conntrack: nf_conntrack: table full, dropping packet\n\
             [ 3592.882524] net_ratelimit: 4 callbacks suppressed\n",
            4,
        ),
    ] {
        let report = read(text);
        // A bucket of tokens may have had one left, and no more.
        if text.contains("printk: ") {
            assert_open(&report, 1, 1 + messages);
        } else {
            assert_drops(&report, 1, 1 + messages);
        }
        assert_eq!(report["suppressed"], messages, "{from}");
        assert_eq!(report["suppressed_elsewhere"], 0, "{from}");
    }
}

#[test]
fn module_loads_as_they_were_published() {
    for (line, module, buckets, max) in [
        (
            "ip_conntrack version 2.4 (8189 buckets, 65512 max) - 232 bytes per conntrack",
            "ip_conntrack",
            8189,
            65_512,
        ),
        (
            "ip_conntrack version 2.1 (8192 buckets, 65536 max) - 212 bytes per conntrack",
            "ip_conntrack",
            8192,
            65_536,
        ),
        (
            "[   15.360619] nf_conntrack version 0.5.0 (16384 buckets, 65536 max)",
            "nf_conntrack",
            16_384,
            65_536,
        ),
        (
            "nf_conntrack version 0.5.0 (65536 buckets, 262144 max)",
            "nf_conntrack",
            65_536,
            262_144,
        ),
    ] {
        let report = read(line);
        let loads = report["module_loads"].as_array().unwrap();
        assert_eq!(loads.len(), 1, "{line}");
        assert_eq!(loads[0]["module"], module);
        assert_eq!(loads[0]["buckets"], buckets);
        assert_eq!(loads[0]["max"], max);
        assert_eq!(loads[0]["reload"], false);
    }
}

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

/// Puts the message where the last `M` is that stands by itself.
fn put(line: &str, message: &str) -> String {
    let at = line.rfind("M\"}").or_else(|| line.rfind('M')).unwrap();
    format!("{}{message}{}", &line[..at], &line[at + 1..])
}

const FULL: &str = "nf_conntrack: nf_conntrack: table full, dropping packet";

/// Lines of host `gate`: made up, for the rules of attribution.
fn gate(lines: &[(&str, &str)]) -> Value {
    let text: String = lines
        .iter()
        .flat_map(|(time, text)| ["Mar 12 ", time, " gate kernel: ", text, "\n"])
        .collect();
    read(&text)
}

#[test]
fn messages_held_back_belong_to_the_burst_before_however_late_they_are_reported() {
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
fn what_nothing_has_told_of_yet_leaves_a_burst_open() {
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
            text.starts_with("at least 10 packets refused: table full\n")
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
fn of_two_writings_the_one_that_goes_on_tells_the_end() {
    let burst = format!("Mar 12 10:00:01 gate kernel: {FULL}\n").repeat(10);
    let whole =
        format!("{burst}Mar 12 11:00:00 gate kernel: net_ratelimit: 9 callbacks suppressed\n");
    for (a, b) in [(&burst, &whole), (&whole, &burst)] {
        let both = [("kern.log", a.as_bytes()), ("syslog", b.as_bytes())];
        assert_drops(&read_files(&both, &in_2012()).0, 10, 19);
    }
}

#[test]
fn messages_held_back_far_from_any_full_table_are_others() {
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
fn bursts_are_told_apart_and_how_long_it_was_quiet() {
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

const LOAD: &str = "nf_conntrack version 0.5.0 (16384 buckets, 65536 max)";

fn reloads(text: &str) -> Vec<bool> {
    let in_memory = read(text);
    // A stream finds the starts of the kernel in another way.
    let (streamed, _) = read_files(&[("messages.gz", &gzip(text))], &in_2012());
    assert_eq!(in_memory["module_loads"], streamed["module_loads"]);
    in_memory["module_loads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|load| load["reload"].as_bool().unwrap())
        .collect()
}

#[test]
fn a_second_load_in_one_boot_is_a_reload() {
    let line = |text: &str| format!("Mar 12 10:00:01 gate kernel: {text}\n");
    let boot = line("Linux version 2.6.32-754.el6.x86_64 (mockbuild@builder)");
    let load = line(LOAD);
    assert_eq!(reloads(&format!("{boot}{load}{load}")), [false, true]);
    assert_eq!(reloads(&format!("{load}{boot}{load}")), [false, false]);
    let quoted = "Mar 12 10:00:01 gate sshd[1]: Invalid user kernel: Linux version 9\n";
    assert_eq!(reloads(&format!("{load}{quoted}{load}")), [false, true]);
    let at = |uptime: &str| line(&format!("[{uptime:>12}] {LOAD}"));
    assert_eq!(
        reloads(&format!("{}{}", at("15.360619"), at("900.000001"))),
        [false, true]
    );
    assert_eq!(
        reloads(&format!("{}{}", at("900.000001"), at("15.360619"))),
        [false, false]
    );
    let (report, text) = read_files(
        &[("messages", format!("{load}{load}").as_bytes())],
        &in_2012(),
    );
    assert!(
        text.contains("loaded AGAIN") && text.contains("the limit was reset"),
        "{text}"
    );
    assert!(
        report["advice"][0]["remedy"]
            .to_string()
            .contains(".nf_conntrack")
    );
}

#[test]
fn a_reload_is_seen_across_a_rotation_and_a_boot_hides_none() {
    let line = |text: &str| format!("Mar 12 10:00:01 gate kernel: {text}\n");
    let (load, boot) = (line(LOAD), line("Linux version 2.6.32"));
    let reload = |old: &str, new: &str| {
        let files = [("messages.1", old.as_bytes()), ("messages", new.as_bytes())];
        let (report, _) = read_files(&files, &in_2012());
        report["module_loads"][1]["reload"].as_bool().unwrap()
    };
    assert!(reload(&load, &load));
    assert!(!reload(&format!("{load}{boot}"), &load));
    assert!(!reload(&load, &format!("{boot}{load}")));
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// The EL5 story, compressed by xz 5, zstd 1.5 and bzip2 1.0.
const COMPRESSED: [(&str, &[u8]); 3] = [
    ("messages.xz", include_bytes!("samples/el5.xz")),
    ("messages.zst", include_bytes!("samples/el5.zst")),
    ("messages.bz2", include_bytes!("samples/el5.bz2")),
];

#[test]
fn compressed_logs_are_read_also_in_several_pieces() {
    let gzip = gzip(EL5);
    let mut all = COMPRESSED.to_vec();
    all.push(("messages.gz", &gzip));
    for (name, bytes) in all {
        let year = in_2012();
        assert_open(&read_files(&[(name, bytes)], &year).0, 1, 5991);
        // Whatever it is called.
        assert_open(&read_files(&[("old", bytes)], &year).0, 1, 5991);
        let twice = [bytes, bytes].concat();
        assert_open(&read_files(&[(name, &twice)], &year).0, 2, 2 * 5991);
        // Cut off: what came before is kept, and the end is missed.
        let (report, text) = read_files(&[(name, &bytes[..bytes.len() - 9])], &year);
        let sources = report["skipped"]["sources"].as_array().unwrap();
        assert_eq!(sources.len(), 1, "{name}: {report:#}");
        assert!(text.contains("not read to its end"), "{text}");
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
    let (report, _) = read_files(&[("messages", &text)], &in_2012());
    assert_drops(&report, 2, 2);
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

#[test]
fn years_are_told_from_the_time_of_the_file_and_followed() {
    let directory = tempfile::tempdir().unwrap();
    let first = |text: &str, written: &str, year: Option<i16>| {
        let path = directory.path().join("messages");
        fs::write(&path, text).unwrap();
        let written = humantime::parse_rfc3339(written).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(written).unwrap();
        let request = Request {
            year,
            ..Request::default()
        };
        let report = report_of(&[path], &request);
        (
            report.first.unwrap()[..10].to_owned(),
            report.last.unwrap()[..10].to_owned(),
        )
    };
    let days = |days: &[&str]| -> String {
        let message = " 10:00:01 gate kernel: nf_conntrack: table full, dropping packet\n";
        days.iter().flat_map(|day| [day, message]).collect()
    };
    let of = |first: &str, last: &str| (first.to_owned(), last.to_owned());
    assert_eq!(
        first(&days(&["Dec 31", "Jan  1"]), "2024-01-05T00:00:00Z", None),
        of("2023-12-31", "2024-01-01")
    );
    assert_eq!(
        first(
            &days(&["Jan  1", "Jun  1", "Dec 1", "Jan  2"]),
            "2024-01-05T00:00:00Z",
            None
        ),
        of("2023-01-01", "2024-01-02")
    );
    // Three years in one file.
    let long = days(&[
        "Mar  1", "Aug  1", "Dec  1", "Mar  1", "Aug  1", "Dec  1", "Mar  1",
    ]);
    assert_eq!(
        first(&long, "2024-03-05T00:00:00Z", None),
        of("2022-03-01", "2024-03-01")
    );
    assert_eq!(
        first(&days(&["Feb 29"]), "2026-01-01T00:00:00Z", None),
        of("2024-02-29", "2024-02-29")
    );
    assert_eq!(
        first(
            &days(&["Dec 31", "Jan  1"]),
            "2024-01-05T00:00:00Z",
            Some(1999)
        ),
        of("1999-12-31", "2000-01-01")
    );
}

#[test]
fn an_old_part_is_not_of_a_later_year_than_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    for (name, written) in [
        ("messages.1", "2026-06-01T00:00:00Z"),
        ("messages", "2012-03-12T14:00:00Z"),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, EL5).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        let written = humantime::parse_rfc3339(written).unwrap();
        file.set_modified(written).unwrap();
    }
    let paths = ["messages", "messages.1"].map(|name| directory.path().join(name));
    let (report, _) = read_paths(&paths, &Request::default());
    assert_eq!(report["first"], "2012-03-12T13:40:34Z");
    assert_eq!(report["last"], report["first"]);
}

#[test]
fn time_and_host_can_be_asked_for() {
    let text = "\
Mar 12 10:00:01 a kernel: nf_conntrack: table full, dropping packet
Mar 12 11:00:01 a kernel: nf_conntrack: table full, dropping packet
Mar 12 11:00:01 b kernel: nf_conntrack: table full, dropping packet
Mar 12 12:00:01 a kernel: nf_conntrack: table full, dropping packet
";
    let ask = |request: &Request| {
        read_files(&[("messages", text.as_bytes())], request).0["lines"]
            .as_u64()
            .unwrap()
    };
    let since_eleven = Request {
        since: Some(when("2012-03-12 11:00")),
        ..in_2012()
    };
    assert_eq!(ask(&in_2012()), 4);
    assert_eq!(ask(&since_eleven), 3);
    let until_noon = Request {
        until: Some(when("2012-03-12T12:00:00Z")),
        ..since_eleven
    };
    assert_eq!(ask(&until_noon), 2);
    let of_a = Request {
        hosts: hosts("a"),
        ..in_2012()
    };
    assert_eq!(ask(&of_a), 3);
    let of_b = Request {
        hosts: hosts("b"),
        since: Some(when("2012-03-12T11:30:00")),
        ..in_2012()
    };
    assert_eq!(ask(&of_b), 0);
}

#[test]
fn a_period_that_ends_before_it_begins_is_wrong_usage() {
    let demand = |since: &str, until: &str| {
        let request = Request {
            since: Some(when(since)),
            until: Some(when(until)),
            ..Request::default()
        };
        Reading::new(&request, TimeZone::UTC).map(|_| ())
    };
    for (since, until) in [
        ("2012-03-13", "2012-03-12"),
        ("2012-03-12", "2012-03-12"),
        ("1h", "2h"),
    ] {
        let error = demand(since, until).unwrap_err();
        assert!(error.is::<EmptyPeriod>(), "{error}");
        assert!(
            error
                .to_string()
                .contains("--since is to be the earlier one"),
            "{error}"
        );
    }
    assert!(demand("2012-03-12", "2012-03-13").is_ok());
    assert!(demand("2h", "1h").is_ok());
}

#[test]
fn a_tree_without_logs_is_named_with_what_was_looked_for() {
    let root = tempfile::tempdir().unwrap();
    let said = |root: &std::path::Path| {
        let options = Options {
            root: Some(root.to_owned()),
            ..Options::default()
        };
        super::run(&options).unwrap_err().to_string()
    };
    let error = said(root.path());
    for named in [
        root.path().to_str().unwrap(),
        "var/log/journal",
        "run/log/journal",
        "kern.log, messages, syslog in var/log",
    ] {
        assert!(error.contains(named), "{named} in {error}");
    }
    let gone = root.path().join("gone");
    let error = said(&gone);
    assert!(error.ends_with("gone is no directory"), "{error}");
}

#[test]
fn what_was_not_asked_for_is_said_if_nothing_else_is_there() {
    let text = "\
Mar 12 10:00:01 fw kernel: nf_conntrack: table full, dropping packet
Mar 12 11:00:01 fw kernel: nf_conntrack: table full, dropping packet
Mar 12 12:00:01 gate kernel: nf_conntrack: table full, dropping packet
";
    let ask = |text: &str, request: Request| read_files(&[("messages", text.as_bytes())], &request);
    let of = |host: &str| Request {
        hosts: hosts(host),
        ..in_2012()
    };
    let (report, said) = ask(text, of("nope"));
    assert!(
        said.contains("is what was asked for")
            && said.contains("of other hosts (--host): 3 lines: fw, gate"),
        "{said}"
    );
    assert_eq!(report["excluded"]["hosts"][1], "gate");
    let (report, said) = ask(
        text,
        Request {
            since: Some(when("2013-01-01")),
            ..of("fw")
        },
    );
    assert!(
        said.contains("of other hosts (--host): 1 line: gate")
            && said.contains(
                "of other times (--since, --until): 2 lines, from 2012-03-12 10:00:01 UTC to \
                 2012-03-12 11:00:01 UTC"
            ),
        "{said}"
    );
    assert_eq!(report["excluded"]["by_host"], 1);
    assert_eq!(report["excluded"]["by_time"], 2);
    assert_eq!(report["excluded"]["last"], "2012-03-12T11:00:01Z");
    let (_, said) = ask(
        &format!("[ 1281.489259] {FULL}\n"),
        Request {
            until: Some(when("2013-01-01")),
            ..in_2012()
        },
    );
    assert!(
        said.contains("1 line, whose time of day is not known"),
        "{said}"
    );
    let (_, said) = ask(&format!("[ 1281.489259] {FULL}\n"), of("a"));
    assert!(said.contains("1 line: not named"), "{said}");
    for (text, host) in [(text, "fw"), ("", "nope")] {
        let (_, said) = ask(text, of(host));
        assert!(!said.contains("asked for"), "{said}");
    }
}

#[test]
fn two_writings_of_one_message_are_counted_once() {
    let line = "Mar 12 10:00:01 gate kernel: nf_conntrack: table full, dropping packet\n";
    let both = [("kern.log", line.as_bytes()), ("syslog", line.as_bytes())];
    assert_drops(&read_files(&both, &in_2012()).0, 1, 1);
    // A name that any host may have says nothing.
    let line = line.replace("gate", "localhost");
    let both = [("a", line.as_bytes()), ("b", line.as_bytes())];
    assert_drops(&read_files(&both, &in_2012()).0, 2, 2);
}

#[test]
fn what_is_no_log_is_an_error_that_names_it() {
    let journal = [b"LPKSHHRH".as_slice(), &[0; 300]].concat();
    let records = [b"\x07\0\0\0pts/0".as_slice(), &[0; 376]]
        .concat()
        .repeat(20);
    for (name, bytes, why) in [
        (
            "system.journal",
            journal.as_slice(),
            "/system.journal -o export",
        ),
        ("messages.lz4", b"\x04\x22\x4d\x18\x64", "lz4 -dc "),
        ("messages.zip", b"PK\x03\x04\x14", "unzip -p "),
        ("wtmp", &records, "it is no log"),
        (
            "wtmp.gz",
            &gzip(std::str::from_utf8(&records).unwrap()),
            "it is no log",
        ),
    ] {
        let (report, _) = read_files(&[(name, bytes)], &Request::default());
        assert_eq!(report["sources"].as_array().unwrap().len(), 0, "{report:#}");
        let unread = &report["skipped"]["sources"][0];
        assert!(
            unread["source"].as_str().unwrap().ends_with(name),
            "{unread}"
        );
        assert!(unread["why"].as_str().unwrap().contains(why), "{unread}");
    }
    let some = [EL5.as_bytes(), &[1; 4000]].concat();
    let (report, text) = read_files(&[("messages", &some)], &in_2012());
    assert_open(&report, 1, 5991);
    assert!(text.contains("is hardly a log"), "{text}");
    // A crash leaves zeros.
    let some = [&[0; 40], EL5.as_bytes()].concat();
    let (report, _) = read_files(&[("messages", &some)], &in_2012());
    assert_eq!(report["lines"], 1, "{report:#}");
    assert!(
        report["warnings"].as_array().unwrap().len() == 1,
        "{report:#}"
    );
    // Nothing is no error.
    let (report, text) = read_files(&[("messages", b"")], &Request::default());
    assert_eq!(report["sources"].as_array().unwrap().len(), 1);
    assert!(text.starts_with("no line about a full table"), "{text}");
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("messages");
    fs::write(&path, EL5).unwrap();
    let gone = directory.path().join("gone");
    let (report, text) = read_paths(&[path, gone], &in_2012());
    assert_open(&report, 1, 5991);
    assert!(
        text.contains("not read: ") && text.contains("gone"),
        "{text}"
    );
}
