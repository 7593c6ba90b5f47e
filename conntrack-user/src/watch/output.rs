//! Where reports go: a live screen, lines of text, or lines of JSON.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};

use super::{
    header::Header,
    json::{self, Line},
    names::{Clock, Services},
    report::Report,
    screen::Screen,
    select::Select,
    text::{self, Names},
};
use crate::{
    cli::{self, Watch},
    observe::{Event, stand::Stand, tally::Tally},
};

/// The output and what it needs to know.
pub(super) struct Output {
    form: Form,
    header: Header,
    services: Services,
    /// What has changed last, for the screen.
    changed: Option<String>,
}

enum Form {
    Screen(Screen),
    Text,
    Json,
}

impl Output {
    /// Opens it, and says the header.
    pub(super) fn open(options: &Watch, header: Header) -> Result<Self> {
        let form = match options.output {
            cli::Output::Json => Form::Json,
            cli::Output::Text if !options.quiet && Screen::is_possible() => {
                Form::Screen(Screen::enter().context(STDOUT)?)
            }
            cli::Output::Text => Form::Text,
        };
        let services = if options.service_names {
            Services::read()?
        } else {
            Services::default()
        };
        let output = Self {
            form,
            header,
            services,
            changed: None,
        };
        match &output.form {
            Form::Screen(screen) => {
                screen.draw(&text::header(&output.header)).context(STDOUT)?;
            }
            Form::Text => print(&text::header(&output.header))?,
            Form::Json => print_json(&Line::start(&output.header))?,
        }
        Ok(output)
    }

    /// Says that refusals are seen better or worse from now on.
    pub(super) fn event(&mut self, event: Event, quiet: bool) -> Result<()> {
        let line = text::event(event);
        match &self.form {
            Form::Screen(_) => self.changed = Some(line),
            _ if quiet => {}
            Form::Text => print(&[line])?,
            Form::Json => print_json(&Line::event(event))?,
        }
        Ok(())
    }

    /// Says an interval.
    pub(super) fn interval(&self, report: &Report, observer: &Stand) -> Result<()> {
        match &self.form {
            Form::Screen(screen) => {
                let mut lines = text::header(&self.header);
                lines.extend(self.changed.clone());
                lines.push(String::new());
                lines.extend(text::interval(report, &self.names(observer)));
                lines.push(String::new());
                lines.push("Ctrl-C ends and prints the totals".to_owned());
                screen.draw(&lines).context(STDOUT)
            }
            Form::Text => print(&text::interval(report, &self.names(observer))),
            Form::Json => print_json(&Line::interval(report, observer, Clock::now())),
        }
    }

    /// Says the totals, and ends the screen.
    pub(super) fn summary(
        self,
        report: &Report,
        observer: &Stand,
        tally: &Tally,
        select: &Select,
    ) -> Result<()> {
        let lines = match self.form {
            Form::Json => {
                let services = tally
                    .services()
                    .filter(|(key, _)| select.service(key))
                    .map(|(key, entry)| json::Service::new(key, entry.count.packets))
                    .collect();
                return print_json(&Line::summary(
                    report,
                    observer,
                    Clock::now(),
                    &self.header,
                    services,
                ));
            }
            Form::Text => text::summary(report, &self.names(observer)),
            Form::Screen(_) => {
                let mut lines = text::header(&self.header);
                lines.extend(text::summary(report, &self.names(observer)));
                lines
            }
        };
        drop(self.form);
        print(&lines)
    }

    const fn names<'a>(&'a self, observer: &'a Stand) -> Names<'a> {
        Names {
            namespaces: observer.namespaces(),
            services: &self.services,
            senders: observer.senders(),
        }
    }
}

/// Says that there is nothing to observe yet.
pub(super) fn waiting(options: &Watch) -> Result<()> {
    match options.output {
        cli::Output::Json => print_json(&Line::waiting()),
        cli::Output::Text => {
            anstream::eprintln!(
                "ctdrop: conntrack is not loaded, so nothing is refused: waiting for it \
                 (modprobe nf_conntrack, or a firewall or NAT rule, loads it)"
            );
            Ok(())
        }
    }
}

const STDOUT: &str = "cannot write to standard output";

fn print(lines: &[String]) -> Result<()> {
    let mut out = anstream::stdout().lock();
    for line in lines {
        writeln!(out, "{line}").context(STDOUT)?;
    }
    out.flush().context(STDOUT)
}

fn print_json(line: &Line<'_>) -> Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    serde_json::to_writer(&mut out, line)
        .map_err(io::Error::from)
        .and_then(|()| writeln!(out))
        .and_then(|()| out.flush())
        .context(STDOUT)
}
