//! Which limit is the right one, and how many buckets go with it; with the
//! arithmetic in words.
//!
//! By demand, bounded by memory: twice the most entries there were, or half as
//! much again as they and the flows that were refused would have been. Where
//! leaks or floods fill the table, they are no demand.

use anyhow::{Result, bail};

use crate::{
    facts::Facts,
    incident::Kind,
    kernel::{
        defaults::enough_buckets,
        memory::{EXTENSIONS, USUAL_ENTRY},
    },
    plan::{
        demand::{Counted, Demand, HeldBack, Wanted},
        intended, module_option,
    },
    say::{
        finding::{Code, Finding, Severity},
        number::{counted_entries, number, share},
    },
};

/// Limits are multiples of this, so that a quarter fills whole pages with
/// buckets.
const UNIT: u64 = 8192;

/// The kernel takes no more.
const LARGEST: u64 = i32::MAX.unsigned_abs() as u64;

/// Share of the memory that a full table may take, in per cent.
const SHARE: u64 = 10;

/// A size that is to be brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// The limit.
    pub max: u64,
    /// The buckets of the hash table.
    pub buckets: u64,
    /// Whether it is this very limit that was asked for, so that a higher one is
    /// lowered.
    pub exact: bool,
    /// How it was worked out, each step as a sentence.
    pub why: Vec<String>,
    /// The load that it was worked out from; none if nothing called for more.
    pub demand: Option<Wanted>,
    /// What speaks against it.
    pub warnings: Vec<Finding>,
}

/// What somebody has asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// This limit, whatever the demand.
    pub to: Option<u64>,
    /// Never more than this.
    pub ceiling: Option<u64>,
}

/// Works out the size for a host.
pub fn size(facts: &Facts, demand: &Demand, request: Request) -> Result<Size> {
    let current = current(facts);
    let entry = bytes_per_entry(facts);
    let affordable = affordable(facts);
    let mut why = demand.incident.sentences();
    let mut warnings = Vec::new();
    let wanted = demand
        .wanted(&facts.numbers.timeouts)
        .filter(|_| demand.incident.wants_room());
    let max = if let Some(to) = request.to {
        why.push(format!("{} was asked for", number(to)));
        to
    } else {
        let unwanted = match demand.incident.kind {
            Kind::NotSeen => "nothing that can be seen",
            _ => "nothing",
        };
        let max = by_demand(facts, wanted, unwanted, current, affordable, &mut why)?;
        match request.ceiling {
            Some(ceiling) if max > ceiling => {
                warnings.push(Finding::new(
                    Code::AboveCeiling,
                    Severity::Warning,
                    format!(
                        "the demand of {} is higher than the ceiling of {}",
                        number(max),
                        number(ceiling)
                    ),
                    "",
                    "",
                ));
                ceiling.max(current.unwrap_or(0))
            }
            _ => max,
        }
    };
    if max > LARGEST {
        bail!(
            "{} is more than the kernel accepts: give --to {} or less",
            number(max),
            number(LARGEST)
        );
    }
    let buckets = buckets(facts, max, demand, request, &mut why);
    warnings.extend(unwise(facts, demand, current, affordable, max));
    why.push(memory_of(facts, max, buckets, entry));
    Ok(Size {
        max,
        buckets,
        exact: request.to.is_some(),
        why,
        demand: wanted,
        warnings,
    })
}

impl Size {
    /// Whether a limit need not be changed to be this one; 0 is none.
    pub fn is_met_by(&self, limit: Option<u64>) -> bool {
        if self.exact {
            limit == Some(self.max)
        } else {
            reaches(limit, self.max)
        }
    }
}

/// Whether a limit is at least the wanted one; 0 is none.
pub(crate) fn reaches(limit: Option<u64>, wanted: u64) -> bool {
    match (limit, wanted) {
        (Some(0), _) => true,
        (Some(limit), 1..) => limit >= wanted,
        _ => false,
    }
}

/// How many entries take no more than their share of the memory; none if the
/// memory is not known.
pub fn affordable(facts: &Facts) -> Option<u64> {
    let entry = bytes_per_entry(facts);
    let memory = facts.kernel.memory?;
    Some(memory / 100 * SHARE / entry / UNIT * UNIT)
}

/// The limit now; of a host that does not run, what the kernel begins with.
fn current(facts: &Facts) -> Option<u64> {
    let default = || facts.kernel.default_table().map(|table| table.max);
    facts.numbers.limits.max.or_else(default)
}

/// The limit that the demand calls for; without one, the sentence names what calls for
/// no more.
fn by_demand(
    facts: &Facts,
    wanted: Option<Wanted>,
    unwanted: &str,
    current: Option<u64>,
    affordable: Option<u64>,
    why: &mut Vec<String>,
) -> Result<u64> {
    if current == Some(0) {
        bail!("the limit is 0, which means no limit: give --to N to set one");
    }
    let intended = intended::limit(facts);
    let floor = match (current, &intended) {
        (Some(current), Some((_, wanted))) => current.max(*wanted),
        (Some(current), None) => current,
        (None, Some((_, wanted))) => *wanted,
        (None, None) => bail!(
            "the current limit is unknown, because the tree has neither the kernel's numbers nor its \
             release and memory: give --to N"
        ),
    };
    if let Some((source, wanted)) = &intended
        && Some(*wanted) > current
    {
        why.push(format!("{source} already asks for {}", number(*wanted)));
    }
    let Some(wanted) = wanted else {
        why.push(format!(
            "keeping {}: {unwanted} calls for more",
            number(floor)
        ));
        return Ok(floor);
    };
    let (peak, more) = (wanted.entries, wanted.refused.estimate());
    let needed = (2 * peak).max((peak + more) * 3 / 2);
    let rounded = needed.div_ceil(UNIT) * UNIT;
    why.push(format!(
        "demand: up to {}{}; wanted: {}, the larger of 2 × {} and 1.5 × {}, rounded up to {}",
        counted_entries(peak),
        held_back(&wanted.refused),
        number(needed),
        number(peak),
        number(peak + more),
        number(rounded)
    ));
    let bounded = match affordable {
        Some(affordable) if rounded > affordable => {
            why.push(format!(
                "memory: {} entries take {SHARE} % of it; for a higher limit give --to N",
                number(affordable)
            ));
            affordable
        }
        _ => rounded,
    };
    if bounded <= floor {
        why.push(format!("keeping {}", number(floor)));
    }
    Ok(bounded.clamp(floor, floor.max(LARGEST / UNIT * UNIT)))
}

/// `, plus 20 for the refused flows`
fn held_back(refused: &HeldBack) -> String {
    let HeldBack {
        at_least,
        at_most,
        counted,
    } = *refused;
    match counted {
        _ if at_most == 0 => " (ctdrop saw no refused flow)".to_owned(),
        Counted::Flows if at_least == at_most => {
            format!(", plus {} for the refused flows", number(at_least))
        }
        Counted::Flows => format!(
            ", plus at least {} and at most {} for the refused flows (ctdrop does not know the flow of \
             every refused packet)",
            number(at_least),
            number(at_most)
        ),
        Counted::Packets => format!(
            ", plus at most {} for the refused packets (several packets can belong to one flow)",
            number(at_most)
        ),
    }
}

/// Buckets for a limit: enough of them ([`enough_buckets`]). Those that are there
/// already are not given up.
fn buckets(
    facts: &Facts,
    max: u64,
    demand: &Demand,
    Request { to, ceiling }: Request,
    why: &mut Vec<String>,
) -> u64 {
    let kernel = &facts.kernel;
    let machine = kernel.machine();
    let (least, said) = least_buckets(facts, max, to.is_some());
    let configured = facts.modules.hashsize.as_ref().map(|found| found.buckets);
    let default = || kernel.default_table().map(|table| table.buckets);
    let now = configured
        .max(facts.numbers.limits.buckets)
        .or_else(default)
        .unwrap_or(0);
    let wanted = if demand.incident.kind == Kind::FewBuckets {
        why.push(format!("twice the {} buckets, and {said}", number(now)));
        let more = now.saturating_mul(2).min(ceiling.unwrap_or(u64::MAX));
        least.max(more).max(now)
    } else {
        least.max(now)
    };
    let rounded = machine.map_or(wanted, |machine| machine.rounded(wanted));
    why.push(if wanted > least {
        format!(
            "buckets: {}, {said}, and not fewer than now",
            number(rounded)
        )
    } else {
        format!("buckets: {}, {said}", number(rounded))
    });
    rounded
}

/// How many buckets are enough for a limit, and why. With the module's option the
/// limit is eight times the buckets whenever nothing sets it afterwards: where that
/// decides, or would take too much memory, an eighth has to do.
pub(crate) fn least_buckets(facts: &Facts, max: u64, exact: bool) -> (u64, String) {
    let machine = facts.kernel.machine();
    let enough = enough_buckets(machine.as_ref(), max);
    if machine.is_some_and(|machine| machine.refuses_short_chains()) {
        let said = "one for each entry, because this kernel refuses chains of more than 16";
        return (enough, said.to_owned());
    }
    let eighth = max.div_ceil(8);
    let eighth = machine.map_or(eighth, |machine| machine.rounded(eighth));
    if let Some(event) = module_option::decides_alone(facts) {
        let said = format!(
            "one for eight entries, because {event} leaves only the module's option, which makes the \
             limit 8 times the buckets"
        );
        return (eighth, said);
    }
    let reloads = facts.kernel.is_module() && !module_option::sets_after_each_load(facts);
    let too_much = affordable(facts).is_some_and(|most| max <= most && 8 * enough > most);
    if reloads && too_much && !exact {
        let said = "one for eight entries, because a reload of the module makes the limit 8 times the \
                    buckets, and more would take too much memory";
        return (eighth, said.to_owned());
    }
    (enough, "at least one for four entries".to_owned())
}

fn bytes_per_entry(facts: &Facts) -> u64 {
    let page = rustix::param::page_size() as u64;
    let slab = facts.numbers.slab;
    slab.map_or(USUAL_ENTRY, |slab| slab.bytes_per_entry(page)) + EXTENSIONS
}

fn memory_of(facts: &Facts, max: u64, buckets: u64, entry: u64) -> String {
    let head = facts.kernel.generation.bucket_size();
    let size = max.saturating_mul(entry).saturating_add(buckets * head);
    let mebibytes = match size >> 20 {
        0 => "under 1 MiB".to_owned(),
        some => format!("{} MiB", number(some)),
    };
    let measured = if facts.numbers.slab.is_some() {
        "measured here"
    } else {
        "estimated"
    };
    let of_memory = match facts.kernel.memory.filter(|&memory| memory > 0) {
        Some(memory) => format!(", {} of the memory", share(size, memory)),
        None => String::new(),
    };
    format!(
        "a full table takes {mebibytes}{of_memory}: {entry} bytes for an entry ({measured}: {} and \
         {EXTENSIONS} for its extensions) and {head} for a bucket",
        entry - EXTENSIONS
    )
}

/// What speaks against a limit.
fn unwise(
    facts: &Facts,
    demand: &Demand,
    current: Option<u64>,
    affordable: Option<u64>,
    max: u64,
) -> Vec<Finding> {
    let entries = demand.peak().or(facts.numbers.limits.entries);
    let mut warnings = Vec::new();
    warnings.extend(no_limit(max));
    warnings.extend(affordable.and_then(|affordable| too_much_memory(facts, max, affordable)));
    warnings.extend(too_low(max, entries, current));
    warnings
}

fn no_limit(max: u64) -> Option<Finding> {
    (max == 0).then(|| {
        Finding::new(
            Code::NoLimit,
            Severity::Warning,
            "0 means no limit",
            "whoever can open flows can fill the memory; Linux 7.3 and later reject 0",
            "",
        )
    })
}

fn too_much_memory(facts: &Facts, max: u64, affordable: u64) -> Option<Finding> {
    let needed = max.saturating_mul(bytes_per_entry(facts));
    if facts.kernel.memory.is_some_and(|memory| needed > memory) {
        return Some(Finding::new(
            Code::MemoryShare,
            Severity::Critical,
            format!(
                "this host runs out of memory before it has {} entries",
                number(max)
            ),
            "a full table takes more than all of the memory, which cannot be swapped out, so the \
             kernel kills processes when the table grows",
            format!(
                "{} entries take {SHARE} %: choose a lower limit",
                number(affordable)
            ),
        ));
    }
    (max > affordable).then(|| {
        Finding::new(
            Code::MemoryShare,
            Severity::Warning,
            format!(
                "{} entries can take more than {SHARE} % of the memory",
                number(max)
            ),
            "this memory cannot be swapped out",
            format!(
                "{} entries take {SHARE} %: choose a lower limit",
                number(affordable)
            ),
        )
    })
}

/// That a limit is below the entries that there are, or below the one in force.
fn too_low(max: u64, entries: Option<u64>, current: Option<u64>) -> Option<Finding> {
    let above_max = |it: &u64| (1..*it).contains(&max);
    if let Some(entries) = entries.filter(above_max) {
        return Some(Finding::new(
            Code::BelowEntries,
            Severity::Warning,
            format!(
                "{} is less than the {} entries there are",
                number(max),
                number(entries)
            ),
            "new flows will be refused at once",
            "",
        ));
    }
    let current = current.filter(above_max)?;
    Some(Finding::new(
        Code::BelowCurrent,
        Severity::Warning,
        format!(
            "{} is less than the current limit of {}",
            number(max),
            number(current)
        ),
        "",
        "",
    ))
}
