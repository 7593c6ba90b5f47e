//! Every form of a message, whole and damaged, and what only looks like one.

use super::{forms::FORMS, *};

fn parse(line: &str) -> Option<Message> {
    Message::parse(line.as_bytes())
}

#[test]
fn every_form_is_recognised_and_has_what_logs_are_searched_for() {
    for (line, message) in FORMS {
        assert_eq!(parse(line), Some(message), "{line}");
        assert!(has(line.as_bytes(), message.needle()), "{line}");
    }
}

#[test]
fn full_tables_are_recognised_in_the_quotes_of_others() {
    for line in [
        "monitor: ip_conntrack: table full, dropping packet.",
        "nf_conntrack: nf_conntrack: table full in netns 4026532114, dropping packet",
    ] {
        assert!(Message::is_quoted_in(line.as_bytes()), "{line}");
    }
    assert!(!Message::is_quoted_in(
        b"nf_conntrack: expectation table full"
    ));
}

#[test]
fn a_start_that_does_not_say_its_size_is_none() {
    for line in [
        "nf_conntrack version 0.5.0",
        "nf_conntrack version 0.5.0 (16384 buckets, 65536",
        "xf_conntrack version 0.5.0 (1 buckets, 1 max)",
    ] {
        assert_eq!(parse(line), None, "{line}");
    }
}

#[test]
fn what_is_left_of_a_message_is_told_from_other_messages() {
    for line in [
        "nf_conntrack: table full, drop",
        "ip_conntrack: t",
        "nf_conntrack: nf_conntrack: table full in netns 40265",
    ] {
        assert_eq!(parse(line), None, "{line}");
        assert!(Message::is_cut(line.as_bytes()), "{line}");
    }
    for line in [
        "nf_conntrack: default automatic helper assignment has been turned off",
        "nf_conntrack: ",
        "table full, drop",
        "",
    ] {
        assert!(!Message::is_cut(line.as_bytes()), "{line}");
    }
}

#[test]
fn blanks_at_the_end_do_not_matter() {
    for end in ["\n", "\r\n", " ", "\t \n"] {
        for (form, message) in FORMS {
            let line = format!("{form}{end}");
            assert_eq!(parse(&line), Some(message), "{line:?}");
        }
    }
}

#[test]
fn near_misses_are_no_full_table() {
    for line in [
        "",
        "nf_conntrack: ",
        "table full, dropping packet",
        " nf_conntrack: table full, dropping packet",
        "nf_conntrack: table full",
        "ip_conntrack: VPS table full, dropping packet.",
        "nf_conntrack: table full, dropping packets",
        "nf_conntrack: table full, dropping packet..",
        "nf_conntrack: table full, dropping packet. More",
        "nf_conntrack: Table full, dropping packet",
        "nf_conntrack:table full, dropping packet",
        "nf_conntrack: nf_conntrack: nf_conntrack: table full, dropping packet",
        "xf_conntrack: table full, dropping packet",
        "nf_conntrack: table full in netns , dropping packet",
        "nf_conntrack: table full in netns -1, dropping packet",
        "nf_conntrack: table full in netns 4294967296, dropping packet",
        "nf_conntrack: table full in netns 99999999999999999999, dropping packet",
        "nf_conntrack: table full in netns 40265x, dropping packet",
        "nf_conntrack: table full in netns 4026532114 dropping packet",
        "Neighbour: table full, dropping packet",
        "neighbour: arp_cache: neighbor table overflow!",
        "TCP: request_sock_TCP: Possible SYN flooding on port 80.",
    ] {
        assert_eq!(parse(line), None, "{line}");
    }
}

#[test]
fn a_full_table_of_expectations_is_another_one() {
    for line in [
        "nf_conntrack: nf_conntrack: expectation table full",
        "nf_ct_expect: expectation table full",
        "nf_conntrack: expectation table full, dropping packet",
    ] {
        assert_eq!(parse(line), None, "{line}");
    }
}

#[test]
fn what_others_suppress_is_not_ours() {
    for line in [
        "printk: 5990 messages suppressed",
        "printk: 5990 callbacks suppressed",
        "net_ratelimit: 5 messages suppressed.",
        "net_ratelimit: 5 callbacks suppressed.",
        "net_ratelimit:  callbacks suppressed",
        "net_ratelimit: -5 callbacks suppressed",
        "net_ratelimit: 99999999999999999999 callbacks suppressed",
        "audit_printk_skb: 5 callbacks suppressed",
        "show_signal_msg: 5 callbacks suppressed",
        "ratelimit: 5 callbacks suppressed",
    ] {
        assert_eq!(parse(line), None, "{line}");
    }
}

#[test]
fn bytes_that_are_no_text_are_no_message() {
    assert_eq!(
        Message::parse(b"\xff\xfe nf_conntrack: table full, dropping packet"),
        None
    );
    assert_eq!(
        Message::parse(b"nf_conntrack: table full\0, dropping packet"),
        None
    );
}
