use super::*;
use crate::{
    commands::who::{by::By, text},
    incident::FillingKind,
    say::port::Services,
};

fn of(table: &str, filter: &Filter) -> NamespaceReport {
    let content = Content::Read(table.as_bytes().to_vec());
    report("table.txt", content, filter, 3).unwrap()
}

fn entry(number: u32, left: u32) -> String {
    format!(
        "tcp      6 {left} ESTABLISHED src=10.9.0.66 dst=192.0.2.80 sport={number} dport=443 \
         src=192.0.2.80 dst=10.9.0.66 sport=443 dport={number} [ASSURED] mark=0 use=1\n"
    )
}

/// A leak of one client, beside one connection in use.
fn leak() -> String {
    let idle = (1..=200).map(|number| entry(number, 86_400));
    idle.chain([entry(201, 431_999)]).collect()
}

#[test]
fn a_leak_in_a_saved_table_has_its_culprit() {
    let report = of(&leak(), &Filter::default());
    assert_eq!(report.incident.filling.kind, FillingKind::Leak);
    assert_eq!((report.entries, report.idle_established), (201, 200));
    assert_eq!(report.second_look, None);
    let lines = text::lines(&report, &Services::default()).join("\n");
    for words in [
        "table.txt\u{1b}[0m: 201 entries\n",
        "looks like a leak",
        "10.9.0.66",
        "age        unknown: the saved table does not tell it",
        "does not tell network namespaces apart",
    ] {
        assert!(lines.contains(words), "no {words:?} in {lines}");
    }
}

#[test]
fn without_a_connection_in_use_nothing_is_called_idle() {
    let table: String = (1..=200).map(|number| entry(number, 86_400)).collect();
    let report = of(&table, &Filter::default());
    assert_eq!(report.incident.filling.kind, FillingKind::Unknown);
    assert_eq!((report.idle_established, report.idle_unknown), (0, 200));
}

#[test]
fn filters_choose_from_a_saved_table() {
    let filter = Filter {
        src: Some("10.9.0.66/32".parse().unwrap()),
        protocol: Some(17),
        ..Filter::default()
    };
    let report = of(&leak(), &filter);
    assert_eq!((report.entries, report.dump.received), (0, 201));
    assert!(report.dump.filtered_by_kernel.is_empty());
    let lines = text::lines(&report, &Services::default());
    assert!(
        lines[0].ends_with("201 entries; 0 match the options"),
        "{}",
        lines[0]
    );
}

#[test]
fn one_table_is_shown_alone() {
    let report = of(&leak(), &Filter::default());
    let tables = |by| {
        let lines = text::lines_by(&report, &Services::default(), by);
        let titles = lines.iter().filter(|line| line.contains("ENTRIES "));
        let titles: Vec<String> = titles.cloned().collect();
        (titles, lines.join("\n"))
    };
    for (by, title) in [
        (By::Src, "SOURCE"),
        (By::Dst, "DESTINATION"),
        (By::Service, "SERVICE"),
        (By::State, "PROGRESS"),
        (By::Zone, "ZONE"),
        (By::Mark, "MARK"),
    ] {
        let (titles, lines) = tables(by);
        assert_eq!(titles.len(), 1, "{lines}");
        assert!(titles[0].ends_with(title), "{titles:?}");
        assert!(lines.contains("looks like a leak"), "{lines}");
        assert!(
            lines.contains("does not tell network namespaces apart"),
            "{lines}"
        );
        assert!(!lines.contains("would free"), "{lines}");
    }
    assert!(tables(By::Owner).0.is_empty());
}

#[test]
fn another_file_is_refused() {
    let content = Content::Read(b"root:x:0:0:root:/root:/bin/sh\n".to_vec());
    let error = report("passwd", content, &Filter::default(), 3).unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("passwd is not a saved conntrack table"),
        "{error}"
    );
}
