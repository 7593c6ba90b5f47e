//! Logs that are quoted, coloured or encoded in another way, or that other programs carry; and
//! forms that are not read. Made up after the programs' documentation, but where it is said.

use std::fs;

use super::{EL5, FULL, assert_drops, assert_open, gzip, in_2012, read, read_files};
use crate::{
    commands::logs::{Options, run},
    logs::read::request::Request,
};

#[test]
fn what_carries_a_line_is_taken_off() {
    let at = Some("2012-03-12T13:40:34Z");
    for (line, host, first) in [
        // Containers: Kubernetes (CRI), docker logs -t, docker's own files.
        ("2012-03-12T13:40:34Z stdout F [ 1281.489259] M", None, at),
        (
            "2012-03-12T14:40:34+01:00 stderr P [ 1281.489259] M",
            None,
            at,
        ),
        ("2012-03-12T13:40:34Z stdout F M", None, at),
        ("2012-03-12T13:40:34Z [ 1281.489259] M", None, at),
        (
            "2012-03-12T13:40:35Z stdout F Mar 12 13:40:34 gate kernel: M",
            Some("gate"),
            at,
        ),
        (
            "2012-03-12T13:40:35Z Mar 12 13:40:34 gate kernel: M",
            Some("gate"),
            at,
        ),
        (
            "{\"log\":\"[ 1281.489259] M\\n\",\"stream\":\"stdout\",\"time\":\"2012-03-12T13:40:34Z\"}",
            None,
            at,
        ),
        ("node-1  | [ 1281.489259] M", None, None),
        (
            "[pod/kmsg-x7/kmsg] Mar 12 13:40:34 gate kernel: M",
            Some("gate"),
            at,
        ),
        // grep.
        (
            "/var/log/messages:Mar 12 13:40:34 gate kernel: M",
            Some("gate"),
            at,
        ),
        (
            "messages-20120318:17:Mar 12 13:40:34 gate kernel: M",
            Some("gate"),
            at,
        ),
        ("17:[ 1281.489259] M", None, None),
        // Mails and forums.
        ("> Mar 12 13:40:34 gate kernel: M", Some("gate"), at),
        (">> > Mar 12 13:40:34 gate kernel: M", Some("gate"), at),
        (">[ 1281.489259] M", None, None),
        ("    Mar 12 13:40:34 gate kernel: M", Some("gate"), at),
        ("\tMar 12 13:40:34 gate kernel: M", Some("gate"), at),
        ("    M", None, None),
        ("`Mar 12 13:40:34 gate kernel: M`", Some("gate"), at),
        ("\"Mar 12 13:40:34 gate kernel: M\"", Some("gate"), at),
        ("\u{feff}Mar 12 13:40:34 gate kernel: M", Some("gate"), at),
        // RFC 5424 with quotes and brackets in a value.
        (
            "<4>1 2012-03-12T13:40:34Z gate kernel - - [x@1 y=\"a \\] b\" z=\"\\\\\"][k@2] M",
            Some("gate"),
            at,
        ),
        (
            "<4>1 2012-03-12T13:40:34Z gate kernel - - [x@1 y=\"]\\\"]\"] M",
            Some("gate"),
            at,
        ),
        // journalctl -o json-seq and json-sse.
        (
            "\u{1e}{\"__REALTIME_TIMESTAMP\":\"1331559634000000\",\"_TRANSPORT\":\"kernel\",\"_HOSTNAME\":\"gate\",\"MESSAGE\":\"M\"}",
            Some("gate"),
            at,
        ),
        (
            "data: {\"__REALTIME_TIMESTAMP\":\"1331559634000000\",\"_TRANSPORT\":\"kernel\",\"_HOSTNAME\":\"gate\",\"MESSAGE\":\"M\"}",
            Some("gate"),
            at,
        ),
        // Coloured by dmesg, journalctl and grep.
        (
            "\u{1b}[32m[Mon Mar 12 13:40:34 2012] \u{1b}[0m\u{1b}[33mM\u{1b}[0m",
            None,
            at,
        ),
        (
            "Mar 12 13:40:34 gate kernel: \u{1b}[0;1;38;5;185mM\u{1b}[0m",
            Some("gate"),
            at,
        ),
        (
            "\u{1b}[35m\u{1b}[Kmessages\u{1b}[m\u{1b}[K\u{1b}[36m\u{1b}[K:\u{1b}[m\u{1b}[KMar 12 13:40:34 gate kernel: M",
            Some("gate"),
            at,
        ),
    ] {
        let text = super::forms::put(line, FULL);
        let report = read(&text);
        assert_drops(&report, 1, 1);
        assert_eq!(report["by_host"][0]["host"].as_str(), host, "{text}");
        assert_eq!(report["first"].as_str(), first, "{text}");
    }
    // A pattern that colours what logs are searched for.
    let coloured = FULL.replace(
        "conntrack",
        "\u{1b}[01;31m\u{1b}[Kconntrack\u{1b}[m\u{1b}[K",
    );
    assert_drops(
        &read(&format!("[ 1281.489259] {coloured}\n").repeat(3)),
        3,
        3,
    );
}

#[test]
fn what_a_program_says_is_not_the_kernels_whoever_carries_it() {
    for line in [
        "2012-03-12T13:40:34Z stdout F Mar 12 10:00:01 gate sshd[7]: Invalid user M",
        "/var/log/messages:Mar 12 10:00:01 gate sshd[7]: Invalid user kernel: M",
        "> Mar 12 10:00:01 gate sshd[7]: M",
        // journalctl prints further lines of a message below its first one.
        "                               Mar 12 10:00:01 gate kernel: M",
        "                               M",
    ] {
        let report = read(&super::forms::put(line, FULL));
        assert_drops(&report, 0, 0);
        assert_eq!(report["skipped"]["lines"]["not_kernel"], 1, "{line}");
    }
}

#[test]
fn a_message_that_a_mail_has_wrapped_is_joined() {
    let text = "\
> Mar 12 13:40:34 localhost kernel: printk: 5990 messages suppressed.
> Mar 12 13:40:34 localhost kernel: ip_conntrack: table full, dropping
> packet.
";
    let (report, _) = read_files(&[("mail", text.as_bytes())], &in_2012());
    assert_open(&report, 1, 5991);
    assert_eq!(report["skipped"]["lines"]["cut"], 0);
    let other = "Mar 12 13:40:34 gate kernel: nf_conntrack: table\nfull, dropping packet\n";
    assert_drops(&read(other), 1, 1);
    let cut = "Mar 12 13:40:34 gate kernel: nf_conntrack: table\nMar 12 13:40:35 gate kernel: x\n";
    assert_eq!(read(cut)["skipped"]["lines"]["cut"], 1);
}

#[test]
fn utf_16_is_read() {
    let bytes: Vec<u8> = format!("\u{feff}{EL5}")
        .replace('\n', "\r\n")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (name, bytes) in [
        ("messages", bytes.clone()),
        ("messages.gz", gzip_bytes(&bytes)),
    ] {
        let (report, _) = read_files(&[(name, &bytes)], &in_2012());
        assert_open(&report, 1, 5991);
        assert_eq!(report["first"], "2012-03-12T13:40:34Z");
    }
}

fn gzip_bytes(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// After journalctl(1).
const PRETTY: &str = "{
\t\"__CURSOR\" : \"s=1;i=1\",
\t\"__REALTIME_TIMESTAMP\" : \"1331559634000000\",
\t\"_TRANSPORT\" : \"kernel\",
\t\"_HOSTNAME\" : \"gate\",
\t\"_BOOT_ID\" : \"0123456789abcdef0123456789abcdef\",
\t\"MESSAGE\" : \"nf_conntrack: nf_conntrack: table full, dropping packet\"
}
{
\t\"__REALTIME_TIMESTAMP\" : \"1331559640000000\",
\t\"_TRANSPORT\" : \"kernel\",
\t\"_HOSTNAME\" : \"gate\",
\t\"MESSAGE\" : \"net_ratelimit: 12 callbacks suppressed\"
}
{
\t\"__REALTIME_TIMESTAMP\" : \"1331559650000000\",
\t\"_TRANSPORT\" : \"syslog\",
\t\"MESSAGE\" : \"nf_conntrack: nf_conntrack: table full, dropping packet\"
}
";

#[test]
fn pretty_json_of_the_journal_is_read() {
    let (report, _) = read_files(&[("journal", PRETTY.as_bytes())], &Request::default());
    assert_drops(&report, 1, 13);
    assert_eq!(report["first"], "2012-03-12T13:40:34Z");
    assert_eq!(report["by_host"][0]["host"], "gate");
    let (streamed, _) = read_files(&[("journal.gz", &gzip(PRETTY))], &Request::default());
    assert_drops(&streamed, 1, 13);
    let cut = &PRETTY.as_bytes()[..PRETTY.len() - 40];
    let (report, text) = read_files(&[("journal", cut)], &Request::default());
    assert_drops(&report, 1, 13);
    assert!(text.contains("not read to its end"), "{text}");
}

/// Forms that are not read, and what the error says.
const UNKNOWN: &[(&str, &str)] = &[
    (
        "Mon 2012-03-12 13:40:34.000000 UTC [s=1;i=1;b=2;m=3;t=4;x=5]\n    _TRANSPORT=kernel\n    MESSAGE=M\n",
        "journalctl -o export",
    ),
    (
        "{\"timestamp\":\"2012-03-12T13:40:34Z\",\"source\":\"gate\",\"facility\":\"kernel\",\"message\":\"M\"}\n",
        "jq -r",
    ),
    (
        "{\n  \"_source\" : {\n    \"message\" : \"M\"\n  }\n}\n",
        "JSON of another program",
    ),
    ("  {\"message\": \"M\"},\n", "JSON of another program"),
    ("2012-03-12,gate,kernel,\"M\"\n", "does not know the form"),
    (
        "12/03/2012 13:40:34 | gate | kernel | M\n",
        "does not know the form",
    ),
    (
        "time=\"2012-03-12T13:40:34Z\" level=warn msg=\"M\"\n",
        "does not know the form",
    ),
];

#[test]
fn a_form_that_is_not_known_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    for (log, why) in UNKNOWN {
        let path = directory.path().join("export");
        fs::write(
            &path,
            log.replace('M', FULL)
                .replace(&format!("{FULL}ESSAGE"), "MESSAGE")
                .replace(&format!("{FULL}on"), "Mon"),
        )
        .unwrap();
        let options = Options {
            files: vec![path],
            ..Options::default()
        };
        let error = run(&options).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("export"), "{error}");
    }
}

#[test]
fn a_line_in_another_form_does_not_hide_the_others() {
    let text = format!("{EL5}12/03/2012 13:40:34 | gate | kernel | {FULL}\n");
    let (report, said) = read_files(&[("messages", text.as_bytes())], &in_2012());
    assert_eq!(report["lines"], 1);
    assert_eq!(report["skipped"]["lines"]["not_kernel"], 1);
    assert!(
        said.contains("has 1 line about a full table in a form"),
        "{said}"
    );
}
