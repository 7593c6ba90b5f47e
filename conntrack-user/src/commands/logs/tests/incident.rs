//! Why packets were refused, as far as a log tells it.

use super::read_files;

/// Made up: the text is that of Linux 6.18, the numbers are not.
const HOST: &str = "[ 1281.489259] nf_conntrack: nf_conntrack: table full, dropping packet\n";
const OTHER: &str =
    "[ 1281.489259] nf_conntrack: nf_conntrack: table full in netns 4026532246, dropping packet\n";

fn incident(text: &str) -> serde_json::Value {
    let (mut json, _) = read_files(&[("log", text.as_bytes())], &super::Request::default());
    json["incident"].take()
}

#[test]
fn a_full_table_of_the_host_may_be_undersized() {
    let both = format!("{HOST}{OTHER}{OTHER}");
    for text in [HOST, &both] {
        let incident = incident(text);
        assert_eq!(incident["kind"], "undersized", "{incident}");
        assert_eq!(incident["filling"]["kind"], "not_seen");
        assert_eq!(incident["confidence"], "possible");
        assert_eq!(incident["remedies"][0]["code"], "look_who");
    }
}

#[test]
fn a_full_table_of_another_namespace_is_noisy() {
    let incident = incident(OTHER);
    assert_eq!(incident["kind"], "noisy_namespace");
    assert_eq!(incident["netns"]["inode"], 4_026_532_246_u32);
    let look = &incident["remedies"][0]["commands"][0];
    assert_eq!(look, "ctdrop who --netns 4026532246");
}

#[test]
fn a_log_without_a_full_table_has_no_incident() {
    let starts = "[    1.489259] nf_conntrack: default automatic helper assignment\n";
    let (json, _) = read_files(
        &[("log", format!("{starts}{starts}").as_bytes())],
        &super::Request::default(),
    );
    assert!(json["incident"].is_null(), "{json}");
}
