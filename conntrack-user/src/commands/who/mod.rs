//! `ctdrop who`: who fills the conntrack table.
//!
//! The table of each namespace is dumped once through ctnetlink and added up
//! while it comes in, in memory that does not grow with it ([`crate::table`]).

pub mod by;
mod look;
mod progress;
pub mod report;
pub mod rows;
mod saved;
pub mod saved_file;
mod summary;
mod tables;
pub mod text;
mod turns;

use std::{path::PathBuf, sync::OnceLock};

use anyhow::{Result, bail};

use crate::{
    commands::who::{
        by::By,
        look::Look,
        report::NamespaceReport,
        rows::{Name, Row},
        summary::Summary,
    },
    kernel::{
        netns::{Namespace, Namespaces},
        presence::Presence,
        release::Release,
    },
    say::{finding::State, output::Output, port::Services, stdout},
    table::{entry::Rules, filter::Filter, owners::Owners},
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Form of the output.
    pub output: Output,
    /// The saved table to look into, instead of those of this host; `-` is standard
    /// input.
    pub from: Option<PathBuf>,
    /// The only network namespace to look into: its name, inode number, `pid:PID`
    /// or path; all of them if none is given.
    pub netns: Option<String>,
    /// The entries to count.
    pub filter: Filter,
    /// What the rows of the only table are; all tables if none is asked for. JSON always
    /// has all of them.
    pub by: Option<By>,
    /// Rows of each table.
    pub top: usize,
    /// Whether to name service ports.
    pub service_names: bool,
}

/// Dumps the tables that are asked for, and prints what is in them. Fails if none
/// could be read; of an empty one it is enough to know that it is empty. The state is
/// unknown if those that could be read are empty, and there are others.
pub fn run(options: &Options) -> Result<State> {
    let services = if options.service_names {
        Services::read()?
    } else {
        Services::default()
    };
    if let Some(file) = &options.from {
        let report = saved::read(file, &options.filter, options.top)?;
        let mut said = Said::new(options, &services);
        said.say(&report)?;
        return Ok(report.saved.map_or(State::Unknown, |saved| saved.state()));
    }
    let release = Release::running()?;
    let mut summary = Summary {
        release: release.text.clone(),
        conntrack: Presence::read()?,
        namespaces: 0,
        entries: 0,
        empty: 0,
        unreadable: Vec::new(),
        hidden_processes: Vec::new(),
        warnings: Vec::new(),
    };
    // To ask would load the modules.
    if summary.conntrack == Presence::Absent {
        summary.say(options.output)?;
        return Ok(State::Ok);
    }
    let namespaces = Namespaces::discover()?;
    let look = Look {
        owners: Owners::find(&namespaces),
        rules: Rules::of((release.major, release.minor)),
        filter: options.filter.clone(),
        top: options.top,
        host: namespaces
            .list
            .iter()
            .find(|it| namespaces.is_host(it))
            .map(|it| it.inode),
        default: OnceLock::new(),
    };
    summary.warnings.clone_from(&namespaces.warnings);
    let wanted = if let Some(wanted) = &options.netns {
        vec![namespaces.find(wanted)?]
    } else {
        summary.hidden_processes = namespaces.hidden;
        by_use(namespaces.list, &mut summary)
    };
    let mut said = Said::new(options, &services);
    look.at_each(&wanted, |namespace, report| {
        match report {
            Ok(report) => {
                summary.namespaces += 1;
                summary.entries += report.entries;
                said.say(&report)?;
            }
            Err(error) => summary.unreadable(namespace, &error),
        }
        Ok(())
    })?;
    said.end()?;
    summary.say(options.output)?;
    if summary.saw_nothing() {
        bail!("no conntrack table could be read");
    }
    Ok(summary.state())
}

/// The namespaces that have entries, those with most first.
fn by_use(list: Vec<Namespace>, summary: &mut Summary) -> Vec<Namespace> {
    let mut used = Vec::new();
    for namespace in list {
        match namespace.limits() {
            Ok(limits) if limits.entries == Some(0) => summary.empty += 1,
            Ok(limits) => used.push((limits.entries, namespace)),
            Err(error) => summary.unreadable(&namespace, &error.into()),
        }
    }
    used.sort_by_key(|(entries, _)| std::cmp::Reverse(*entries));
    used.into_iter().map(|(_, namespace)| namespace).collect()
}

/// Prints reports, one after the other.
struct Said<'a> {
    options: &'a Options,
    services: &'a Services,
    /// Whether something has been said.
    any: bool,
    /// The rows of the table of namespaces, and what may be wrong about them.
    namespaces: (Vec<Row<Name>>, Vec<String>),
}

impl<'a> Said<'a> {
    fn new(options: &'a Options, services: &'a Services) -> Self {
        Self {
            options,
            services,
            any: false,
            namespaces: Default::default(),
        }
    }

    fn say(&mut self, report: &NamespaceReport) -> Result<()> {
        if self.options.output == Output::Json {
            return stdout::json(report);
        }
        let mut lines = match self.options.by {
            Some(By::Netns) => {
                let (rows, caveats) = &mut self.namespaces;
                rows.push(report::row(report));
                caveats.extend(text::caveats_of(report));
                return Ok(());
            }
            Some(by) => text::lines_by(report, self.services, by),
            None => text::lines(report, self.services),
        };
        if self.any {
            lines.insert(0, String::new());
        }
        self.any = true;
        stdout::lines(&lines)
    }

    /// Prints the table of namespaces, if it is the one that is asked for.
    fn end(self) -> Result<()> {
        let (rows, caveats) = self.namespaces;
        let mut lines = tables::of_namespaces(rows, self.options.top);
        lines.extend(caveats);
        stdout::lines(lines)
    }
}
