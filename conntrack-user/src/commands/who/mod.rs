//! `ctdrop who`: who fills the conntrack table.
//!
//! The table of each namespace is dumped once through ctnetlink and added up
//! while it comes in, in memory that does not grow with it ([`crate::table`]).

pub mod progress;
pub mod report;
pub mod text;

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, Scope},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::{
    commands::who::{
        progress::Progress,
        report::{Report, Seen},
    },
    incident::{Evidence, Netns, census::in_doubt, thresholds},
    kernel::{
        counters,
        limits::Limits,
        netns::{Namespace, Namespaces},
        presence::Presence,
        release::Release,
    },
    say::{clock, output::Output, port::Services, stdout, text::plain},
    table::{aggregate::MANY_KEYS, entry::Rules, filter::Filter, owners::Owners, survey::Survey},
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Form of the output.
    pub output: Output,
    /// The only network namespace to look into: its name, inode number, `pid:PID`
    /// or path; all of them if none is given.
    pub netns: Option<String>,
    /// The entries to count.
    pub filter: Filter,
    /// Rows of each table.
    pub top: usize,
    /// Whether to name service ports.
    pub service_names: bool,
}

/// How often a dump is begun anew, if the kernel says that it has lost
/// something.
const ATTEMPTS: u32 = 3;

/// Tables that are dumped at the same time, each added up in some 20 MiB at the
/// most. The kernel goes through the entries of all namespaces for each of them.
const AT_ONCE: usize = 2;

/// The last line: what was looked at.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    /// Release of the kernel.
    release: String,
    /// Whether the kernel has conntrack.
    conntrack: Presence,
    /// Namespaces whose tables were dumped.
    namespaces: usize,
    /// Entries of all these that were asked for.
    entries: u64,
    /// Namespaces whose tables have no entry, which are not shown.
    empty: usize,
    /// Namespaces that could not be looked into.
    unreadable: Vec<Unreadable>,
    /// Why namespaces may be missing.
    warnings: Vec<String>,
}

/// A namespace that could not be looked into.
#[derive(Debug, Serialize)]
struct Unreadable {
    netns: u32,
    name: String,
    why: String,
}

/// Dumps the tables that are asked for, and says what is in them. Fails if none
/// could be looked into; of one that is empty it is enough to know that.
pub fn run(options: &Options) -> Result<()> {
    let release = Release::running()?;
    let services = if options.service_names {
        Services::read()?
    } else {
        Services::default()
    };
    let mut summary = Summary {
        release: release.text.clone(),
        conntrack: Presence::read()?,
        namespaces: 0,
        entries: 0,
        empty: 0,
        unreadable: Vec::new(),
        warnings: Vec::new(),
    };
    // To ask would load the modules.
    if summary.conntrack == Presence::Absent {
        return summary.say(options.output);
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
    };
    summary.warnings.clone_from(&namespaces.warnings);
    let wanted = match &options.netns {
        Some(wanted) => vec![namespaces.find(wanted)?],
        None => by_use(namespaces.list, &mut summary),
    };
    look.at_each(&wanted, |namespace, report| {
        match report {
            Ok(report) => {
                summary.namespaces += 1;
                summary.entries += report.entries;
                say(&report, options.output, &services, summary.namespaces > 1)?;
            }
            Err(error) => summary.unreadable(namespace, &error),
        }
        Ok(())
    })?;
    summary.say(options.output)?;
    if summary.saw_nothing() {
        bail!("no conntrack table could be looked into");
    }
    Ok(())
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

/// How tables are looked into.
struct Look {
    owners: Owners,
    rules: Rules,
    filter: Filter,
    top: usize,
    /// The namespace that is the host's own, if it can be seen.
    host: Option<u32>,
}

/// The tables that are dumped, and how far that has come.
struct Work<'a> {
    list: &'a [Namespace],
    /// The place of the next one that nobody has begun.
    next: AtomicUsize,
    /// Whether nobody wants to know any more.
    stop: AtomicBool,
    progress: Progress<'a>,
}

impl<'a> Work<'a> {
    /// The next namespace to be dumped, and its place in the list.
    fn next(&self) -> Option<(usize, &'a Namespace)> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        Some((place, self.list.get(place)?))
    }
}

/// Calls `say` with what comes, by place, in the order of the places.
fn in_order<T>(
    what: impl IntoIterator<Item = (usize, T)>,
    mut say: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let mut early = BTreeMap::new();
    let mut due = 0;
    for (place, one) in what {
        early.insert(place, one);
        while let Some(one) = early.remove(&due) {
            say(due, one)?;
            due += 1;
        }
    }
    Ok(())
}

impl Look {
    /// Dumps the tables of namespaces, some at the same time, and gives the
    /// reports in the order of the list. What is still being dumped when `say`
    /// fails ends early.
    fn at_each(
        &self,
        list: &[Namespace],
        mut say: impl FnMut(&Namespace, Result<Report>) -> Result<()>,
    ) -> Result<()> {
        let work = Work {
            list,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            progress: Progress::of(list),
        };
        thread::scope(|scope| {
            let said = self.start(scope, &work).and_then(|reports| {
                in_order(reports, |place, report| {
                    let namespace = &list[place];
                    work.progress.aside(|| say(namespace, report))
                })
            });
            work.stop.store(true, Ordering::Relaxed);
            said
        })
    }

    /// Starts the threads that dump, and gives what the reports come through.
    fn start<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        work: &'env Work<'_>,
    ) -> Result<mpsc::Receiver<(usize, Result<Report>)>> {
        let (done, reports) = mpsc::channel();
        for _ in 0..AT_ONCE.min(work.list.len()) {
            let done = done.clone();
            let dump = move || {
                while let Some((place, namespace)) = work.next() {
                    // Nobody listens any more if nothing can be printed.
                    if done.send((place, self.at(namespace, work))).is_err() {
                        return;
                    }
                }
            };
            thread::Builder::new()
                .spawn_scoped(scope, dump)
                .context("cannot start a thread to dump conntrack tables")?;
        }
        Ok(reports)
    }

    /// Looks into the table of a namespace.
    fn at(&self, namespace: &Namespace, work: &Work<'_>) -> Result<Report> {
        let owners = self.owners.seen_from(namespace.inode);
        let count = || namespace.counters().ok().flatten();
        let earlier = count();
        let seen = namespace.inside(|| self.here(&owners, work))?;
        let later = count();
        let evidence = Evidence {
            netns: Netns::of(namespace, self.host == Some(namespace.inode)),
            entries: seen.before.entries.max(seen.after.entries),
            max: seen.before.max,
            growth: earlier
                .zip(later)
                .and_then(|(earlier, later)| counters::delta(&later, &earlier)),
            ..Evidence::default()
        };
        let context = report::Context {
            container: namespace.container.as_ref(),
            owners: &owners,
            filter: &self.filter,
            evidence,
            top: self.top,
        };
        Ok(Report::new(&seen, &context))
    }

    /// The same, in a thread inside it. A dump that lost something is begun
    /// anew; if the last one did so too, the report says it.
    fn here(&self, owners: &Owners, work: &Work<'_>) -> Result<Seen> {
        let survey = Survey {
            filter: &self.filter,
            owners,
            rules: self.rules,
            idle_after: thresholds::IDLE,
            keys: MANY_KEYS,
            in_doubt,
        };
        let mut dumped = work.progress.dump();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let time = clock::now();
            let before = Limits::read()?;
            let began = Instant::now();
            let (mut sums, outcome) =
                survey.first(&work.stop, &mut |received| dumped.note(received))?;
            if !outcome.is_whole() && attempts < ATTEMPTS {
                continue;
            }
            let seconds = began.elapsed().as_secs_f64();
            let after = Limits::read()?;
            survey.second(&mut sums);
            return Ok(Seen {
                sums,
                outcome,
                time,
                seconds,
                attempts,
                before,
                after,
            });
        }
    }
}

impl Unreadable {
    /// Names the namespace, once.
    fn line(&self) -> String {
        let Self { name, why, .. } = self;
        if why.contains(name) {
            why.clone()
        } else {
            format!("{name} was not looked into: {why}")
        }
    }
}

impl Summary {
    fn unreadable(&mut self, namespace: &Namespace, error: &anyhow::Error) {
        self.unreadable.push(Unreadable {
            netns: namespace.inode,
            name: namespace.name.clone(),
            why: format!("{error:#}"),
        });
    }

    /// Whether there are namespaces, but nothing is known of any table.
    const fn saw_nothing(&self) -> bool {
        self.namespaces == 0 && self.empty == 0 && !self.unreadable.is_empty()
    }

    /// What there is to say of the namespaces besides the reports.
    fn line(&self) -> Option<String> {
        let seen = |adjective| {
            let plural = if self.empty == 1 { "" } else { "s" };
            format!("{}{adjective} network namespace{plural}", self.empty)
        };
        if self.conntrack == Presence::Absent {
            return Some("conntrack is not loaded: there is no table".to_owned());
        }
        match (self.empty, self.namespaces, self.unreadable.len()) {
            (0, ..) => None,
            (_, 0, 0) => Some(format!("no entries in any of {}", seen(""))),
            (_, 0, unread) => Some(format!(
                "no entries in {}; {unread} could not be looked into",
                seen("")
            )),
            _ => Some(format!("without entries: {}", seen(" more"))),
        }
    }

    fn say(&self, output: Output) -> Result<()> {
        if output == Output::Json {
            return stdout::json(self);
        }
        stdout::lines(self.line())?;
        for unreadable in &self.unreadable {
            anstream::eprintln!("ctdrop: {}", plain(&unreadable.line()));
        }
        for warning in &self.warnings {
            anstream::eprintln!("ctdrop: {warning}");
        }
        Ok(())
    }
}

fn say(report: &Report, output: Output, services: &Services, apart: bool) -> Result<()> {
    match output {
        Output::Json => stdout::json(report),
        Output::Text => {
            let mut lines = text::lines(report, services);
            if apart {
                lines.insert(0, String::new());
            }
            stdout::lines(&lines)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(namespaces: usize, empty: usize, unreadable: &[&str]) -> Summary {
        let unreadable = unreadable.iter().map(|why| Unreadable {
            netns: 7,
            name: "eyes-1".to_owned(),
            why: (*why).to_owned(),
        });
        Summary {
            release: String::new(),
            conntrack: Presence::BuiltIn,
            namespaces,
            entries: 0,
            empty,
            unreadable: unreadable.collect(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn what_was_read_and_is_empty_was_looked_into() {
        let line = |namespaces, empty, unreadable: &[&str]| {
            let summary = summary(namespaces, empty, unreadable);
            (summary.saw_nothing(), summary.line().unwrap_or_default())
        };
        let said = |text: &str| (false, text.to_owned());
        assert_eq!(
            line(0, 1, &["denied"]),
            said("no entries in 1 network namespace; 1 could not be looked into")
        );
        assert_eq!(
            line(0, 3, &[]),
            said("no entries in any of 3 network namespaces")
        );
        assert_eq!(
            line(1, 1, &[]),
            said("without entries: 1 more network namespace")
        );
        assert_eq!(line(2, 0, &["denied"]), said(""));
        assert_eq!(line(0, 0, &["denied"]), (true, String::new()));
    }

    #[test]
    fn a_namespace_that_was_not_looked_into_is_named_once() {
        let denied = ["cannot enter network namespace eyes-1", "no memory"];
        let lines: Vec<String> = summary(0, 0, &denied)
            .unreadable
            .iter()
            .map(Unreadable::line)
            .collect();
        assert_eq!(
            lines,
            [
                "cannot enter network namespace eyes-1",
                "eyes-1 was not looked into: no memory"
            ]
        );
    }

    #[test]
    fn reports_come_in_the_order_of_the_list_up_to_a_failure() {
        let mut said = Vec::new();
        in_order([(2, 'c'), (0, 'a'), (1, 'b')], |place, letter| {
            said.push((place, letter));
            Ok(())
        })
        .unwrap();
        assert_eq!(said, [(0, 'a'), (1, 'b'), (2, 'c')]);
        let mut calls = 0;
        let failed = in_order([(0, 'a'), (1, 'b')], |_, _| {
            calls += 1;
            bail!("nobody reads")
        });
        assert!(failed.is_err());
        assert_eq!(calls, 1);
    }
}
