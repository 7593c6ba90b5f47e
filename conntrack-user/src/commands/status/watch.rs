//! `ctdrop status --watch`: repeats the report.
//!
//! On a terminal, each report replaces the one before. Elsewhere, reports are blocks of lines,
//! or lines of JSON.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use crossterm::{
    cursor::MoveTo,
    queue,
    terminal::{self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate},
};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    commands::status::{judge, options::Options, report::StatusReport, text},
    say::{clock, finding::State, output::Output, stdout, text::plain},
};

/// Reports until `shutdown`. Returns the state of the last report, or unknown without one.
pub async fn run(
    options: Options,
    every: Duration,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<State> {
    tokio::pin!(shutdown);
    let mut state = State::Unknown;
    let mut first = true;
    loop {
        let next = Instant::now() + every;
        let report = tokio::select! {
            biased;
            () = &mut shutdown => return Ok(state),
            report = look(options.clone()) => report,
        };
        let report = if first {
            report?
        } else {
            report.with_context(|| stopped(&options))?
        };
        state = report.state;
        say(&report, options.output, first)?;
        first = false;
        tokio::select! {
            biased;
            () = &mut shutdown => return Ok(state),
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// What an error after the first report stops: a namespace can be gone since.
fn stopped(options: &Options) -> String {
    match &options.netns {
        Some(netns) => format!(
            "the last report was on network namespace {}, and there is no next one",
            plain(netns)
        ),
        None => "there is no next report".to_owned(),
    }
}

/// Makes a report in a thread of its own, so that `shutdown` need not wait for it.
async fn look(options: Options) -> Result<StatusReport> {
    let (done, report) = oneshot::channel();
    thread::Builder::new()
        .name("status".to_owned())
        .spawn(move || {
            // Fails if `shutdown` came first.
            let _ = done.send(judge(&options));
        })
        .context("cannot start a thread to look at the host")?;
    report
        .await
        .context("the thread that reads the host ended without a report")?
}

fn say(report: &StatusReport, output: Output, first: bool) -> Result<()> {
    if output == Output::Json {
        return stdout::json(report);
    }
    let mut lines = vec![clock::shown(&report.time)];
    lines.extend(text::lines(report));
    if let Some(size) = screen() {
        return repaint(&lines, size);
    }
    if !first {
        lines.insert(0, String::new());
    }
    stdout::lines(lines)
}

/// Columns and rows of the terminal, if it can be redrawn.
fn screen() -> Option<(usize, usize)> {
    let obeys = env::var("TERM").is_ok_and(|term| term != "dumb");
    let size = terminal::size()
        .ok()
        .filter(|_| obeys && io::stdout().is_terminal())?;
    Some((size.0.into(), size.1.into())).filter(|&(columns, rows)| columns > 0 && rows > 1)
}

fn repaint(lines: &[String], size: (usize, usize)) -> Result<()> {
    let mut out = io::stdout();
    queue!(
        out,
        BeginSynchronizedUpdate,
        MoveTo(0, 0),
        Clear(ClearType::All)
    )
    .context(stdout::CANNOT_WRITE)?;
    stdout::lines(fitting(lines, size))?;
    queue!(out, EndSynchronizedUpdate)
        .and_then(|()| out.flush())
        .context(stdout::CANNOT_WRITE)
}

/// The first lines, as many as fit with the cursor below them.
fn fitting(lines: &[String], (columns, rows): (usize, usize)) -> &[String] {
    let mut left = rows - 1;
    let fits = |line: &&String| {
        let takes = console::measure_text_width(line).div_ceil(columns).max(1);
        let fits = takes <= left;
        left = left.saturating_sub(takes);
        fits
    };
    &lines[..lines.iter().take_while(fits).count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out() {
        let lines: Vec<String> = ["a", "", "\u{1b}[31m0123456789\u{1b}[0m", "0123456789a", "b"]
            .map(str::to_owned)
            .into();
        let fit = |size| fitting(&lines, size).len();
        assert_eq!(fit((10, 7)), 5);
        assert_eq!(fit((10, 6)), 4, "the fourth takes two rows");
        assert_eq!(fit((10, 5)), 3);
        assert_eq!(fit((9, 5)), 3);
        assert_eq!(fit((9, 4)), 2);
        assert_eq!(fit((80, 2)), 1);
    }
}
