//! A receiver of OTLP takes what the daemon sends.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message as _;

use crate::daemon::{Daemon, field, is_root};

/// Takes requests, and gives their heads and bodies.
fn receiver() -> (SocketAddr, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sent, received) = mpsc::channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if sent.send(request(&mut stream)).is_err() {
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (address, received)
}

fn request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

#[test]
fn a_receiver_takes_the_metrics_of_the_daemon() {
    if !is_root() {
        return;
    }
    let (address, received) = receiver();
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("config.toml");
    let text = format!(
        "[otlp]\nendpoint = \"http://{address}\"\ninterval = \"1s\"\ncompression = \"none\"\n"
    );
    fs::write(&settings, text).unwrap();
    let daemon = Daemon::start_with(&["--no-new-privs".to_owned()], 0, &settings);
    let (head, body) = received.recv_timeout(Duration::from_mins(1)).unwrap();
    assert!(head.starts_with("POST /v1/metrics HTTP/1.1\r\n"), "{head}");
    let request = ExportMetricsServiceRequest::decode(body.as_slice()).unwrap();
    let of = &request.resource_metrics[0];
    let attributes = &of.resource.as_ref().unwrap().attributes;
    for key in [
        "host.name",
        "os.type",
        "service.name",
        "service.instance.id",
    ] {
        assert!(attributes.iter().any(|one| one.key == key), "{key}");
    }
    let metrics = &of.scope_metrics[0].metrics;
    for name in [
        "ctdrop_build_info",
        "ctdrop_refused_packets",
        "ctdrop_otlp_queued_records",
    ] {
        assert!(metrics.iter().any(|one| one.name == name), "{name}");
    }
    // What is said of the export is served, too, and its thread has no capabilities.
    received.recv_timeout(Duration::from_mins(1)).unwrap();
    let success = daemon.sample("ctdrop_otlp_last_success_timestamp_seconds{signal=\"metrics\"}");
    assert!(success.is_some(), "{}", daemon.metrics());
    let threads = daemon.threads();
    let mut sending = threads
        .iter()
        .filter(|one| field(one, "Name") == "otlp-http");
    let effective = field(sending.next().unwrap(), "CapEff");
    assert_eq!(u64::from_str_radix(effective, 16).unwrap(), 0);
}
