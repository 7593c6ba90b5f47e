//! The lines of the stream.

use serde::Serialize;

use crate::{
    auto::event::Kept,
    engine::{
        header::Header,
        limit::LimitChange,
        update::{Summary, Update},
        watched_netns::{Change, NetnsChange},
    },
    observe::observer::{event::Event, log::Logged},
    subscribers::{
        filling::Filling,
        json::{body::Body, flows::Service},
    },
};

/// A line of the stream.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Line<'a> {
    /// Refusals are seen better or worse from now on.
    Event {
        /// RFC 3339.
        time: &'a str,
        /// What has changed; `waiting` comes before the start.
        event: Changed,
    },
    /// Something has become of the only namespace that is observed.
    #[serde(rename = "event")]
    Netns {
        /// RFC 3339.
        time: &'a str,
        /// `netns_gone` or `netns_renamed`.
        event: &'static str,
        /// Its inode.
        netns: u32,
        /// What it was called.
        netns_name: &'a str,
        /// What it is called now, if it is there.
        #[serde(skip_serializing_if = "Option::is_none")]
        now: Option<&'a str>,
    },
    /// Somebody has changed the limit.
    #[serde(rename = "event")]
    Limit {
        /// `limit_changed`.
        event: &'static str,
        /// When, from what, and to what.
        #[serde(flatten)]
        change: &'a LimitChange,
    },
    /// The first.
    Start {
        /// Version of ctdrop.
        version: &'static str,
        /// When and where it runs, and how well it can see.
        #[serde(flatten)]
        header: &'a Header,
    },
    /// One for each interval.
    Interval {
        /// The numbers.
        #[serde(flatten)]
        body: Body<'a>,
        /// Tables that will be full within a day; not there if there are none.
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        filling: &'a [Filling],
    },
    /// The last.
    Summary {
        /// The numbers.
        #[serde(flatten)]
        body: Body<'a>,
        /// Name of the host.
        host: &'a str,
        /// Release of the kernel.
        release: &'a str,
        /// By how many packets a flow's count can be too low.
        error_bound: u64,
        /// Where packets went whose flow has no count of its own.
        services: Vec<Service>,
        /// What the kernel log has said, where it is read.
        #[serde(skip_serializing_if = "Option::is_none")]
        log: Option<Logged>,
        /// Fixes that were made, the first one first; none without `--fix`.
        #[serde(skip_serializing_if = "Option::is_none")]
        fixes: Option<&'a [Kept]>,
        /// What may be wrong with the numbers; not there if nothing.
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        warnings: &'a [String],
    },
}

/// What has changed.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Changed {
    /// Something about the programs.
    Programs(Event),
    /// Conntrack is not loaded.
    Waiting(&'static str),
}

impl<'a> Line<'a> {
    /// The line of an update, if it has one; an interval with the tables that fill, the
    /// totals with the fixes that were made.
    pub(super) fn of(
        update: &'a Update,
        filling: &'a [Filling],
        fixes: Option<&'a [Kept]>,
    ) -> Option<Self> {
        Some(match update {
            Update::Waiting { time } => Self::Event {
                time,
                event: Changed::Waiting("waiting"),
            },
            Update::Started(header) => Self::Start {
                version: env!("CARGO_PKG_VERSION"),
                header,
            },
            Update::Observer { time, event } => Self::Event {
                time,
                event: Changed::Programs(*event),
            },
            Update::Netns(change) => Self::netns(change),
            Update::Limit(change) => Self::Limit {
                event: "limit_changed",
                change,
            },
            Update::Interval(report) => Self::Interval {
                body: Body::new(report),
                filling,
            },
            Update::Finished(summary) => Self::summary(summary, fixes),
            Update::Refused(_) | Update::Listing(_) | Update::Captured(_) => return None,
        })
    }

    fn netns(change: &'a NetnsChange) -> Self {
        let (event, now) = match &change.change {
            Change::Gone => ("netns_gone", None),
            Change::Renamed { now } => ("netns_renamed", Some(now.as_str())),
        };
        Self::Netns {
            time: &change.time,
            event,
            netns: change.netns,
            netns_name: &change.name,
            now,
        }
    }

    fn summary(summary: &'a Summary, fixes: Option<&'a [Kept]>) -> Self {
        let services = summary.services.iter();
        Self::Summary {
            body: Body::new(&summary.report),
            host: &summary.host,
            release: &summary.release,
            error_bound: summary.report.error_bound,
            services: services
                .map(|(key, packets)| Service::new(key, *packets))
                .collect(),
            log: summary.report.logged,
            fixes,
            warnings: &summary.warnings,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::{
        engine::{fake::Fake, options::Options},
        incident::TimeToFull,
    };

    /// The lines of a short observation.
    async fn lines() -> Vec<Value> {
        let options = Options {
            duration: Some(Duration::from_millis(1500)),
            ..Options::default()
        };
        let mut engine = Fake::default().engine(options, std::future::pending());
        let mut lines = Vec::new();
        while let Some(update) = engine.next().await.unwrap() {
            let line = Line::of(&update, &[], Some(&[]));
            lines.extend(line.map(|line| serde_json::to_value(line).unwrap()));
        }
        lines
    }

    /// Keys that docs/json.md promises.
    const INTERVAL: [&str; 21] = [
        "type",
        "time",
        "seconds",
        "backend",
        "armed",
        "drops",
        "evicted",
        "clash_resolved",
        "non_packet",
        "unattributed",
        "flows",
        "flows_omitted",
        "namespaces",
        "namespaces_omitted",
        "limit",
        "fullest",
        "kernel",
        "missed",
        "faults",
        "unexplained",
        "reconciled",
    ];

    #[tokio::test(start_paused = true)]
    async fn each_line_has_the_keys_that_are_promised() {
        let lines = lines().await;
        let types: Vec<&str> = lines
            .iter()
            .filter_map(|line| line["type"].as_str())
            .collect();
        assert_eq!(types, ["start", "interval", "summary"]);
        for key in [
            "time", "version", "host", "release", "not_used", "limits", "fullest",
        ] {
            assert!(lines[0].get(key).is_some(), "no {key}: {}", lines[0]);
        }
        for line in &lines[1..] {
            for key in INTERVAL {
                assert!(line.get(key).is_some(), "no {key}: {line}");
            }
        }
        for key in ["host", "release", "error_bound", "services", "fixes"] {
            assert!(lines[2].get(key).is_some(), "no {key}: {}", lines[2]);
        }
        assert!(lines[1].get("intervals").is_none(), "of one interval");
        let flow = &lines[2]["flows"][0];
        assert_eq!(
            (flow["reason"].as_str(), flow["netns_name"].as_str()),
            (Some("table_full"), Some("net:[7]"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn tables_that_fill_are_named_only_if_there_are_some() {
        let options = Options {
            duration: Some(Duration::from_millis(1500)),
            ..Options::default()
        };
        let mut engine = Fake::default().engine(options, std::future::pending());
        let filling = [Filling {
            netns: 7,
            name: "blue".to_owned(),
            entries: 800,
            max: 1000,
            time: TimeToFull {
                seconds: 720.0,
                earliest: 540.0,
                latest: 1020.0,
                rate: 0.3,
            },
        }];
        let line = |update: &Update, filling: &[Filling]| {
            serde_json::to_value(Line::of(update, filling, None)).unwrap()
        };
        while let Some(update) = engine.next().await.unwrap() {
            if matches!(update, Update::Interval(_)) {
                assert_eq!(line(&update, &[]).get("filling"), None);
                let table = &line(&update, &filling)["filling"][0];
                assert_eq!(
                    (&table["name"], &table["latest"]),
                    (&"blue".into(), &1020.0.into())
                );
            }
        }
    }
}
