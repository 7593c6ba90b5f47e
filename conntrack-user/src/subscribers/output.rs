//! Where reports go: a live screen, lines of text, or lines of JSON.

use anyhow::{Context as _, Result};

use crate::{
    auto::event as fix,
    commands::watch::options::Options,
    engine::{chosen::Change, header::Header, report::Report, select::Select},
    observe::{
        counts::tally::Tally,
        observer::{event::Event, snapshot::Snapshot},
    },
    say::{clock::Clock, output, port::Services, stdout},
    subscribers::{
        json::{self, Line},
        screen::Screen,
        text::{self, Names},
    },
};

/// Lines that a screen shows of what was done about refused packets.
const LINES_OF_A_FIX: usize = 4;

/// The output and what it needs to know.
pub(crate) struct Output {
    form: Form,
    header: Header,
    services: Services,
    /// What has changed last, for the screen.
    changed: Vec<String>,
    /// What fixes had to say, for after the screen.
    fixes: Vec<String>,
}

/// What belongs to the totals besides the numbers.
pub struct Last<'a> {
    /// All flows and services.
    pub tally: &'a Tally,
    /// What of them is asked for.
    pub select: &'a Select,
    /// What may be wrong with the numbers, each as a sentence.
    pub warnings: Vec<String>,
    /// Fixes that were made; none without `--fix`.
    pub fixes: Option<&'a [fix::Kept]>,
}

enum Form {
    Screen(Screen),
    Text,
    Json,
}

impl Output {
    /// Opens it, and says the header.
    pub(crate) fn open(options: &Options, header: Header) -> Result<Self> {
        let form = match options.output {
            output::Output::Json => Form::Json,
            output::Output::Text if !options.quiet && Screen::is_possible() => {
                Form::Screen(Screen::enter().context(stdout::CANNOT_WRITE)?)
            }
            output::Output::Text => Form::Text,
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
            changed: Vec::new(),
            fixes: Vec::new(),
        };
        match &output.form {
            Form::Screen(screen) => {
                screen
                    .draw(&text::header(&output.header))
                    .context(stdout::CANNOT_WRITE)?;
            }
            Form::Text => stdout::lines(text::header(&output.header))?,
            Form::Json => stdout::json(&Line::start(&output.header))?,
        }
        Ok(output)
    }

    /// Says that refusals are seen better or worse from now on.
    pub(crate) fn event(&mut self, event: Event, quiet: bool) -> Result<()> {
        let line = text::event(event);
        match &self.form {
            Form::Screen(_) => self.changed = vec![line],
            _ if quiet => {}
            Form::Text => stdout::lines(&[line])?,
            Form::Json => stdout::json(&Line::event(event))?,
        }
        Ok(())
    }

    /// Says what has become of the namespace asked for.
    pub(crate) fn chosen(
        &mut self,
        netns: u32,
        name: &str,
        change: &Change,
        quiet: bool,
    ) -> Result<()> {
        let line = text::chosen(name, change);
        match &self.form {
            Form::Screen(_) => self.changed = vec![line],
            _ if quiet => {}
            Form::Text => stdout::lines(&[line])?,
            Form::Json => stdout::json(&Line::chosen(netns, name, change))?,
        }
        Ok(())
    }

    /// Says what was done about refused packets.
    pub(crate) fn fix(&mut self, event: &fix::Event) -> Result<()> {
        match &self.form {
            Form::Screen(_) => {
                let lines = event.lines();
                self.changed = lines.iter().take(LINES_OF_A_FIX).cloned().collect();
                self.fixes.extend(lines);
                Ok(())
            }
            Form::Text => stdout::lines(event.lines()),
            Form::Json => stdout::json(&event.json()),
        }
    }

    /// Says an interval.
    pub(crate) fn interval(&self, report: &Report, snapshot: &Snapshot) -> Result<()> {
        match &self.form {
            Form::Screen(screen) => {
                let mut lines = text::header(&self.header);
                lines.extend(self.changed.clone());
                lines.push(String::new());
                lines.extend(text::interval(report, &self.names(snapshot)));
                lines.push(String::new());
                lines.push("Ctrl-C ends and prints the totals".to_owned());
                screen.draw(&lines).context(stdout::CANNOT_WRITE)
            }
            Form::Text => stdout::lines(text::interval(report, &self.names(snapshot))),
            Form::Json => stdout::json(&Line::interval(report, snapshot, Clock::now())),
        }
    }

    /// Says the totals, and ends the screen.
    pub(crate) fn summary(
        self,
        report: &Report,
        snapshot: &Snapshot,
        last: &Last<'_>,
    ) -> Result<()> {
        let lines = match self.form {
            Form::Json => {
                let services = last
                    .tally
                    .services()
                    .filter(|(key, _)| last.select.service(key))
                    .map(|(key, entry)| json::Service::new(key, entry.count.packets))
                    .collect();
                return stdout::json(&Line::summary(
                    report,
                    snapshot,
                    Clock::now(),
                    &self.header,
                    services,
                    last,
                ));
            }
            Form::Text => text::summary(report, &self.names(snapshot)),
            Form::Screen(_) => {
                let mut lines = text::header(&self.header);
                lines.extend(self.fixes.clone());
                lines.extend(text::summary(report, &self.names(snapshot)));
                lines
            }
        };
        drop(self.form);
        let lines: Vec<String> = lines
            .into_iter()
            .chain(last.warnings.iter().map(|warning| text::note(warning)))
            .chain(fix::summary(last.fixes.unwrap_or_default()))
            .collect();
        stdout::lines(&lines)
    }

    fn names<'a>(&'a self, snapshot: &'a Snapshot) -> Names<'a> {
        Names {
            namespaces: &snapshot.namespaces,
            services: &self.services,
            senders: &snapshot.senders,
        }
    }
}

/// Says that there is nothing to observe yet.
pub(crate) fn waiting(options: &Options) -> Result<()> {
    match options.output {
        output::Output::Json => stdout::json(&Line::waiting()),
        output::Output::Text => {
            anstream::eprintln!(
                "ctdrop: conntrack is not loaded, so nothing is refused: waiting for it \
                 (modprobe nf_conntrack, or a firewall or NAT rule, loads it)"
            );
            Ok(())
        }
    }
}
