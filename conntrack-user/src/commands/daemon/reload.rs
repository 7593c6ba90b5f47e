//! SIGHUP: the file of settings is read again.

use std::path::PathBuf;

use tokio::sync::{mpsc::Receiver, watch};

use crate::{
    commands::daemon::{
        config::{self, FILE},
        settings::{ALL, Given, Settings},
    },
    say::journal::{self, Level},
    store::keep::Bounds,
    subscribers::{metrics::Live, service::Manager},
};

/// Reads the file again with each request, and puts in force what can be.
pub(super) struct Reloader {
    /// The file that was named.
    pub(super) named: Option<PathBuf>,
    /// What the command line says.
    pub(super) flags: Given,
    /// What is in force.
    pub(super) given: Given,
    /// Who is told of how much evidence is kept.
    pub(super) bounds: watch::Sender<Bounds>,
    /// Who is told of all that may change.
    pub(super) live: watch::Sender<Live>,
    /// The service manager.
    pub(super) manager: Manager,
}

/// What a reload does.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    /// Settings that have another value from now on.
    applied: Vec<String>,
    /// Those that would, but only a start puts them in force.
    needs_restart: Vec<String>,
}

impl Reloader {
    /// Follows requests until nobody sends any more.
    pub(super) async fn follow(mut self, mut requests: Receiver<()>) {
        while requests.recv().await.is_some() {
            self.manager.reloads();
            self.reload();
            self.manager.reloaded();
        }
    }

    fn reload(&mut self) {
        let file = self.named.clone().unwrap_or_else(|| FILE.into());
        let file = file.display();
        let read = match config::read(self.named.as_deref()) {
            Ok(read) => read,
            Err(error) => {
                journal::complain(
                    Level::Error,
                    format!("{error:#}. The settings stay as they are"),
                );
                return;
            }
        };
        let wanted = self.flags.clone().or(read.given).or(Given::defaults());
        let changes = changes(&self.given, &wanted);
        if changes == Changes::default() {
            journal::complain(Level::Info, format!("{file} was read: nothing has changed"));
        }
        for change in changes.applied {
            journal::complain(Level::Info, format!("{file} was read: {change}"));
        }
        for change in changes.needs_restart {
            let what = format!("{change}: only a restart puts that in force");
            journal::complain(Level::Warning, what);
        }
        let settings = Settings::from(wanted.clone());
        self.bounds.send_replace(settings.live.bounds);
        self.live.send_replace(settings.live);
        self.given = Given {
            max_size: wanted.max_size,
            max_age: wanted.max_age,
            metrics_namespaces: wanted.metrics_namespaces,
            metrics_top: wanted.metrics_top,
            ..self.given.clone()
        };
    }
}

fn changes(before: &Given, after: &Given) -> Changes {
    let mut changes = Changes::default();
    for setting in ALL {
        let (old, new) = ((setting.written)(before), (setting.written)(after));
        if let Some(new) = new.filter(|new| old.as_ref() != Some(new)) {
            let change = format!("{}.{} = {new}", setting.table, setting.key);
            if setting.reloads {
                changes.applied.push(change);
            } else {
                changes.needs_restart.push(change);
            }
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_can_be_is_in_force_at_once_and_the_rest_is_said() {
        let before = Given::defaults();
        let after = Given {
            state: Some("/srv".into()),
            max_size: Some(1 << 30),
            ..Given::defaults()
        };
        let changes = changes(&before, &after);
        assert_eq!(changes.applied, ["evidence.max_size = \"1GiB\""]);
        assert_eq!(changes.needs_restart, ["evidence.state_dir = \"/srv\""]);
    }

    #[test]
    fn the_command_line_wins_and_a_damaged_file_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        let flags = Given {
            max_size: Some(8 << 20),
            ..Given::default()
        };
        let given = flags.clone().or(Given::defaults());
        let live = Settings::from(given.clone()).live;
        let (bounds, seen) = watch::channel(live.bounds);
        let (live, seen_live) = watch::channel(live);
        let mut reloader = Reloader {
            named: Some(file.clone()),
            flags,
            given,
            bounds,
            live,
            manager: Manager::default(),
        };
        fs::write(
            &file,
            "[evidence]\nmax_size = \"1GiB\"\nmax_age = \"2d\"\n[metrics]\ntop = 7\n",
        )
        .unwrap();
        reloader.reload();
        assert_eq!(seen.borrow().bytes, 8 << 20);
        assert_eq!(seen_live.borrow().cardinality.top, 7);
        assert_eq!(seen.borrow().age.as_secs(), 2 * 86_400);
        fs::write(&file, "[evidence]\nmax_age = \"soon\"\n").unwrap();
        reloader.reload();
        assert_eq!(seen.borrow().age.as_secs(), 2 * 86_400);
        fs::write(&file, "").unwrap();
        reloader.reload();
        assert_eq!(
            seen.borrow().age,
            Bounds::default().age,
            "the default again"
        );
    }
}
