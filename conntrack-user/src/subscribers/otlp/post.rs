//! Sends a request, within bounds of time and memory, whatever the receiver does.

use std::{
    fs,
    io::Write as _,
    net::IpAddr,
    path::Path,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, Response, Uri,
    body::Incoming,
    client::conn::http1,
    header::{
        CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, LOCATION, RETRY_AFTER,
        USER_AGENT,
    },
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::subscribers::otlp::{answer::Answer, settings::Settings, tls};

/// The most bytes of the status line and headers of an answer.
const HEAD: usize = 64 << 10;

/// The most bytes of its body.
const BODY: usize = 64 << 10;

/// The most addresses of a name that are tried.
const ADDRESSES: usize = 4;

/// Who sends requests.
pub(super) trait Transport: Send + Sync + 'static {
    /// Sends a request, and waits for its answer.
    fn post(&self, to: &Uri, body: Bytes) -> impl Future<Output = Result<Answer>> + Send;
}

/// Sends over HTTP/1.1, with a connection for each request.
pub(super) struct Http {
    settings: Settings,
    /// Makes TLS connections; with it, when the file with the certificates last changed. It is
    /// kept because it has the sessions that can be resumed.
    tls: Mutex<Option<(Option<SystemTime>, TlsConnector)>>,
}

impl Http {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            tls: Mutex::default(),
        }
    }

    fn connector(&self) -> Result<TlsConnector> {
        let file = self.settings.ca_file.as_deref();
        let state = file.and_then(changed);
        let mut kept = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, connector)) = &*kept
            && *of == state
        {
            return Ok(connector.clone());
        }
        let connector = tls::connector(file)?;
        *kept = Some((state, connector.clone()));
        Ok(connector)
    }

    async fn exchange(&self, to: &Uri, body: Bytes) -> Result<Answer> {
        let request = self.request(to, &body)?;
        let host = to.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_tls = to.scheme_str() == Some("https");
        let port = to.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let stream = connect(host, port).await?;
        if is_tls {
            let name = ServerName::try_from(host.to_owned()).with_context(|| {
                format!(
                    "no certificate can be for the name {host}: give another name or an address"
                )
            })?;
            let stream = self.connector()?.connect(name, stream).await;
            talk(stream.map_err(tls::explained)?, request).await
        } else {
            talk(stream, request).await
        }
    }

    fn request(&self, to: &Uri, body: &Bytes) -> Result<Request<Full<Bytes>>> {
        let path = to.path_and_query().map_or("/", |path| path.as_str());
        let authority = to.authority().context("an address without a host")?;
        let mut request = Request::post(path)
            .header(HOST, authority.as_str())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(CONNECTION, "close")
            .header(USER_AGENT, concat!("ctdrop/", env!("CARGO_PKG_VERSION")));
        for (name, value) in self.settings.all_headers()? {
            request = request.header(name, value);
        }
        let body = if self.settings.gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
            gzip(body)?
        } else {
            body.clone()
        };
        Ok(request.body(Full::new(body))?)
    }
}

impl Transport for Http {
    async fn post(&self, to: &Uri, body: Bytes) -> Result<Answer> {
        let limit = self.settings.timeout;
        let exchanged = timeout(limit, self.exchange(to, body)).await;
        exchanged.unwrap_or_else(|_| {
            let limit = limit.as_secs_f64();
            Err(anyhow!("no answer within {limit} s (otlp.timeout)"))
        })
    }
}

fn changed(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).ok()?.modified().ok()
}

fn gzip(body: &Bytes) -> Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body)?;
    Ok(encoder.finish()?.into())
}

/// Connects to the first address of a name that answers.
async fn connect(host: &str, port: u16) -> Result<TcpStream> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => find(host).await?,
    };
    let mut failure = anyhow!("{host} has no address");
    for address in addresses.into_iter().take(ADDRESSES) {
        match TcpStream::connect((address, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                failure = anyhow!(error).context(format!("cannot connect to {address}:{port}"));
            }
        }
    }
    Err(failure)
}

/// Finds the addresses of a name.
async fn find(host: &str) -> Result<Vec<IpAddr>> {
    let found = lookup_host((host, 0)).await;
    let found = found.with_context(|| format!("cannot find the address of {host}"))?;
    Ok(found.map(|address| address.ip()).collect())
}

/// Sends a request over a connection, and reads the answer.
async fn talk<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD)
        .max_headers(64)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await?;
    let exchange = async {
        let response = sender.send_request(request).await;
        answer(response.context("no HTTP/1.1 answer")?).await
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end before the answer was read.
        _ = connection => exchange.await,
    }
}

async fn answer(response: Response<Incoming>) -> Result<Answer> {
    let (head, body) = response.into_parts();
    if head.status.is_informational() {
        bail!("the answer is {}", head.status);
    }
    let header = |name: HeaderName| {
        let value = head.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ok(Answer {
        status: head.status,
        retry_after: header(RETRY_AFTER),
        content_type: header(CONTENT_TYPE),
        location: header(LOCATION),
        // The status decides. The body may be too long or end early.
        body: Limited::new(body, BODY)
            .collect()
            .await
            .ok()
            .map(http_body_util::Collected::to_bytes),
    })
}
