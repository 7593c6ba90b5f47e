//! What says what is observed: a screen, lines or JSON.

use std::sync::Arc;

use anyhow::Result;
use tokio::sync::{Notify, watch};

use crate::{
    auto::guard::Mode,
    commands::watch::{job_control, options::Options},
    engine::view::View,
    say::{output::Output, port::Services},
    subscribers::{
        Printed,
        json::Json,
        lines::Lines,
        playback::Steering,
        screen::{self, Controls, Screen},
        worker::{Inbox, Worker},
    },
};

/// What says it.
pub(super) struct Said {
    pub(super) worker: Worker,
    /// That somebody wants an end.
    pub(super) quit: Arc<Notify>,
    /// The rows that somebody looks at, if anybody does.
    pub(super) view: Option<watch::Receiver<View>>,
    /// Who steers the replay, if anybody does.
    pub(super) steered: Option<Steered>,
}

/// Who steers a replay.
pub(super) struct Steered {
    pub(super) steering: watch::Receiver<Steering>,
    /// Who is told where it is.
    pub(super) positions: Inbox,
}

impl Said {
    pub(super) fn by(worker: Worker) -> Self {
        Self {
            worker,
            quit: Arc::default(),
            view: None,
            steered: None,
        }
    }

    /// Ends when nothing is said any more, or when somebody wants an end.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let (no_output, quit) = (self.worker.ended(), Arc::clone(&self.quit));
        async move {
            tokio::select! {
                () = no_output => {}
                () = quit.notified() => {}
            }
        }
    }
}

/// Starts what says it.
pub(super) fn output(options: &Options) -> Result<Said> {
    let services = if options.service_names {
        Services::read()?
    } else {
        Services::default()
    };
    let printed = options.printed;
    match options.output {
        Output::Json => Worker::start(
            "the JSON output",
            Json::new(printed, options.fix != Mode::Off),
        )
        .map(Said::by),
        Output::Text if options.screen && printed == Printed::All && Screen::is_possible() => {
            screen(options, services)
        }
        Output::Text => Worker::start("the output", Lines::new(services, printed)).map(Said::by),
    }
}

/// Starts a screen.
fn screen(options: &Options, services: Services) -> Result<Said> {
    let quit = Arc::<Notify>::default();
    let (view, looks) = watch::channel(View {
        by: options.engine.by,
        ..View::default()
    });
    let (steers, steering) = watch::channel(Steering::default());
    let controls = Controls {
        quit: Arc::clone(&quit),
        view,
        replay: options.replay.as_ref().map(|_| steers),
        ceiling: options.ceiling,
    };
    let make = |inbox| Screen::new(services, controls, inbox);
    let worker = Worker::start_with("the screen", make)?;
    job_control::follow(worker.pauser(), worker.inbox())?;
    screen::listen(worker.inbox())?;
    let steered = Steered {
        steering,
        positions: worker.inbox(),
    };
    Ok(Said {
        worker,
        quit,
        view: Some(looks),
        steered: options.replay.as_ref().map(|_| steered),
    })
}
