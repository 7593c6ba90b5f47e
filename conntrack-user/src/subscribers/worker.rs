//! The thread that serves a subscriber.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use tokio::sync::{mpsc, watch};

use crate::{
    auto::event::Event as Fix,
    engine::update::Update,
    say::number::counted,
    subscribers::{
        Subscriber,
        input::Input,
        mailbox::{Mailbox, Notice},
        recording::Recording,
    },
};

/// Tells a subscriber that the process is stopped and goes on.
pub struct Pauser {
    mailbox: Arc<Mailbox>,
}

impl Pauser {
    /// Tells that the process is about to be stopped, and waits until the subscriber
    /// has left the terminal, or has ended.
    pub async fn suspend(&self) {
        let (waits, mut left) = mpsc::channel(1);
        self.mailbox.put(Notice::Suspend(waits));
        // Nothing is sent: it is dropped.
        let _ = left.recv().await;
    }

    /// Tells that the process goes on.
    pub fn resume(&self) {
        self.mailbox.put(Notice::Resume);
    }
}

/// Where a subscriber gets what comes beside updates.
#[derive(Clone)]
pub struct Inbox {
    mailbox: Arc<Mailbox>,
}

impl Inbox {
    /// Tells the subscriber; never waits for it.
    pub fn put(&self, input: Input) {
        self.mailbox.put(Notice::Input(Arc::new(input)));
    }
}

/// A subscriber and its thread.
pub struct Worker {
    name: &'static str,
    mailbox: Arc<Mailbox>,
    thread: JoinHandle<Result<()>>,
    /// Closed when the thread has ended, however.
    alive: watch::Receiver<()>,
}

impl Worker {
    /// Starts a thread for a subscriber, which errors will call `name`.
    pub fn start(name: &'static str, subscriber: impl Subscriber) -> Result<Self> {
        Self::start_with(name, |_| Ok(subscriber))
    }

    /// Starts a thread for a subscriber that is made with its inbox.
    pub fn start_with<S: Subscriber>(
        name: &'static str,
        make: impl FnOnce(Inbox) -> Result<S>,
    ) -> Result<Self> {
        let mailbox = Arc::new(Mailbox::default());
        let inbox = Inbox {
            mailbox: Arc::clone(&mailbox),
        };
        let mut subscriber = make(inbox)?;
        let (life, alive) = watch::channel(());
        let updates = Arc::clone(&mailbox);
        let thread = thread::Builder::new().name(name.to_owned());
        let thread = thread
            .spawn(move || {
                // Dropped last, also by a panic.
                let _life = life;
                while let Some(notice) = updates.take() {
                    match notice {
                        Notice::Update(update) => subscriber.update(&update)?,
                        Notice::Fix(fix) => subscriber.fix(&fix)?,
                        Notice::Recording(recording) => subscriber.recording(&recording)?,
                        Notice::Input(input) => subscriber.input(&input)?,
                        Notice::Suspend(_left) => subscriber.suspend()?,
                        Notice::Resume => subscriber.resume()?,
                        Notice::Reached(_taken) => {}
                    }
                    if !updates.is_busy() {
                        subscriber.caught_up()?;
                    }
                }
                Ok(())
            })
            .with_context(|| format!("cannot start a thread for {name}"))?;
        Ok(Self {
            name,
            mailbox,
            thread,
            alive,
        })
    }

    /// Tells the subscriber; never waits for it.
    pub fn tell(&self, update: &Arc<Update>) {
        self.mailbox.put(Notice::Update(Arc::clone(update)));
    }

    /// Tells the subscriber of a fix; never waits for it.
    pub fn tell_fix(&self, fix: &Arc<Fix>) {
        self.mailbox.put(Notice::Fix(Arc::clone(fix)));
    }

    /// Tells the subscriber what the recorder reports; never waits for it.
    pub fn tell_recording(&self, recording: &Arc<Recording>) {
        self.mailbox.put(Notice::Recording(Arc::clone(recording)));
    }

    /// Waits until the subscriber has taken all that it was told, or has ended.
    pub async fn caught_up(&self) {
        let (waits, mut taken) = mpsc::channel(1);
        self.mailbox.put(Notice::Reached(waits));
        tokio::select! {
            // Nothing is sent: it is dropped.
            _ = taken.recv() => {}
            () = self.ended() => {}
        }
    }

    /// What tells the subscriber that the process is stopped and goes on.
    pub fn pauser(&self) -> Pauser {
        Pauser {
            mailbox: Arc::clone(&self.mailbox),
        }
    }

    /// Where the subscriber gets what comes beside updates.
    pub fn inbox(&self) -> Inbox {
        Inbox {
            mailbox: Arc::clone(&self.mailbox),
        }
    }

    /// Nothing more will be told.
    pub fn close(&self) {
        self.mailbox.close();
    }

    /// Ends when the subscriber has: it has failed, or has taken all before
    /// [`Self::close`].
    pub fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut alive = self.alive.clone();
        async move {
            // Nothing is ever sent, so an error is all that can come: the thread ended.
            while alive.changed().await.is_ok() {}
        }
    }

    /// Waits until the subscriber has taken all that it was told. That may take as
    /// long as somebody does not read what it writes.
    ///
    /// # Errors
    ///
    /// What went wrong with the subscriber: it failed, panicked, or was so late that
    /// it did not get everything.
    pub async fn finish(self) -> Result<()> {
        self.close();
        self.ended().await;
        let outcome = self.thread.join();
        outcome.map_err(|panic| {
            let why = panic
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            anyhow!("internal error in {}; please report it: {why}", self.name)
        })??;
        let lost = self.mailbox.lost();
        ensure!(
            lost == 0,
            "{} was too slow: it missed {}",
            self.name,
            counted(lost, "event")
        );
        Ok(())
    }
}
