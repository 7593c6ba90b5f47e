//! What is exported.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    engine::{fake::Fake, options::Options, update::Update},
    incident::{Evidence, Incident, Kind, judge},
    observe::counts::health::Runs,
    store::record::Survival,
    subscribers::{
        Subscriber as _,
        metrics::{
            Live, Metrics,
            catalogue::families,
            export::Export,
            family::{Family, Kind as Metric},
            listen::{Listen, Listener},
            numbers::{Cardinality, Named, Numbers, Phase, TopFlow},
            server::Server,
            shared::Shared,
        },
        recording::{Told, What},
    },
};

/// A server with these numbers, and its address.
pub(super) fn serve(numbers: &Numbers) -> (Server, SocketAddr) {
    let shared = Arc::new(Shared::default());
    shared.put(numbers);
    serve_shared(shared)
}

/// A server with what is shared, and its address.
pub(super) fn serve_shared(shared: Arc<Shared>) -> (Server, SocketAddr) {
    let listen = Listen::read("127.0.0.1:0").unwrap();
    let listener = listen.open().unwrap().unwrap();
    let Listener::Tcp(tcp) = &listener else {
        panic!("{listener:?}")
    };
    let address = tcp.local_addr().unwrap();
    (Server::start(listener, shared).unwrap(), address)
}

pub(super) fn observing() -> Numbers {
    Numbers {
        phase: Phase::Observing,
        ..Numbers::default()
    }
}

/// What is answered to a request.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub(super) fn get(address: SocketAddr, path: &str) -> String {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n"),
    )
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_adds_up_to_the_totals() {
    let options = Options {
        duration: Some(Duration::from_mins(1)),
        ..Options::default()
    };
    let shared = Arc::new(Shared::default());
    let (_live, latest) = watch::channel(Live {
        cardinality: Cardinality {
            namespaces: 3,
            top: 2,
            owners: 0,
        },
        ..Live::default()
    });
    let mut metrics = Metrics::new(Arc::clone(&shared), "/nowhere".into(), latest);
    let mut engine = Fake::default().engine(options, std::future::pending());
    let mut counted = 0;
    let mut seen = String::new();
    while let Some(update) = engine.next().await.unwrap() {
        if let Update::Interval(report) = &update {
            counted += report.figures.total();
        }
        if !matches!(update, Update::Finished(_)) {
            metrics.update(&update).unwrap();
            seen = String::from_utf8(shared.text().to_vec()).unwrap();
        }
    }
    assert!(counted > 100);
    for line in [
        format!("ctdrop_refused_packets_total{{reason=\"table_full\"}} {counted}\n"),
        // The namespace of the fake one is not found on this host.
        format!("ctdrop_netns_refused_packets_total{{netns=\"other\"}} {counted}\n"),
        format!("ctdrop_refused_flows_total {counted}\n"),
        "ctdrop_refused_packets_total{reason=\"clash\"} 0\n".to_owned(),
        "ctdrop_table_entries_limit 900\n".to_owned(),
        "ctdrop_table_buckets 1024\n".to_owned(),
        "ctdrop_observer_info{backend=\"fexit\"} 1\n".to_owned(),
        "ctdrop_observing 1\n".to_owned(),
    ] {
        assert!(seen.contains(&line), "{line}: {seen}");
    }
    assert_eq!(
        seen.matches("\nctdrop_top_refused_packets{").count(),
        2,
        "{seen}"
    );
    assert!(seen.ends_with("# EOF\n"));
}

#[test]
fn incidents_are_open_until_they_are_closed() {
    let told = |id, kind| {
        Box::new(Told {
            id,
            refused: 1,
            incident: Incident {
                kind,
                ..judge(&Evidence::default(), None)
            },
            closed_by: None,
        })
    };
    let mut numbers = observing();
    numbers.record(&What::Opened(told(1, Kind::Unknown)));
    numbers.record(&What::Opened(told(2, Kind::Leak)));
    numbers.record(&What::Diagnosed(told(1, Kind::Leak)));
    numbers.record(&What::Failing("full".to_owned()));
    numbers.record(&What::Predicted(Survival {
        boot: Some(65_536),
        reload: None,
        ..Survival::default()
    }));
    let text = |numbers: &Numbers| super::family::openmetrics(families(numbers));
    let open = text(&numbers);
    for line in [
        "ctdrop_incidents_open{kind=\"leak\"} 2\n",
        "ctdrop_incidents_open{kind=\"unknown\"} 0\n",
        "ctdrop_incidents_opened_total 2\n",
        "ctdrop_evidence_failing 1\n",
        "ctdrop_table_entries_limit_after{event=\"boot\"} 65536\n",
    ] {
        assert!(open.contains(line), "{line}: {open}");
    }
    assert!(!open.contains("module_reload"), "it cannot be told");
    numbers.record(&What::Closed(told(2, Kind::Leak)));
    let lost = 3;
    let since = String::new();
    numbers.record(&What::Resumed { since, lost });
    let closed = text(&numbers);
    assert!(closed.contains("ctdrop_incidents_open{kind=\"leak\"} 1\n"));
    assert!(closed.contains("ctdrop_evidence_lost_rows_total 3\n"));
    assert!(closed.contains("ctdrop_evidence_failing 0\n"));
}

/// Numbers of which every family has a sample.
fn whole() -> Numbers {
    let named = |value| Named {
        name: "blue".to_owned(),
        value,
    };
    let labels = [
        "netns", "reason", "protocol", "src", "sport", "dst", "dport",
    ];
    let mut numbers = Numbers {
        backend: Some(crate::observe::backend::Backend::Fexit),
        entries: vec![named(5)],
        full_in: vec![Named {
            name: "blue".to_owned(),
            value: 60.0,
        }],
        limit: Some(crate::engine::limit::LimitInForce {
            table: crate::kernel::defaults::Table {
                max: 900,
                buckets: 1024,
            },
            changed: None,
        }),
        top: vec![TopFlow {
            labels: labels.map(|label| (label, "x".to_owned())),
            packets: 1,
        }],
        owners: vec![vec![("netns", "x".to_owned())]],
        interval_end: Some(1.0),
        runs: [("kfree_skb", Runs::default())].into(),
        ..observing()
    };
    numbers.evidence.bytes = Some(1);
    let mut export = Export::default();
    export.logs.last_success = Some(1.0);
    numbers.export = Some(export);
    numbers.evidence.limit = Some(2);
    numbers.record(&What::Predicted(Survival {
        boot: Some(1),
        ..Survival::default()
    }));
    numbers
}

#[test]
fn the_documentation_has_every_metric_and_no_other() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let documentation = fs::read_to_string(file).unwrap();
    let rows = documentation.lines();
    let rows = rows.filter_map(|line| line.strip_prefix("| `ctdrop_")?.split_once('`'));
    let documented: BTreeSet<String> = rows.map(|(name, _)| format!("ctdrop_{name}")).collect();
    let families = families(&whole());
    for family in &families {
        assert!(!family.samples.is_empty(), "{} has no sample", family.name);
        assert!(!family.name.ends_with("_total"), "{}", family.name);
        assert!(!family.help.ends_with('.'), "{}", family.name);
        assert_eq!(
            family.sample_name().ends_with("_total"),
            family.kind == Metric::Counter
        );
    }
    let exported: BTreeSet<String> = families.iter().map(Family::sample_name).collect();
    let status = ["ctdrop_status_severity", "ctdrop_status_timestamp_seconds"];
    let status: BTreeSet<String> = status.map(str::to_owned).into();
    let documented: BTreeSet<String> = documented.difference(&status).cloned().collect();
    assert_eq!(documented, exported, "docs/metrics.md");
}

#[test]
fn each_path_is_answered() {
    let (_server, address) = serve(&observing());
    let metrics = get(address, "/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(metrics.contains(kind), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    for path in ["/healthz", "/readyz", "/"] {
        assert!(get(address, path).starts_with("HTTP/1.1 200"), "{path}");
    }
    assert!(get(address, "/secret").starts_with("HTTP/1.1 404"));
    let post = "POST /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n";
    assert!(ask(address, post).starts_with("HTTP/1.1 405"));
}

#[test]
fn runs_of_programs_are_exported_where_the_kernel_counts_them() {
    let text = |numbers: &Numbers| super::family::openmetrics(families(numbers));
    let mut numbers = observing();
    assert!(!text(&numbers).contains("ctdrop_program_runs_total{"));
    let runs = Runs {
        count: 7,
        nanoseconds: 1_500_000_000,
    };
    numbers.runs.insert("kfree_skb", runs);
    let counted = text(&numbers);
    for line in [
        "ctdrop_program_runs_total{program=\"kfree_skb\"} 7\n",
        "ctdrop_program_run_time_seconds_total{program=\"kfree_skb\"} 1.5\n",
    ] {
        assert!(counted.contains(line), "{line}: {counted}");
    }
}

#[test]
fn it_is_ready_only_while_it_observes() {
    for (phase, alive, ready) in [
        (Phase::Waiting, "200", "503"),
        (Phase::Observing, "200", "200"),
        (Phase::Finished, "503", "503"),
    ] {
        let numbers = Numbers {
            phase,
            ..Numbers::default()
        };
        let (_server, address) = serve(&numbers);
        for (path, code) in [("/healthz", alive), ("/readyz", ready)] {
            let answer = get(address, path);
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {code}")),
                "{phase:?} {path}: {answer}"
            );
        }
    }
}

#[test]
fn a_socket_in_the_file_system_serves_the_same_and_goes_with_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics");
    let listen = Listen::read(&format!("unix:{}", path.display())).unwrap();
    let shared = Arc::new(Shared::default());
    shared.put(&observing());
    let server = Server::start(listen.open().unwrap().unwrap(), shared).unwrap();
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("# EOF\n"), "{answer}");
    drop(server);
    assert!(!path.exists());
}
