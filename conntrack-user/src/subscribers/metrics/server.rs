//! Serves the metrics over HTTP, in a thread of its own.
//!
//! Whatever clients do, memory and time are bounded: so many connections are open at a time,
//! and each has so long and sends so much. When there are too many, the oldest goes: whoever
//! holds connections open keeps nobody out.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fs,
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    runtime,
    sync::oneshot,
    task::{AbortHandle, spawn, yield_now},
    time::{sleep, timeout},
};

use crate::subscribers::{
    capabilities::renounce,
    metrics::{listen::Listener, shared::Shared},
};

/// Connections that are open at a time.
pub const CONNECTIONS: usize = 64;

/// How long a connection may take from its begin to its end.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);

/// Bytes of a request that are kept: a longer head is refused, and a body is never read.
const BUFFER: usize = 16 << 10;

/// Headers of a request.
const HEADERS: usize = 64;

/// How long it rests when a connection cannot be accepted: mostly for lack of descriptors.
const REST: Duration = Duration::from_millis(100);

/// OpenMetrics, as its standard names it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Plain text.
const TEXT: &str = "text/plain; charset=utf-8";

/// A server that runs; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// The socket to be removed.
    socket: Option<PathBuf>,
}

impl Server {
    /// Serves what is shared.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start(listener: Listener, shared: Arc<Shared>) -> Result<Self> {
        const WHAT: &str = "cannot start a thread that serves metrics";
        let socket = match &listener {
            Listener::Tcp(_) => None,
            Listener::Unix { path, .. } => path.clone(),
        };
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context(WHAT)?;
        let (end, ended) = oneshot::channel();
        let accepting = {
            let _inside = runtime.enter();
            Accepting::of(listener).context(WHAT)?
        };
        let thread = thread::Builder::new().name("metrics-http".to_owned());
        let thread = thread
            .spawn(move || {
                renounce("serves metrics");
                runtime.block_on(async move {
                    tokio::select! {
                        () = accepting.serve(shared) => {}
                        _ = ended => {}
                    }
                });
            })
            .context(WHAT)?;
        Ok(Self {
            end: Some(end),
            thread: Some(thread),
            socket,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed.
            let _ = thread.join();
        }
        if let Some(socket) = &self.socket {
            // Left behind, it is removed at the next start.
            let _ = fs::remove_file(socket);
        }
    }
}

/// A listener of the runtime.
enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Accepting {
    fn of(listener: Listener) -> std::io::Result<Self> {
        match listener {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Self::Tcp)
            }
            Listener::Unix { listener, .. } => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Self::Unix)
            }
        }
    }

    async fn serve(self, shared: Arc<Shared>) {
        let mut open = Open::default();
        loop {
            let shared = Arc::clone(&shared);
            let begun = match &self {
                Self::Tcp(listener) => {
                    let accepted = listener.accept().await;
                    accepted.map(|(stream, _)| spawn(connection(stream, shared)))
                }
                Self::Unix(listener) => {
                    let accepted = listener.accept().await;
                    accepted.map(|(stream, _)| spawn(connection(stream, shared)))
                }
            };
            let Ok(begun) = begun else {
                sleep(REST).await;
                continue;
            };
            open.add(begun.abort_handle());
            // However many wait to be accepted, each gets its turn before others drive it out.
            yield_now().await;
        }
    }
}

/// The connections that are open, the oldest first.
#[derive(Default)]
struct Open(VecDeque<AbortHandle>);

impl Open {
    /// Adds one; if there are too many, the oldest ends.
    fn add(&mut self, connection: AbortHandle) {
        if self.0.len() >= CONNECTIONS {
            self.0.retain(|open| !open.is_finished());
        }
        if self.0.len() >= CONNECTIONS
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(connection);
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let answer = service_fn(move |request| {
        let answer = answer(&request, &shared);
        async move { Ok::<_, Infallible>(answer) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .max_headers(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    // What goes wrong is the client's business, and so is being late.
    let _ = timeout(DEADLINE, serving).await;
}

fn answer(request: &Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = say(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        let allowed = hyper::header::HeaderValue::from_static("GET, HEAD");
        refusal.headers_mut().insert(ALLOW, allowed);
        return refusal;
    }
    match request.uri().path() {
        "/metrics" => respond(StatusCode::OK, OPENMETRICS, shared.text()),
        "/healthz" => health(
            shared.is_alive(),
            "ctdrop observes\n",
            "nothing was counted lately\n",
        ),
        "/readyz" => health(
            shared.is_observing(),
            "ctdrop observes\n",
            "ctdrop does not observe: conntrack is not loaded, or it has not begun\n",
        ),
        "/" => say(StatusCode::OK, "ctdrop: /metrics, /healthz, /readyz\n"),
        _ => say(
            StatusCode::NOT_FOUND,
            "there are /metrics, /healthz and /readyz\n",
        ),
    }
}

fn health(is_well: bool, well: &'static str, ill: &'static str) -> Response<Full<Bytes>> {
    if is_well {
        say(StatusCode::OK, well)
    } else {
        say(StatusCode::SERVICE_UNAVAILABLE, ill)
    }
}

fn say(status: StatusCode, what: &'static str) -> Response<Full<Bytes>> {
    respond(status, TEXT, Bytes::from_static(what.as_bytes()))
}

fn respond(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let header = hyper::header::HeaderValue::from_static;
    headers.insert(CONTENT_TYPE, header(kind));
    headers.insert(CACHE_CONTROL, header("no-store"));
    response
}
