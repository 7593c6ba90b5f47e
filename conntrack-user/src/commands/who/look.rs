//! Looks into the tables of namespaces, some at the same time.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, Scope},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    commands::who::{
        progress::Progress,
        report::{Context, NamespaceReport, Seen},
        turns::{Turn, Turns},
    },
    facts::{Facts, root::Root},
    incident::{Evidence, Netns, census::in_doubt, evidence::dropped_before, thresholds},
    kernel::{
        counters::{self, Counters, Totals},
        limits::Limits,
        netns::Namespace,
    },
    say::clock,
    table::{aggregate::MANY_KEYS, entry::Rules, filter::Filter, owners::Owners, survey::Survey},
};

/// How often a dump is begun anew, if the kernel says that it has lost
/// something.
const ATTEMPTS: u32 = 3;

/// Tables that are dumped at the same time, each added up in some 20 MiB at the
/// most. The kernel goes through the entries of all namespaces for each of them.
const AT_ONCE: usize = 2;

/// Tables that are looked into at the same time: besides those that are dumped, some
/// that wait for their second look, of which each keeps its sums.
const IN_WORK: usize = 6;

/// For how long the counters of a namespace are followed at least whose table has room,
/// though packets were dropped once: a dump of few entries takes no time, in which
/// nothing happens.
const FOLLOWED: Duration = Duration::from_secs(1);

/// How tables are looked into.
pub(super) struct Look {
    pub(super) owners: Owners,
    pub(super) rules: Rules,
    pub(super) filter: Filter,
    pub(super) top: usize,
    /// The namespace that is the host's own, if it can be seen.
    pub(super) host: Option<u32>,
    /// The limit that the kernel chooses by itself, once somebody has asked.
    pub(super) default: OnceLock<Option<u64>>,
}

/// The tables that are dumped, and how far that has come.
struct Work<'a> {
    list: &'a [Namespace],
    /// The counters of each at the begin, and when that was.
    earlier: Vec<Option<Counters>>,
    begun: Instant,
    /// The place of the next one that nobody has begun.
    next: AtomicUsize,
    /// Whether nobody wants to know any more.
    stop: AtomicBool,
    /// Turns to dump.
    turns: Turns,
    progress: Progress<'a>,
}

impl Work<'_> {
    /// The place of the next namespace to be dumped.
    fn next(&self) -> Option<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        (place < self.list.len()).then_some(place)
    }

    /// What the counters of a namespace show by now, and how far they moved since the
    /// begin.
    fn counted(&self, place: usize) -> (Option<Totals>, Option<Totals>) {
        let later = count(&self.list[place]);
        let earlier = self.earlier[place].as_ref();
        let growth = earlier
            .zip(later.as_ref())
            .and_then(|(earlier, later)| counters::delta(later, earlier));
        (later.as_ref().map(Counters::totals), growth)
    }

    /// Waits until counters have been followed for long enough; whether there was
    /// anything to wait for.
    fn follow(&self) -> bool {
        let left = FOLLOWED.checked_sub(self.begun.elapsed());
        left.is_some_and(|left| {
            thread::sleep(left);
            true
        })
    }
}

fn count(namespace: &Namespace) -> Option<Counters> {
    namespace.counters().ok().flatten()
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
    pub(super) fn at_each(
        &self,
        list: &[Namespace],
        mut say: impl FnMut(&Namespace, Result<NamespaceReport>) -> Result<()>,
    ) -> Result<()> {
        let work = Work {
            list,
            earlier: list.iter().map(count).collect(),
            begun: Instant::now(),
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            turns: Turns::new(AT_ONCE),
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
    ) -> Result<mpsc::Receiver<(usize, Result<NamespaceReport>)>> {
        let (done, reports) = mpsc::channel();
        for _ in 0..IN_WORK.min(work.list.len()) {
            let done = done.clone();
            let dump = move || {
                while let Some(place) = work.next() {
                    // Nobody listens any more if nothing can be printed.
                    if done.send((place, self.at(place, work))).is_err() {
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
    fn at(&self, place: usize, work: &Work<'_>) -> Result<NamespaceReport> {
        let turn = work.turns.take();
        let namespace = &work.list[place];
        let owners = self.owners.seen_from(namespace.inode);
        let seen = namespace.inside(|| self.here(&owners, work, turn))?;
        let evidence = || {
            let (totals, growth) = work.counted(place);
            let dropped = totals.is_some_and(|totals| totals.drop > Some(0));
            let default = dropped.then(|| self.default_max()).flatten();
            let evidence = Evidence {
                netns: Netns::of(namespace, self.host == Some(namespace.inode)),
                entries: seen.before.entries.max(seen.after.entries),
                max: seen.before.max,
                growth,
                refused: BTreeMap::new(),
                dropped_before: dropped_before(totals.as_ref(), seen.before.max, default),
                lacks_counters: false,
            };
            (evidence, dropped)
        };
        let (mut evidence_now, dropped) = evidence();
        if dropped && !evidence_now.matters() && work.follow() {
            (evidence_now, _) = evidence();
        }
        let context = Context {
            container: namespace.container.as_ref(),
            owners: &owners,
            filter: &self.filter,
            evidence: evidence_now,
            top: self.top,
        };
        Ok(NamespaceReport::new(&seen, &context))
    }

    /// The limit that the kernel chooses by itself on this host, as far as its files
    /// tell.
    fn default_max(&self) -> Option<u64> {
        *self.default.get_or_init(|| {
            let facts = Facts::read(&Root::open(Path::new("/")).ok()?).ok()?;
            Some(facts.kernel.default_table()?.max)
        })
    }

    /// The same as [`Self::at`], in a thread inside it. A dump that lost something is begun
    /// anew; if the last one did so too, the report says it. The turn is over before a
    /// second look, which is a matter of waiting.
    fn here(&self, owners: &Owners, work: &Work<'_>, turn: Turn<'_>) -> Result<Seen> {
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
            drop(turn);
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

#[cfg(test)]
mod tests {
    use super::*;

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
            anyhow::bail!("nobody reads")
        });
        assert!(failed.is_err());
        assert_eq!(calls, 1);
    }
}
