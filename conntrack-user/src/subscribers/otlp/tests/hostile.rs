//! Receivers that behave badly cannot use more time or memory than the bounds allow.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Result;
use bytes::Bytes;

use super::super::{
    answer::{Answer, Verdict, judge},
    post::{Http, Transport as _},
    settings::{Endpoint, Settings},
};

const TIMEOUT: Duration = Duration::from_millis(1500);

/// A receiver that does this with each connection.
pub(super) fn receiver(act: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    receiver_at("127.0.0.1", act)
}

pub(super) fn receiver_at(host: &str, act: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            act(stream);
        }
    });
    address
}

/// Reads a request, and gives all of it.
pub(super) fn request(stream: &mut impl std::io::Read) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).unwrap_or(0);
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            if read == 0 {
                return text.into_owned();
            }
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        if read == 0 || request.len() >= head.len() + 4 + length {
            return text.into_owned();
        }
    }
}

fn answering(answer: &'static str) -> SocketAddr {
    receiver(move |mut stream| {
        request(&mut stream);
        let _ = stream.write_all(answer.as_bytes());
    })
}

pub(super) fn settings(endpoint: &str) -> Settings {
    Settings {
        endpoint: Endpoint::read(endpoint).unwrap(),
        timeout: TIMEOUT,
        ..Settings::default()
    }
}

pub(super) async fn post(settings: Settings) -> Result<Answer> {
    let to = settings.logs_to().unwrap();
    Http::new(settings)
        .post(&to, Bytes::from_static(b"records"))
        .await
}

async fn post_to(address: SocketAddr) -> Result<Answer> {
    post(settings(&format!("http://{address}"))).await
}

async fn verdict(address: SocketAddr) -> Verdict {
    judge(&post_to(address).await.unwrap(), SystemTime::now())
}

#[tokio::test]
async fn what_is_sent_is_a_request_of_otlp() {
    let (sent, received) = std::sync::mpsc::channel();
    let address = receiver(move |mut stream| {
        sent.send(request(&mut stream)).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let answer = post(Settings {
        headers: "X-Scope-OrgID=web".to_owned(),
        gzip: false,
        ..settings(&format!("http://{address}/base"))
    });
    assert_eq!(
        judge(&answer.await.unwrap(), SystemTime::now()),
        Verdict::Taken
    );
    let request = received.recv().unwrap();
    assert!(
        request.starts_with("POST /base/v1/logs HTTP/1.1\r\n"),
        "{request}"
    );
    for header in [
        format!("host: {address}\r\n"),
        "content-type: application/x-protobuf\r\n".to_owned(),
        "x-scope-orgid: web\r\n".to_owned(),
        "content-length: 7\r\n".to_owned(),
    ] {
        assert!(request.contains(&header), "{header}: {request}");
    }
    assert!(request.ends_with("\r\n\r\nrecords"));
}

#[tokio::test]
async fn nobody_is_waited_for_longer_than_the_timeout() {
    let silent = receiver(|stream| {
        thread::spawn(move || {
            thread::sleep(Duration::from_mins(1));
            drop(stream);
        });
    });
    let slow = receiver(|mut stream| {
        thread::spawn(move || {
            request(&mut stream);
            let answer = b"HTTP/1.1 200 OK\r\nX-Slow: ";
            let more = std::iter::repeat(&b'x');
            for byte in answer.iter().chain(more) {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
    });
    for address in [silent, slow] {
        let began = Instant::now();
        let error = post_to(address).await.unwrap_err().to_string();
        assert!(error.contains("otlp.timeout"), "{error}");
        assert!(began.elapsed() < TIMEOUT * 4, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_gibibyte_is_not_read() {
    for (head, is_answer) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n",
            true,
        ),
        ("HTTP/1.1 200 OK\r\n", false),
    ] {
        let poured = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&poured);
        let address = receiver(move |mut stream| {
            request(&mut stream);
            let _ = stream.write_all(head.as_bytes());
            let line = format!("X-Huge: {}\r\n", "x".repeat(8000));
            while counter.load(Ordering::Relaxed) < 1 << 30
                && stream.write_all(line.as_bytes()).is_ok()
            {
                counter.fetch_add(line.len() as u64, Ordering::Relaxed);
            }
        });
        let answer = post_to(address).await;
        if is_answer {
            // It has said that it took the request.
            let answer = answer.unwrap();
            assert_eq!(answer.body, None);
            assert_eq!(judge(&answer, SystemTime::now()), Verdict::Taken);
        } else {
            assert!(answer.is_err(), "{answer:?}");
        }
        thread::sleep(Duration::from_millis(200));
        let poured = poured.load(Ordering::Relaxed);
        assert!(poured < 64 << 20, "{poured} bytes");
    }
}

#[tokio::test]
async fn a_redirection_is_said_and_not_followed() {
    let followed = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&followed);
    let other = receiver(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let address = receiver(move |mut stream| {
        request(&mut stream);
        let _ = write!(
            stream,
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{other}/\r\nContent-Length: 0\r\n\r\n"
        );
    });
    let Verdict::Again { why, .. } = verdict(address).await else {
        panic!()
    };
    assert!(why.contains(&other.to_string()), "{why}");
    assert_eq!(followed.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn garbage_is_no_answer_and_an_error_is_one() {
    for garbage in [
        "",
        "\0\u{1}\u{2}\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200",
    ] {
        assert!(post_to(answering(garbage)).await.is_err(), "{garbage:?}");
    }
    let refused = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
                   Content-Length: 3\r\n\r\nno!";
    let Verdict::Refused { why } = verdict(answering(refused)).await else {
        panic!()
    };
    assert_eq!(why, "the answer is 400 Bad Request (no!)");
    // An answer that comes before the request was read counts.
    let cut = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 100\r\n\r\nx";
    let Verdict::Again { after, .. } = verdict(answering(cut)).await else {
        panic!()
    };
    assert_eq!(after, Some(Duration::from_secs(7)));
}
