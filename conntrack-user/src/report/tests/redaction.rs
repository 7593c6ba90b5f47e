//! `--redact`: nothing that tells who somebody is is left, in any form.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::evidence;
use crate::report::{markdown::markdown, model::Report, page::page, redact::Mask, report};

/// Names as hosts, namespaces, containers, pods, processes, units and people have them.
const NAMES: [&str; 8] = [
    "gw-fra-07",
    "tenant-acme",
    "3f9ac81b22d0",
    "shopfront-7d9c",
    "billingd",
    "payroll.service",
    "rjohnson",
    "build.corp.example",
];

const FOUR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
const SIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0x51, 0, 0, 0xbeef, 0x9);

/// Each notation of an address that people and programs use.
fn notations(address: IpAddr) -> Vec<String> {
    match address {
        IpAddr::V4(four) => {
            let number = u32::from(four);
            let [a, b, c, d] = four.octets();
            vec![
                four.to_string(),
                format!("::ffff:{four}"),
                format!("::ffff:{:x}:{:x}", number >> 16, number & 0xffff),
                number.to_string(),
                format!("{number:#x}"),
                format!("{number:08X}"),
                format!("{d}.{c}.{b}.{a}.in-addr.arpa"),
                format!("{a:#o}.{b:#o}.{c:#o}.{d:#o}").replace("0o", "0"),
                format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
                format!("{a}-{b}-{c}-{d}"),
            ]
        }
        IpAddr::V6(six) => {
            let expanded: Vec<String> = six.segments().map(|it| format!("{it:04x}")).into();
            let expanded = expanded.join(":");
            let nibbles: Vec<String> = expanded
                .chars()
                .rev()
                .filter(|char| *char != ':')
                .map(String::from)
                .collect();
            vec![
                six.to_string(),
                six.to_string().to_uppercase(),
                expanded.clone(),
                expanded.to_uppercase(),
                expanded.replace(':', ""),
                u128::from(six).to_string(),
                format!("{}.ip6.arpa", nibbles.join(".")),
                six.segments().map(|it| format!("{it:x}")).join(":"),
                format!("{}-{}", &expanded[..4], &expanded[5..9]),
            ]
        }
    }
}

/// Sentences as records have them, each with something in it.
fn texts() -> Vec<String> {
    let secrets = secrets();
    let around = |secret: &String, place: usize| match place % 7 {
        0 => secret.clone(),
        1 => format!("from {secret} (pod/{secret}): 900 entries"),
        2 => format!("cannot read /home/{secret}/{secret}.conf: no such file"),
        3 => format!("tcp [{secret}]:443 and {secret}:53, {secret}."),
        4 => format!("net.netfilter.nf_conntrack_max = 65536 # {secret}\n+x={secret};y"),
        5 => format!("udp src={secret} dst=\"{secret}\" <{secret}> ({secret})"),
        _ => format!("{secret}/24 {secret}% @{secret} {secret}[123]"),
    };
    // Each place of a record gets each of them in turn: see the loop below.
    secrets
        .iter()
        .enumerate()
        .map(|(place, secret)| around(secret, place))
        .collect()
}

fn secrets() -> Vec<String> {
    let mut secrets: Vec<String> = NAMES.map(ToOwned::to_owned).to_vec();
    secrets.extend(notations(FOUR.into()));
    secrets.extend(notations(SIX.into()));
    secrets
}

fn forms(report: &Report) -> [(&'static str, String); 3] {
    [
        ("html", page(report)),
        ("md", markdown(report)),
        ("json", serde_json::to_string(report).unwrap()),
    ]
}

/// What must be nowhere: the notations, and the parts of names.
fn needles() -> Vec<String> {
    let mut needles = secrets();
    needles.extend(
        [
            "gw-fra",
            "acme",
            "shopfront",
            "payroll",
            "corp.example",
            "beef",
        ]
        .map(ToOwned::to_owned),
    );
    needles
}

#[test]
fn no_address_and_no_name_is_left_in_any_form() {
    let texts = texts();
    let needles = needles();
    // Each place gets each text once.
    for turn in 0..texts.len() {
        let mut turned = texts.clone();
        turned.rotate_left(turn);
        let mut mask = Mask::keyed([9; 32]);
        let report = report(&evidence(&turned), Some(&mut mask));
        for (form, text) in forms(&report) {
            let lower = text.to_lowercase();
            // Markdown escapes some characters.
            let plain = lower.replace('\\', "");
            for needle in &needles {
                let needle = needle.to_lowercase();
                if let Some(place) = plain.find(&needle) {
                    let from = plain[..place]
                        .char_indices()
                        .rev()
                        .nth(60)
                        .map_or(0, |(at, _)| at);
                    panic!(
                        "{needle} in {form}: …{}",
                        &plain[from..place + needle.len()]
                    );
                }
            }
        }
    }
}

#[test]
fn without_it_they_are_there() {
    let report = report(&evidence(&texts()), None);
    let (_, json) = &forms(&report)[2];
    assert!(json.contains("tenant-acme") && json.contains("203.0.113.77"));
}

#[test]
fn the_same_is_masked_in_the_same_way_and_another_report_differs() {
    let texts: Vec<String> = (0..60).map(|place| format!("x{place}")).collect();
    let mut evidence = evidence(&texts);
    let text = "from 203.0.113.77 (pod/tenant-acme): 9 entries";
    let incident = &mut evidence.record.incidents[0];
    incident.culprit = Some(text.to_owned());
    incident.body = serde_json::json!({"evidence": [{"code": "", "text": text}]}).to_string();
    evidence.digest.flows[0].key.src = "::ffff:203.0.113.77".to_owned();
    let made = |key| report(&evidence, Some(&mut Mask::keyed([key; 32])));
    let report = made(1);
    let culprit = report.incidents[0].culprit.clone().unwrap();
    assert_eq!(report.incidents[0].evidence[0], culprit);
    assert!(
        culprit.starts_with("from ip-")
            && culprit.contains("(pod/name-")
            && culprit.ends_with(": 9 entries"),
        "{culprit}"
    );
    assert!(
        report.summary.who.contains(&culprit),
        "{}",
        report.summary.who
    );
    assert_ne!(made(2).incidents[0].culprit.clone().unwrap(), culprit);
    assert!(culprit.contains(&report.victims.flows[0].src), "{culprit}");
    // Numbers, ports and well-known words stay.
    assert_eq!(report.victims.flows[0].dport, 53);
    assert_eq!(report.timeline.drops["table_full"], 1800);
}

#[test]
fn what_ctdrop_says_itself_is_not_masked() {
    // All words of its own sentences are known to the mask.
    let sources = [
        include_str!("../../incident/words.rs"),
        include_str!("../../survival/words.rs"),
        include_str!("../sentences.rs"),
        include_str!("../timeline.rs"),
        include_str!("../method.rs"),
    ];
    let mask = Mask::keyed([1; 32]);
    for source in sources {
        let code = source.split("#[cfg(test)]").next().unwrap();
        for literal in code.split('"').skip(1).step_by(2) {
            let literal = literal.replace(['{', '}'], "\0");
            let ours = literal.split('\0').step_by(2);
            let words = ours.flat_map(|part| part.split(|char: char| !char.is_ascii_alphabetic()));
            for word in words.filter(|word| word.len() > 1) {
                assert_eq!(mask.text(word), word, "in {literal:?}");
            }
        }
    }
}
