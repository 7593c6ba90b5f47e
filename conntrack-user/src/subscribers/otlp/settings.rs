//! Where to send, and how.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use hyper::{
    Uri,
    header::{HeaderName, HeaderValue},
};

use crate::subscribers::otlp::tls;

/// The most bytes of a file with headers.
const LARGEST: u64 = 64 << 10;

/// Headers to be sent.
pub type Headers = Vec<(HeaderName, HeaderValue)>;

/// The address for a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// No address: nothing is sent.
    Off,
    /// To this address.
    To(Uri),
}

impl Endpoint {
    /// Reads an address that begins with `https://` or `http://`, or `off`.
    ///
    /// # Errors
    ///
    /// Another text; says what to give instead.
    pub fn read(text: &str) -> Result<Self, String> {
        const GIVE: &str = "give an address such as https://collector.example:4318, or off";
        if text == "off" {
            return Ok(Self::Off);
        }
        let uri: Uri = text.parse().map_err(|_| GIVE.to_owned())?;
        let authority = uri.authority().ok_or_else(|| GIVE.to_owned())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || authority.host().is_empty() {
            return Err(GIVE.to_owned());
        }
        if authority.as_str().contains('@') {
            return Err("leave out user and password: otlp.headers_file is for secrets".into());
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(format!(
                "leave out the ? or # and all that follows it: {GIVE}"
            ));
        }
        let has_port = authority.as_str().len() > authority.host().len();
        if has_port && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(format!("the port must be from 1 to 65535: {GIVE}"));
        }
        Ok(Self::To(uri))
    }

    /// This address with the path of a signal.
    fn below(&self, path: &str) -> Option<Uri> {
        let Self::To(base) = self else {
            return None;
        };
        let base = base.to_string();
        format!("{}{path}", base.trim_end_matches('/')).parse().ok()
    }

    /// This address as it is.
    fn whole(&self) -> Option<Uri> {
        match self {
            Self::Off => None,
            Self::To(uri) => Some(uri.clone()),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::To(uri) => uri.fmt(f),
        }
    }
}

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address for both signals, without their paths.
    pub endpoint: Endpoint,
    /// The whole address for metrics, if it is another one.
    pub metrics: Option<Endpoint>,
    /// The whole address for records of incidents, if it is another one.
    pub logs: Option<Endpoint>,
    /// Headers of each request, as `name=value,name=value`.
    pub headers: String,
    /// A file with more headers, one on each line.
    pub headers_file: Option<PathBuf>,
    /// A file with the certificate authorities to trust, instead of those of the host.
    pub ca_file: Option<PathBuf>,
    /// How often metrics are sent.
    pub interval: Duration,
    /// How long a request may take.
    pub timeout: Duration,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// The maximum size of the queue, in bytes.
    pub queue_size: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::Off,
            metrics: None,
            logs: None,
            headers: String::new(),
            headers_file: None,
            ca_file: None,
            interval: Duration::from_mins(1),
            timeout: Duration::from_secs(10),
            gzip: true,
            queue_size: 16 << 20,
        }
    }
}

impl Settings {
    /// Where metrics go.
    pub fn metrics_to(&self) -> Option<Uri> {
        match &self.metrics {
            Some(own) => own.whole(),
            None => self.endpoint.below("/v1/metrics"),
        }
    }

    /// Where records of incidents go.
    pub fn logs_to(&self) -> Option<Uri> {
        match &self.logs {
            Some(own) => own.whole(),
            None => self.endpoint.below("/v1/logs"),
        }
    }

    /// Whether anything is sent.
    pub fn is_on(&self) -> bool {
        self.metrics_to().is_some() || self.logs_to().is_some()
    }

    /// Checks the settings together, and the files that they name.
    ///
    /// # Errors
    ///
    /// What is wrong, and what to do.
    pub fn check(&self) -> Result<()> {
        if !self.is_on() {
            return Ok(());
        }
        let headers = self.all_headers()?;
        let targets = [self.metrics_to(), self.logs_to()];
        for uri in targets.iter().flatten() {
            ensure!(
                self.headers_file.is_none() || is_private(uri),
                "otlp.headers_file is for secrets, and {uri} is not encrypted: use https"
            );
        }
        ensure!(
            headers.len() <= 32,
            "otlp.headers and otlp.headers_file have more than 32 headers"
        );
        if targets
            .iter()
            .flatten()
            .any(|uri| uri.scheme_str() == Some("https"))
        {
            tls::connector(self.ca_file.as_deref())?;
        }
        Ok(())
    }

    /// All headers of a request. The file is read each time, so that a new secret needs no
    /// restart.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn all_headers(&self) -> Result<Headers> {
        let mut headers = inline(&self.headers).map_err(|what| anyhow!("otlp.headers: {what}"))?;
        if let Some(path) = &self.headers_file {
            headers.extend(from_file(path)?);
        }
        Ok(headers)
    }
}

/// Whether requests there are encrypted or stay on this host.
fn is_private(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = host
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    uri.scheme_str() == Some("https") || is_here || host == "localhost"
}

/// Headers as `name=value,name=value`.
///
/// # Errors
///
/// The text is wrong; says what to give instead.
pub fn inline(text: &str) -> Result<Headers, String> {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part
                .split_once('=')
                .ok_or("give headers as name=value, with a comma between two")?;
            header(name, value)
        })
        .collect()
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    const OURS: [&str; 6] = [
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
    ];
    let name = name.trim().to_ascii_lowercase();
    let read: HeaderName = name
        .parse()
        .map_err(|_| format!("{name:?} cannot be the name of a header"))?;
    if OURS.contains(&read.as_str()) {
        return Err(format!("{name} is set by ctdrop: leave it out"));
    }
    let mut value = HeaderValue::from_str(value.trim()).map_err(|_| {
        format!("the value of {name} has characters that are not allowed in a header")
    })?;
    value.set_sensitive(true);
    Ok((read, value))
}

/// The permission bits of others.
const OTHERS: u32 = 0o007;

/// Headers in a file, one on each line: `name: value`. Others must not be able to read the file.
fn from_file(path: &Path) -> Result<Headers> {
    let shown = path.display();
    let there = fs::metadata(path).with_context(|| format!("cannot read {shown}"))?;
    ensure!(
        there.is_file() && there.len() <= LARGEST,
        "{shown} cannot be a file with headers: give a regular file of {LARGEST} bytes or less"
    );
    ensure!(
        there.mode() & OTHERS == 0,
        "{shown} is for secrets, and others can read or write it: run chmod o= {shown}"
    );
    let content = fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    let text = String::from_utf8(content).map_err(|_| {
        anyhow!(
            "{shown} is not text (otlp.headers_file): give a file with a header on each line, such as \
             \"authorization: Bearer ...\""
        )
    })?;
    let mut headers = Headers::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = number + 1;
        let Some((name, value)) = line.split_once(':') else {
            bail!("{shown}:{number}: give a header as \"name: value\"");
        };
        let header = header(name, value).map_err(|what| anyhow!("{shown}:{number}: {what}"))?;
        headers.push(header);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn to(text: &str) -> Settings {
        Settings {
            endpoint: Endpoint::read(text).unwrap(),
            ..Settings::default()
        }
    }

    #[test]
    fn signals_go_below_the_endpoint_or_to_one_of_their_own() {
        let uri = |uri: Option<Uri>| uri.map(|uri| uri.to_string());
        for base in ["http://c:4318", "http://c:4318/"] {
            let settings = to(base);
            assert_eq!(
                uri(settings.metrics_to()).as_deref(),
                Some("http://c:4318/v1/metrics")
            );
        }
        let settings = Settings {
            metrics: Some(Endpoint::Off),
            logs: Some(Endpoint::read("https://loki/otlp/v1/logs").unwrap()),
            ..to("https://c/otlp")
        };
        assert_eq!(uri(settings.metrics_to()), None);
        assert_eq!(
            uri(settings.logs_to()).as_deref(),
            Some("https://loki/otlp/v1/logs")
        );
        for wrong in [
            "",
            "c:4318",
            "ftp://c",
            "https://u:p@c",
            "http://c/?x",
            "http://c/#x",
            "http://c:0",
            "http://c:99999",
            "http://[::1]:",
            "/x",
        ] {
            assert!(Endpoint::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_neither_readable_nor_sent_in_the_clear() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("headers");
        fs::write(&file, "# ours\nAuthorization: Bearer x\n\n").unwrap();
        let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let with = |endpoint: &str| Settings {
            headers_file: Some(file.clone()),
            ..to(endpoint)
        };
        mode(0o644);
        let error = with("http://127.0.0.1:1").check().unwrap_err().to_string();
        assert!(error.contains("chmod o="), "{error}");
        mode(0o640);
        with("http://127.0.0.1:1").check().unwrap();
        with("http://[::1]:1").check().unwrap();
        let error = with("http://192.0.2.1").check().unwrap_err().to_string();
        assert!(error.contains("use https"), "{error}");
        fs::write(&file, "Authorization Bearer x\n").unwrap();
        let error = with("http://localhost").check().unwrap_err().to_string();
        assert!(error.contains("headers:1: give a header"), "{error}");
        fs::write(&file, b"\x7fELF\x02\x01\xff\xfe").unwrap();
        let error = with("http://localhost").check().unwrap_err().to_string();
        assert!(error.contains("headers is not text"), "{error}");
        assert!(error.contains("a header on each line"), "{error}");
    }

    #[test]
    fn headers_are_those_of_a_request() {
        assert_eq!(inline("").unwrap().len(), 0);
        let two = inline("X-Scope-OrgID=a, x-b = c=d").unwrap();
        assert_eq!(two[1].1, "c=d");
        for wrong in ["a", "a b=c", "a=b\u{7}c", "host=x", "Content-Length=1"] {
            assert!(inline(wrong).is_err(), "{wrong}");
        }
    }
}
