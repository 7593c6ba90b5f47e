//! Asks for a fix when an incident needs one: the daemon itself may change nothing.
//!
//! It writes a file that `ctdrop-fixer.path` watches. The file has only the time: the fixer looks
//! at the host itself.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use crate::{
    engine::update::Update,
    incident::remedy::Remedy,
    say::journal::{self, Level},
    subscribers::{
        Subscriber,
        recording::{Recording, What},
    },
};

/// The file in the directory of the running service.
const FILE: &str = "raise-limit";

/// How long after a request the next one comes, if packets are still refused: the fixer may have
/// been enabled since, or another program may have put its limit back.
const AGAIN: Duration = Duration::from_mins(1);

/// Asks for a fix.
#[derive(Debug)]
pub struct FixRequest {
    file: PathBuf,
    /// Open incidents that a fix ends.
    wanting: BTreeSet<i64>,
    /// Packets refused since the last request.
    refused: u64,
    /// When the next request may come, by `CLOCK_MONOTONIC`; none before the first interval after
    /// a request.
    due: Option<Duration>,
}

impl FixRequest {
    /// Asks in the directory that the service manager has made for this process
    /// (`RuntimeDirectory=`); none if it has made none.
    pub fn of_environment() -> Option<Self> {
        // With several, they are separated by colons.
        let directories = env::var("RUNTIME_DIRECTORY").ok()?;
        let directory = directories.split(':').next()?;
        Some(Self::within(Path::new(directory)))
    }

    fn within(directory: &Path) -> Self {
        Self {
            file: directory.join(FILE),
            wanting: BTreeSet::new(),
            refused: 0,
            due: None,
        }
    }

    fn ask(&mut self, time: &str) {
        self.refused = 0;
        self.due = None;
        if let Err(error) = fs::write(&self.file, format!("{time}\n")) {
            let file = self.file.display();
            journal::complain(
                Level::Warning,
                format!("cannot ask for a fix: cannot write {file}: {error}"),
            );
        }
    }
}

impl Subscriber for FixRequest {
    fn update(&mut self, update: &Update) -> Result<()> {
        let Update::Interval(report) = update else {
            return Ok(());
        };
        if self.wanting.is_empty() {
            return Ok(());
        }
        self.refused += report.figures.total();
        let now = Duration::from_nanos(report.monotonic);
        let due = *self.due.get_or_insert(now + AGAIN);
        if self.refused > 0 && now >= due {
            self.ask(&report.time);
        }
        Ok(())
    }

    fn recording(&mut self, recording: &Recording) -> Result<()> {
        match &recording.what {
            What::Opened(told) | What::Diagnosed(told) => {
                if told.incident.remedies.list.iter().any(Remedy::is_fix) {
                    self.wanting.insert(told.id);
                    self.ask(&recording.time);
                } else {
                    self.wanting.remove(&told.id);
                }
            }
            What::Closed(told) => {
                self.wanting.remove(&told.id);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        incident::{Evidence, Incident, Remedies, judge},
        subscribers::{recorder::tests::report, recording::Told},
    };

    /// What is told of an incident with these remedies.
    fn told(list: Vec<Remedy>) -> Box<Told> {
        let incident = judge(&Evidence::default(), None);
        Box::new(Told {
            id: 1,
            refused: 1,
            incident: Incident {
                remedies: Remedies {
                    list,
                    ..incident.remedies.clone()
                },
                ..incident
            },
            closed_by: None,
        })
    }

    #[test]
    fn only_an_incident_that_a_fix_ends_asks_for_one() {
        let directory = tempfile::tempdir().unwrap();
        let mut request = FixRequest::within(directory.path());
        let file = directory.path().join(FILE);
        for what in [
            What::Opened(told(vec![Remedy::LookWho])),
            What::Closed(told(vec![Remedy::RaiseLimit])),
            What::Failing("full".to_owned()),
        ] {
            request.recording(&Recording::now(what)).unwrap();
            assert!(!file.exists());
        }
        for what in [
            What::Opened(told(vec![Remedy::LookWho, Remedy::RaiseLimit])),
            What::Diagnosed(told(vec![Remedy::RaiseBuckets])),
        ] {
            let recording = Recording::now(what);
            request.recording(&recording).unwrap();
            let asked = fs::read_to_string(&file).unwrap();
            assert_eq!(asked.trim_end(), recording.time);
            fs::remove_file(&file).unwrap();
        }
    }

    #[test]
    fn it_asks_again_while_packets_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let mut request = FixRequest::within(directory.path());
        let file = directory.path().join(FILE);
        let asks = |request: &mut FixRequest, second, refused| {
            let report = report(second, Duration::from_secs(1), refused);
            request.update(&Update::Interval(Box::new(report))).unwrap();
            let asks = file.exists();
            if asks {
                fs::remove_file(&file).unwrap();
            }
            asks
        };
        let opened = What::Opened(told(vec![Remedy::RaiseLimit]));
        assert!(!asks(&mut request, 1, 300), "no incident");
        request.recording(&Recording::now(opened)).unwrap();
        assert!(asks(&mut request, 2, 0), "of the opening");
        assert!(!asks(&mut request, 61, 300), "too early");
        assert!(asks(&mut request, 62, 0), "of those before");
        assert!(!asks(&mut request, 63, 0) && !asks(&mut request, 200, 0));
        assert!(asks(&mut request, 201, 1));
        let closed = What::Closed(told(vec![Remedy::RaiseLimit]));
        request.recording(&Recording::now(closed)).unwrap();
        assert!(!asks(&mut request, 300, 300), "it is closed");
    }

    #[test]
    fn nowhere_to_ask_ends_nothing() {
        let mut request = FixRequest::within(Path::new("/nowhere"));
        let what = What::Opened(told(vec![Remedy::RaiseLimit]));
        request.recording(&Recording::now(what)).unwrap();
    }

    /// The unit watches the file that is written.
    #[test]
    fn the_unit_watches_the_file() {
        let unit = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../packaging/systemd/ctdrop-fixer.path"
        );
        let unit = fs::read_to_string(unit).unwrap();
        let line = format!("\nPathModified=/run/ctdrop/{FILE}\n");
        assert!(unit.contains(&line), "{unit}");
    }
}
