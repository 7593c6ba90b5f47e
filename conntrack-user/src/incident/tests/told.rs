//! How an incident is told: codes, words, commands.

use std::net::IpAddr;

use crate::incident::{
    Census, Netns, Remedy, commands, judge, remedy,
    tests::{
        CLIENT, RESOLVER, container, few_sources, full, honest, host, leaking, second, spoofed,
    },
    words,
};

#[test]
fn codes_are_stable_and_words_go_with_them() {
    let found = judge(&full(), Some(&leaking()));
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["kind"], "leak");
    assert_eq!(json["pressure"], "full");
    assert_eq!(json["filling"]["kind"], "leak");
    assert_eq!(json["confidence"], "possible");
    assert_eq!(json["culprit"]["source"]["address"], "10.0.0.7");
    let first = &json["evidence"][0];
    assert_eq!(
        (&first["code"], &first["entries"]),
        (&"table_use".into(), &10_000.into())
    );
    assert!(
        first["text"]
            .as_str()
            .unwrap()
            .starts_with("10,000 of 10,000 entries")
    );
    let remedy = &json["remedies"][0];
    assert_eq!(remedy["code"], "shorten_timeout");
    assert_eq!(
        remedy["commands"][0],
        "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=7440"
    );
    let json = serde_json::to_value(judge(&full(), Some(&spoofed()))).unwrap();
    let service = &json["culprit"]["service"];
    assert_eq!(
        (&service["protocol"], &service["port"]),
        (&"udp".into(), &53.into())
    );
}

#[test]
fn every_sign_has_a_sentence_of_its_own() {
    let censuses = [honest(), leaking(), spoofed(), few_sources()];
    let seconds = [None, Some(second(9, 1, 1)), Some(second(0, 9, 1))];
    for mut census in censuses {
        for second in seconds {
            census.second = second;
            let found = judge(&full(), Some(&census));
            let sentences: Vec<String> = found.evidence.iter().map(words::sign).collect();
            assert!(sentences.iter().all(|sentence| !sentence.is_empty()));
            let mut different = sentences.clone();
            different.sort();
            different.dedup();
            assert_eq!(different.len(), sentences.len(), "{sentences:?}");
        }
    }
}

#[test]
fn commands_act_on_the_namespace_that_the_table_is_of() {
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    let delete = |source| Remedy::DeleteSource {
        source,
        owner: None,
        entries: 3,
    };
    let run = |remedy: &Remedy, netns: &Netns| commands::commands(remedy, netns).join("; ");
    assert_eq!(run(&delete(CLIENT), &host()), "conntrack -D -s 10.0.0.7");
    assert_eq!(
        run(&delete(v6), &container()),
        "nsenter -t 7 -n conntrack -D -f ipv6 -s 2001:db8::1"
    );
    let service = Remedy::DeleteService {
        service: RESOLVER,
        owner: None,
        entries: 3,
    };
    assert_eq!(
        run(&service, &host()),
        "conntrack -D -d 192.0.2.53 -p udp --dport 53"
    );
    let nameless = Netns {
        enter: None,
        name: "sleep[7] $(reboot)".to_owned(),
        ..container()
    };
    let how = words::how(&delete(CLIENT), &nameless);
    let begin = "conntrack -D -s 10.0.0.7  # run this inside network namespace sleep[7]";
    assert!(how.starts_with(begin), "{how}");
    let look = run(&Remedy::LookWho, &nameless);
    assert_eq!(
        look, "ctdrop who --netns 4026532000",
        "no shell obeys a name"
    );
}

#[test]
fn what_would_free_most_comes_first() {
    let census = Census {
        owner: Some(("docker/b".to_owned(), 30)),
        ..leaking()
    };
    let freeing = remedy::freeing(&census);
    let entries: Vec<u64> = freeing.iter().filter_map(Remedy::entries).collect();
    assert_eq!(entries, [6_000, 900, 800, 500, 30]);
    // Timeouts that would end nothing are no remedy, nor are those of
    // connections that are in use.
    let live = Census {
        second: Some(second(2_000, 0, 0)),
        ..census
    };
    let freeing = remedy::freeing(&live);
    let shorter = |remedy: &Remedy| matches!(remedy, Remedy::ShortenTimeout { .. });
    assert!(!freeing.iter().any(shorter), "{freeing:?}");
}
