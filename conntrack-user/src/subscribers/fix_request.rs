//! Asks for a fix when an incident needs one: the daemon itself may change nothing.
//!
//! It writes a file that `ctdrop-fixer.path` watches. The file has only the time: the fixer looks
//! at the host itself.

use std::{
    env, fs,
    path::{Path, PathBuf},
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

/// Asks for a fix.
#[derive(Debug)]
pub struct FixRequest {
    file: PathBuf,
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
        }
    }
}

impl Subscriber for FixRequest {
    fn update(&mut self, _: &Update) -> Result<()> {
        Ok(())
    }

    fn recording(&mut self, recording: &Recording) -> Result<()> {
        let (What::Opened(told) | What::Diagnosed(told)) = &recording.what else {
            return Ok(());
        };
        if !told.incident.remedies.list.iter().any(Remedy::is_fix) {
            return Ok(());
        }
        if let Err(error) = fs::write(&self.file, format!("{}\n", recording.time)) {
            let file = self.file.display();
            journal::complain(
                Level::Warning,
                format!("cannot ask for a fix: cannot write {file}: {error}"),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        incident::{Evidence, Incident, Remedies, judge},
        subscribers::recording::Told,
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
