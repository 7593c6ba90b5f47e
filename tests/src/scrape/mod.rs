//! Asks `ctdrop daemon` for its metrics, and a real Prometheus for what it has read.

pub mod prometheus;

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status code.
    pub code: u16,
    /// Its text.
    pub body: String,
}

/// Asks a server; it has so long for each piece of its answer. By HTTP/1.0, so that the
/// answer comes as it is and ends the connection.
pub fn get(address: SocketAddr, path: &str, patience: Duration) -> Result<Answer> {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: here\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        parse(&answer).with_context(|| format!("no answer of HTTP: {answer:?}"))
    };
    ask().with_context(|| format!("http://{address}{path}"))
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        code,
        body: body.to_owned(),
    })
}

/// An address of this machine that nobody listens on.
pub fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}

/// The samples of one answer, each value by its name and labels as they are written.
#[derive(Clone, Debug)]
pub struct Samples(BTreeMap<String, String>);

impl Samples {
    /// Asks a daemon, as Prometheus does by default: for 10 s at most.
    pub fn of(address: SocketAddr) -> Result<Self> {
        let answer = get(address, "/metrics", Duration::from_secs(10))?;
        ensure!(
            answer.code == 200 && answer.body.ends_with("# EOF\n"),
            "{answer:?}"
        );
        Ok(Self::parse(&answer.body))
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| line.rsplit_once(' '));
        Self(
            samples
                .map(|(series, value)| (series.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    /// A count; none if there is no such series.
    pub fn count(&self, series: &str) -> Result<Option<u64>> {
        let value = self.0.get(series);
        let count = value.map(|value| value.parse()).transpose();
        count.with_context(|| format!("{series} is {value:?}"))
    }

    /// All series of a metric, each with its labels.
    pub fn series<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(series, value)| {
            let labels = series.strip_prefix(metric)?;
            (labels.is_empty() || labels.starts_with('{')).then_some((labels, value.as_str()))
        })
    }
}

/// The series with the packets that were refused in a namespace.
pub fn refused_in(netns: &str) -> String {
    format!("ctdrop_netns_refused_packets_total{{netns=\"{netns}\"}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_code_and_a_text() {
        let answer = parse("HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\nno\n").unwrap();
        assert_eq!((answer.code, answer.body.as_str()), (503, "no\n"));
        assert_eq!(parse("HTTP/1.1 200 OK\r\n"), None);
    }

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let samples = Samples::parse("# TYPE a counter\na_total{b=\"c d\"} 7\na_total 8\n# EOF\n");
        assert_eq!(samples.count("a_total{b=\"c d\"}").unwrap(), Some(7));
        assert_eq!(samples.count("a").unwrap(), None);
        let series: Vec<_> = samples.series("a_total").collect();
        assert_eq!(series, [("", "8"), ("{b=\"c d\"}", "7")]);
    }
}
