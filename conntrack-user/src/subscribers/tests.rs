//! Subscribers that behave badly, beside one that does not.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use anyhow::{Result, bail};
use tokio::time;

use crate::{
    engine::{fake::Fake, options::Options, report::Report, update::Update},
    subscribers::{Subscriber, worker::Worker},
};

/// How long anything may take that must not wait for who is blocked.
const SOON: Duration = Duration::from_secs(20);

/// Notes what it is told.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<Update>>>);

impl Subscriber for Notes {
    fn update(&mut self, update: &Update) -> Result<()> {
        self.0.lock().unwrap().push(update.clone());
        Ok(())
    }
}

impl Notes {
    fn intervals(&self) -> Vec<Report> {
        let updates = self.0.lock().unwrap();
        let reports = updates.iter().filter_map(|update| match update {
            Update::Interval(report) => Some((**report).clone()),
            _ => None,
        });
        reports.collect()
    }

    fn totals(&self) -> Report {
        match self.0.lock().unwrap().last() {
            Some(Update::Finished(summary)) => summary.report.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// How many intervals the reports are about.
    fn covered(&self) -> u64 {
        self.intervals().iter().map(|report| report.intervals).sum()
    }

    fn refused(&self) -> u64 {
        self.intervals()
            .iter()
            .map(|report| report.figures.total())
            .sum()
    }
}

/// Notes what it is told, once it is let.
struct Blocked {
    gate: mpsc::Receiver<()>,
    notes: Notes,
}

impl Subscriber for Blocked {
    fn update(&mut self, update: &Update) -> Result<()> {
        // An error: the gate is open for good.
        let _ = self.gate.recv();
        self.notes.update(update)
    }
}

struct Panics;

impl Subscriber for Panics {
    fn update(&mut self, _: &Update) -> Result<()> {
        panic!("of a bug in it");
    }
}

struct Fails;

impl Subscriber for Fails {
    fn update(&mut self, _: &Update) -> Result<()> {
        bail!("the disk is full");
    }
}

/// Tells all of them what an engine says until its end; gives all updates.
async fn tell(workers: &[&Worker]) -> u64 {
    let options = Options {
        duration: Some(Duration::from_secs(100)),
        ..Options::default()
    };
    let mut engine = Fake::default().engine(options, std::future::pending());
    let mut total = 0;
    while let Some(update) = engine.next().await.unwrap() {
        if let Update::Finished(summary) = &update {
            total = summary.report.figures.total();
        }
        let update = Arc::new(update);
        for worker in workers {
            worker.tell(&update);
        }
    }
    total
}

#[tokio::test(start_paused = true)]
async fn none_holds_up_or_crashes_the_others() {
    let (open, gate) = mpsc::channel();
    let (notes, late) = (Notes::default(), Notes::default());
    let blocked = Blocked {
        gate,
        notes: late.clone(),
    };
    let good = Worker::start("notes", notes.clone()).unwrap();
    let blocked = Worker::start("blocked", blocked).unwrap();
    let panics = Worker::start("panics", Panics).unwrap();
    let fails = Worker::start("fails", Fails).unwrap();

    // Though one is blocked all the time, the engine comes to its end.
    let total = tell(&[&blocked, &panics, &fails, &good]).await;
    assert!(total > 400);

    good.finish().await.unwrap();
    assert_eq!(notes.totals().figures.total(), total);
    let error = panics.finish().await.unwrap_err().to_string();
    assert_eq!(
        error,
        "internal error in panics; please report it: of a bug in it"
    );
    let error = fails.finish().await.unwrap_err().to_string();
    assert_eq!(error, "the disk is full");

    // Whoever waits for the one that is blocked need not wait for ever.
    let mut ended = Box::pin(blocked.ended());
    blocked.close();
    time::resume();
    let patience = Duration::from_millis(100);
    assert!(time::timeout(patience, &mut ended).await.is_err());
    drop(open);
    time::timeout(SOON, blocked.finish())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(late.totals().figures.total(), total);
    assert_eq!(late.refused(), notes.refused(), "no interval is lost");
    assert_eq!(late.covered(), notes.covered());
    assert!(late.intervals().len() < 20, "they are added up");
}

/// Notes when it is told to leave the terminal, and when it gets it back.
struct Pauses(mpsc::Sender<&'static str>);

impl Subscriber for Pauses {
    fn update(&mut self, _: &Update) -> Result<()> {
        Ok(())
    }

    fn suspend(&mut self) -> Result<()> {
        Ok(self.0.send("suspended")?)
    }

    fn resume(&mut self) -> Result<()> {
        Ok(self.0.send("resumed")?)
    }
}

#[tokio::test]
async fn a_stop_waits_until_the_terminal_is_left() {
    let (told, tells) = mpsc::channel();
    let worker = Worker::start("pauses", Pauses(told)).unwrap();
    let pauser = worker.pauser();
    time::timeout(SOON, pauser.suspend()).await.unwrap();
    assert_eq!(tells.try_recv(), Ok("suspended"));
    pauser.resume();
    worker.finish().await.unwrap();
    assert_eq!(tells.try_recv(), Ok("resumed"));
}

#[tokio::test]
async fn the_end_of_one_is_heard() {
    let fails = Worker::start("fails", Fails).unwrap();
    let ended = fails.ended();
    fails.tell(&Arc::new(Update::Waiting {
        time: String::new(),
    }));
    time::timeout(SOON, ended).await.unwrap();
    assert!(fails.finish().await.is_err());
}
