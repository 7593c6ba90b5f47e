//! The settings of the export by OTLP.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use crate::{
    commands::daemon::{
        value::{Value, quoted},
        values::{duration, duration_text, size, size_text},
    },
    subscribers::otlp::settings::{Endpoint, Settings, inline},
};

/// The shortest interval and the longest one.
const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

/// The longest time that a request may take.
const LONGEST_REQUEST: Duration = Duration::from_mins(5);

/// The settings that somebody has chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The address for both signals.
    pub endpoint: Option<Endpoint>,
    /// The whole address for metrics, if it is another one.
    pub metrics: Option<Option<Endpoint>>,
    /// The whole address for records of incidents, if it is another one.
    pub logs: Option<Option<Endpoint>>,
    /// Headers of each request.
    pub headers: Option<String>,
    /// A file with more headers, if there is one.
    pub headers_file: Option<Option<PathBuf>>,
    /// A file with the certificate authorities to trust, if they are not those of the host.
    pub ca_file: Option<Option<PathBuf>>,
    /// How often metrics are sent.
    pub interval: Option<Duration>,
    /// How long a request may take.
    pub timeout: Option<Duration>,
    /// Whether bodies are compressed.
    pub gzip: Option<bool>,
    /// The maximum size of the queue, in bytes.
    pub queue_size: Option<u64>,
}

impl Given {
    /// The defaults.
    pub fn defaults() -> Self {
        let settings = Settings::default();
        Self {
            endpoint: Some(settings.endpoint),
            metrics: Some(settings.metrics),
            logs: Some(settings.logs),
            headers: Some(settings.headers),
            headers_file: Some(settings.headers_file),
            ca_file: Some(settings.ca_file),
            interval: Some(settings.interval),
            timeout: Some(settings.timeout),
            gzip: Some(settings.gzip),
            queue_size: Some(settings.queue_size),
        }
    }

    /// These settings; those that are missing are taken from the other ones.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            endpoint: self.endpoint.or(other.endpoint),
            metrics: self.metrics.or(other.metrics),
            logs: self.logs.or(other.logs),
            headers: self.headers.or(other.headers),
            headers_file: self.headers_file.or(other.headers_file),
            ca_file: self.ca_file.or(other.ca_file),
            interval: self.interval.or(other.interval),
            timeout: self.timeout.or(other.timeout),
            gzip: self.gzip.or(other.gzip),
            queue_size: self.queue_size.or(other.queue_size),
        }
    }
}

impl From<Given> for Settings {
    fn from(given: Given) -> Self {
        let settings = Self::default();
        Self {
            endpoint: given.endpoint.unwrap_or(settings.endpoint),
            metrics: given.metrics.flatten(),
            logs: given.logs.flatten(),
            headers: given.headers.unwrap_or(settings.headers),
            headers_file: given.headers_file.flatten(),
            ca_file: given.ca_file.flatten(),
            interval: given.interval.unwrap_or(settings.interval),
            timeout: given.timeout.unwrap_or(settings.timeout),
            gzip: given.gzip.unwrap_or(settings.gzip),
            queue_size: given.queue_size.unwrap_or(settings.queue_size),
        }
    }
}

type Taken = Result<(), String>;

pub(super) fn take_endpoint(given: &mut Given, value: Value<'_>) -> Taken {
    given.endpoint = Some(Endpoint::read(value.text()?)?);
    Ok(())
}

pub(super) fn endpoint(given: &Given) -> Option<String> {
    given.endpoint.as_ref().map(|to| quoted(&to.to_string()))
}

pub(super) fn take_metrics(given: &mut Given, value: Value<'_>) -> Taken {
    given.metrics = Some(another(value)?);
    Ok(())
}

pub(super) fn metrics(given: &Given) -> Option<String> {
    given.metrics.as_ref().map(|to| another_text(to.as_ref()))
}

pub(super) fn take_logs(given: &mut Given, value: Value<'_>) -> Taken {
    given.logs = Some(another(value)?);
    Ok(())
}

pub(super) fn logs(given: &Given) -> Option<String> {
    given.logs.as_ref().map(|to| another_text(to.as_ref()))
}

pub(super) fn take_headers(given: &mut Given, value: Value<'_>) -> Taken {
    let text = value.text()?;
    inline(text)?;
    given.headers = Some(text.to_owned());
    Ok(())
}

pub(super) fn headers(given: &Given) -> Option<String> {
    given.headers.as_deref().map(quoted)
}

pub(super) fn take_headers_file(given: &mut Given, value: Value<'_>) -> Taken {
    given.headers_file = Some(path(value)?);
    Ok(())
}

pub(super) fn headers_file(given: &Given) -> Option<String> {
    given
        .headers_file
        .as_ref()
        .map(|path| path_text(path.as_ref()))
}

pub(super) fn take_ca_file(given: &mut Given, value: Value<'_>) -> Taken {
    given.ca_file = Some(path(value)?);
    Ok(())
}

pub(super) fn ca_file(given: &Given) -> Option<String> {
    given.ca_file.as_ref().map(|path| path_text(path.as_ref()))
}

pub(super) fn take_interval(given: &mut Given, value: Value<'_>) -> Taken {
    let interval = duration(value.text()?)?;
    if !INTERVALS.contains(&interval) {
        return Err("give a time from 1s to 1d".to_owned());
    }
    given.interval = Some(interval);
    Ok(())
}

pub(super) fn interval(given: &Given) -> Option<String> {
    given.interval.map(|time| quoted(&duration_text(time)))
}

pub(super) fn take_timeout(given: &mut Given, value: Value<'_>) -> Taken {
    let timeout = duration(value.text()?)?;
    if timeout > LONGEST_REQUEST {
        return Err("give 5m or less".to_owned());
    }
    given.timeout = Some(timeout);
    Ok(())
}

pub(super) fn timeout(given: &Given) -> Option<String> {
    given.timeout.map(|time| quoted(&duration_text(time)))
}

pub(super) fn take_compression(given: &mut Given, value: Value<'_>) -> Taken {
    given.gzip = Some(match value.text()? {
        "gzip" => true,
        "none" => false,
        _ => return Err("give gzip or none".to_owned()),
    });
    Ok(())
}

pub(super) fn compression(given: &Given) -> Option<String> {
    given
        .gzip
        .map(|gzip| quoted(if gzip { "gzip" } else { "none" }))
}

pub(super) fn take_queue_size(given: &mut Given, value: Value<'_>) -> Taken {
    given.queue_size = Some(size(value.text()?)?);
    Ok(())
}

pub(super) fn queue_size(given: &Given) -> Option<String> {
    given.queue_size.map(|bytes| quoted(&size_text(bytes)))
}

/// The whole address for a signal, or none.
fn another(value: Value<'_>) -> Result<Option<Endpoint>, String> {
    match value.text()? {
        "" => Ok(None),
        text => Endpoint::read(text).map(Some),
    }
}

fn another_text(to: Option<&Endpoint>) -> String {
    let text = to.map(ToString::to_string);
    quoted(&text.unwrap_or_default())
}

/// A file, or none.
fn path(value: Value<'_>) -> Result<Option<PathBuf>, String> {
    let text = value.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(Some(path))
    } else {
        Err("give the file with its whole path, such as /etc/ctdrop/ca.pem".to_owned())
    }
}

fn path_text(path: Option<&PathBuf>) -> String {
    let text = path.map(|path| path.to_string_lossy());
    quoted(&text.unwrap_or_default())
}
