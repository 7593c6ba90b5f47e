//! Logs that are quoted, coloured or encoded in another way, or that other programs carry; and
//! forms that are not read. Made up after the programs' documentation, but where it is said.

use std::fs;

use super::{EL5, FULL, assert_drops, assert_open, gzip, in_2012, read, read_files};
use crate::{
    commands::logs::{Options, run},
    logs::read::request::Request,
};

/// Lines, with the host and the time that they have.
const CARRIED: &[(&str, Option<&str>, Option<&str>)] = &[
    // Containers: Kubernetes (CRI), docker logs -t, docker's own files.
    ("2012-03-12T13:40:34Z stdout F [ 1281.489259] M", None, AT),
    (
        "2012-03-12T14:40:34+01:00 stderr P [ 1281.489259] M",
        None,
        AT,
    ),
    ("2012-03-12T13:40:34Z stdout F M", None, AT),
    ("2012-03-12T13:40:34Z [ 1281.489259] M", None, AT),
    (
        "2012-03-12T13:40:35Z stdout F Mar 12 13:40:34 gate kernel: M",
        Some("gate"),
        AT,
    ),
    (
        "2012-03-12T13:40:35Z Mar 12 13:40:34 gate kernel: M",
        Some("gate"),
        AT,
    ),
    (
        "{\"log\":\"[ 1281.489259] M\\n\",\"stream\":\"stdout\",\"time\":\"2012-03-12T13:40:34Z\"}",
        None,
        AT,
    ),
    ("node-1  | [ 1281.489259] M", None, None),
    (
        "[pod/kmsg-x7/kmsg] Mar 12 13:40:34 gate kernel: M",
        Some("gate"),
        AT,
    ),
    // Without the time, as it was published of a host with OpenVZ.
    ("gate kernel: M", Some("gate"), None),
    ("> gate kernel: [ 1281.489259] M", Some("gate"), None),
    // A console's output, by conserver or ts.
    ("Mar 12 13:40:34 [ 1281.489259] M", None, AT),
    ("2012-03-12 13:40:34 [ 1281.489259] M", None, AT),
    ("Mon Mar 12 13:40:34 2012 [ 1281.489259] M", None, AT),
    // grep.
    (
        "/var/log/messages:Mar 12 13:40:34 gate kernel: M",
        Some("gate"),
        AT,
    ),
    (
        "messages-20120318:17:Mar 12 13:40:34 gate kernel: M",
        Some("gate"),
        AT,
    ),
    ("17:[ 1281.489259] M", None, None),
    // Mails and forums.
    ("> Mar 12 13:40:34 gate kernel: M", Some("gate"), AT),
    (">> > Mar 12 13:40:34 gate kernel: M", Some("gate"), AT),
    (">[ 1281.489259] M", None, None),
    ("    Mar 12 13:40:34 gate kernel: M", Some("gate"), AT),
    ("\tMar 12 13:40:34 gate kernel: M", Some("gate"), AT),
    ("    M", None, None),
    ("`Mar 12 13:40:34 gate kernel: M`", Some("gate"), AT),
    ("\"Mar 12 13:40:34 gate kernel: M\"", Some("gate"), AT),
    ("\u{feff}Mar 12 13:40:34 gate kernel: M", Some("gate"), AT),
    // RFC 5424 with quotes and brackets in a value.
    (
        "<4>1 2012-03-12T13:40:34Z gate kernel - - [x@1 y=\"a \\] b\" z=\"\\\\\"][k@2] M",
        Some("gate"),
        AT,
    ),
    (
        "<4>1 2012-03-12T13:40:34Z gate kernel - - [x@1 y=\"]\\\"]\"] M",
        Some("gate"),
        AT,
    ),
    // journalctl -o json-seq and json-sse.
    (
        "\u{1e}{\"__REALTIME_TIMESTAMP\":\"1331559634000000\",\"_TRANSPORT\":\"kernel\",\"_HOSTNAME\":\"gate\",\"MESSAGE\":\"M\"}",
        Some("gate"),
        AT,
    ),
    (
        "data: {\"__REALTIME_TIMESTAMP\":\"1331559634000000\",\"_TRANSPORT\":\"kernel\",\"_HOSTNAME\":\"gate\",\"MESSAGE\":\"M\"}",
        Some("gate"),
        AT,
    ),
    // Coloured by dmesg, journalctl and grep.
    (
        "\u{1b}[32m[Mon Mar 12 13:40:34 2012] \u{1b}[0m\u{1b}[33mM\u{1b}[0m",
        None,
        AT,
    ),
    (
        "Mar 12 13:40:34 gate kernel: \u{1b}[0;1;38;5;185mM\u{1b}[0m",
        Some("gate"),
        AT,
    ),
    (
        "\u{1b}[35m\u{1b}[Kmessages\u{1b}[m\u{1b}[K\u{1b}[36m\u{1b}[K:\u{1b}[m\u{1b}[KMar 12 13:40:34 gate kernel: M",
        Some("gate"),
        AT,
    ),
];

const AT: Option<&str> = Some("2012-03-12T13:40:34Z");

#[test]
fn what_carries_a_line_is_taken_off() {
    for (line, host, first) in CARRIED {
        let text = super::forms::put(line, FULL);
        let report = read(&text);
        assert_drops(&report, 1, 1);
        assert_eq!(report["by_host"][0]["host"].as_str(), *host, "{text}");
        assert_eq!(report["first"].as_str(), *first, "{text}");
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
        "root: kernel: M",
        "Invalid user kernel: M",
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
        "jq -r '.. | .\"message\"? // empty'",
    ),
    // GELF, Google Cloud, dmesg -J: each has the line under a key of its own.
    (
        "{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"kernel: [ 12.0] M\",\"level\":4}\n",
        "jq -r '.. | .\"short_message\"? // empty'",
    ),
    (
        "{\"insertId\":\"a\",\"jsonPayload\":{\"MESSAGE\":\"M\",\"_TRANSPORT\":\"kernel\"}}\n",
        "jq -r '.. | .\"MESSAGE\"? // empty'",
    ),
    (
        "{\n   \"dmesg\": [\n      {\n         \"pri\": 4,\n         \"msg\": \"M\"\n      }\n   ]\n}\n",
        "jq -r '.. | .\"msg\"? // empty'",
    ),
    ("{\n  \"lines\": [\"M\"]\n}\n", "jq -r '.. | strings'"),
    // fluentd, with its own offset and tag before the JSON.
    (
        "2012-03-12 13:40:34 +0000 kernel: {\"host\":\"h\",\"message\":\"M\"}\n",
        "| jq -r '.. | .\"message\"? // empty' | ctdrop logs -",
    ),
    (
        "2012-03-12 13:40:34 +0000 kern.warn: {\"message\":\"M\"}\n",
        "| jq -r '.. | .\"message\"? // empty' | ctdrop logs -",
    ),
    (
        "2012-03-12T13:40:34Z {host=\"web1\",unit=\"kernel\"} M\n",
        "logcli query -o raw",
    ),
    ("\"2012-03-12 13:40:34\",\"h\",\"kernel: M\"\n", "columns"),
    (
        "2012-03-12T13:40:34Z,web1,\"kernel: [12.3] M\"\n",
        "columns",
    ),
    (
        "\"2012-03-12T13:40:34.000+0000\",web1,\"Mar 12 13:40:34 web1 kernel: M\"\n",
        "columns",
    ),
    (
        "2012-03-12 13:40:34\th\tkern\twarning\tkernel\tM\n",
        "columns",
    ),
    ("2012-03-12T13:40:34Z\tweb1\tkernel: [12.3] M\n", "columns"),
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
        "sed -n",
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
                .replace(&format!("{FULL}on"), "Mon")
                .replace(&format!("{FULL}ar"), "Mar"),
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
