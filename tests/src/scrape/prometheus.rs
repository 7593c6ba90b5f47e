//! A real Prometheus.

use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{free_address, get};

/// How long it may take to start, and to answer.
const PATIENCE: Duration = Duration::from_mins(2);

/// A Prometheus that scrapes one daemon each second; it ends with this value.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    /// Its settings, rules and database.
    _directory: TempDir,
}

/// An element of the answer to a query.
#[derive(Clone, Debug)]
pub struct Element {
    /// Its labels.
    pub labels: Value,
    /// Its value, as Prometheus writes it.
    pub value: String,
}

/// A rule that it evaluates.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The alert, or the series that it records.
    pub name: String,
    /// Its expression.
    pub expression: String,
    /// `ok`, or what is wrong with it.
    pub health: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Both fail only if it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts one with these rules, and waits until it has read the daemon's metrics.
    pub fn start(target: SocketAddr, rules: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let at = |name: &str| directory.path().join(name);
        fs::write(at("rules.yml"), rules)?;
        fs::write(at("prometheus.yml"), settings(target))?;
        let address = free_address()?;
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", at("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", at("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start prometheus: apt install prometheus")?;
        let prometheus = Self {
            child,
            address,
            _directory: directory,
        };
        let begun = Instant::now();
        while prometheus.value("up").ok().flatten().as_deref() != Some("1") {
            ensure!(
                begun.elapsed() < PATIENCE,
                "prometheus does not reach the daemon"
            );
            thread::sleep(Duration::from_millis(200));
        }
        Ok(prometheus)
    }

    /// What an expression is now: the elements of a vector, or one for a number.
    pub fn query(&self, expression: &str) -> Result<Vec<Element>> {
        let path = format!("/api/v1/query?query={}", encoded(expression));
        let data = self.data(&path)?;
        let element = |labels: &Value, value: &Value| {
            let value = value[1].as_str().context("a value is no text")?;
            Ok(Element {
                labels: labels.clone(),
                value: value.to_owned(),
            })
        };
        let result = &data["result"];
        if data["resultType"] == "scalar" {
            return Ok(vec![element(&Value::Null, result)?]);
        }
        let elements = result.as_array().context("no vector")?.iter();
        elements
            .map(|one| element(&one["metric"], &one["value"]))
            .collect()
    }

    /// The first value of an expression.
    pub fn value(&self, expression: &str) -> Result<Option<String>> {
        let first = self.query(expression)?.into_iter().next();
        Ok(first.map(|element| element.value))
    }

    /// The state of an alert: `pending`, `firing`, or none.
    pub fn alert(&self, name: &str) -> Result<Option<String>> {
        let data = self.data("/api/v1/alerts")?;
        let mut alerts = data["alerts"].as_array().context("no alerts")?.iter();
        let alert = alerts.find(|alert| alert["labels"]["alertname"] == name);
        Ok(alert.and_then(|alert| alert["state"].as_str().map(str::to_owned)))
    }

    /// All rules that it has.
    pub fn rules(&self) -> Result<Vec<Rule>> {
        let data = self.data("/api/v1/rules")?;
        let groups = data["groups"].as_array().context("no groups of rules")?;
        let rules = groups.iter().filter_map(|group| group["rules"].as_array());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(rules
            .flatten()
            .map(|rule| Rule {
                name: text(&rule["name"]),
                expression: text(&rule["query"]),
                health: format!("{}{}", text(&rule["health"]), text(&rule["lastError"])),
            })
            .collect())
    }

    /// The data of an answer that is a success.
    fn data(&self, path: &str) -> Result<Value> {
        let answer = get(self.address, path, PATIENCE)?;
        let mut body: Value = serde_json::from_str(&answer.body)
            .with_context(|| format!("{path}: {}", answer.body))?;
        ensure!(body["status"] == "success", "{path}: {body}");
        Ok(body["data"].take())
    }
}

/// Settings that scrape often, so that nobody waits.
fn settings(target: SocketAddr) -> String {
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [rules.yml]\n\
         scrape_configs:\n  \
         - job_name: ctdrop\n    \
         static_configs: [{{targets: [\"{target}\"]}}]\n"
    )
}

/// A text as part of a URL.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_encoded_for_a_url() {
        assert_eq!(
            encoded("up{job=~\"a+\"} > 0"),
            "up%7Bjob%3D~%22a%2B%22%7D%20%3E%200".replace('~', "%7E")
        );
    }
}
