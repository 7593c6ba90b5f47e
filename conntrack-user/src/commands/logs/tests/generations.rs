//! The lines of every generation of the kernel, as they were published.

use super::{EL5, assert_drops, assert_open, in_2012, read, read_files};
use crate::logs::read::request::Request;

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
        text.starts_with(
            "at least 1 packet was refused, possibly more than 5,991: the table was full\n"
        ),
        "{text}"
    );
    // What fits that box, and nothing that does not.
    let advice = report["advice"].as_array().unwrap();
    assert_eq!(advice.len(), 1, "{advice:#?}");
    assert_eq!(advice[0]["code"], "ip_conntrack_full");
    assert_eq!(advice[0]["severity"], "warning");
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
        "linux-kernel mailing list, 2001, Linux 2.4.1",
        "Feb 18 23:05:50 rhino kernel: ip_conntrack: maximum limit of 8184 entries exceeded",
        "rhino",
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
    let (_, one) = read_files(&[("dmesg", PUBLISHED[8].1.as_bytes())], &Request::default());
    assert!(
        one.starts_with("1 packet was refused: the table was full\n  1 line in ")
            && one.contains("(1 packet was refused)"),
        "{one}"
    );
}

#[test]
fn suppressed_messages_in_the_words_of_every_generation() {
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
