//! The totals come after the last messages of the recorder and the hook.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Result;
use tokio::time::sleep;

use super::{Acting, Pulse, Watch};
use crate::{
    engine::{fake::Fake, options::Options, update::Update},
    store::keep::Bounds,
    subscribers::{
        Subscriber,
        hook::{Hook, command::Command},
        recorder::Recorder,
        recording::Recording,
        service::Manager,
        worker::Worker,
    },
};

/// Notes what is printed, by type and action.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Subscriber for Notes {
    fn update(&mut self, update: &Update) -> Result<()> {
        if matches!(update, Update::Finished(_)) {
            self.0.lock().unwrap().push("summary".to_owned());
        }
        Ok(())
    }

    fn recording(&mut self, recording: &Recording) -> Result<()> {
        let line = recording.json();
        let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let mut note = format!("{} {}", word("type"), word("action"));
        if line["type"] == "hook" {
            note = format!("hook {} {}", word("moment"), line["exit_status"]);
        }
        self.0.lock().unwrap().push(note);
        Ok(())
    }
}

#[tokio::test]
async fn the_hook_of_a_closing_runs_before_the_totals() {
    let directory = tempfile::tempdir().unwrap();
    let runs = directory.path().join("runs");
    let text = format!("sh -c 'sleep 0.2; cat >> {}'", runs.display());
    let command = Command::read(&text).unwrap();
    let (hook, hooked) = Hook::prepare(&command).unwrap();
    let file = directory.path().join("x.db");
    let (recorder, events) = Recorder::prepare(file, Bounds::default()).unwrap();
    let notes = Notes::default();
    let watch = Watch {
        output: Worker::start("the notes", notes.clone()).unwrap(),
        recording: Some(Acting::start("the recorder", recorder, events).unwrap()),
        hooks: Some(Acting::start("the hook", hook, hooked).unwrap()),
        capturing: None,
        fixing: None,
        others: Vec::new(),
        pulse: Pulse::of(Manager::default()),
    };
    let options = Options {
        interval: Duration::from_millis(100),
        ..Options::default()
    };
    let ran = runs.clone();
    let engine = Fake::default().engine(options, async move {
        while !ran.exists() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    watch.follow(engine).await.unwrap();
    let notes = notes.0.lock().unwrap();
    let position = |note: &&str| notes.iter().position(|it| it == note);
    // The run for the opening may still be under way when the incident is closed.
    for order in [
        ["incident opened", "hook opened 0", "hook closed 0"],
        ["incident closed", "hook closed 0", "summary"],
    ] {
        let places: Vec<_> = order.iter().map(position).collect();
        let are_there = places.iter().all(Option::is_some);
        assert!(are_there && places.is_sorted(), "{notes:?}");
    }
    let runs = fs::read_to_string(&runs).unwrap();
    assert_eq!(runs.lines().count(), 2, "{runs}");
}
