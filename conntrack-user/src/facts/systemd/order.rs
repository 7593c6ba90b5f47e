//! In which order a boot starts units, as far as their files say it.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::{
    reader::{Reader, Source, TextFile},
    systemd::{files, reached::Reached},
};

/// What systemd itself orders, whatever files a copied tree has.
const ALWAYS: [(&str, &str); 11] = [
    ("systemd-modules-load.service", "systemd-sysctl.service"),
    ("systemd-sysctl.service", "sysinit.target"),
    ("local-fs-pre.target", "local-fs.target"),
    ("local-fs.target", "sysinit.target"),
    ("sysinit.target", "basic.target"),
    ("basic.target", "multi-user.target"),
    ("multi-user.target", "graphical.target"),
    ("network-pre.target", "network.target"),
    ("network.target", "network-online.target"),
    ("network.target", "rc-local.service"),
    ("basic.target", "rc-local.service"),
];

/// The order of units, and which of them runs a line.
#[derive(Clone, Debug, Default)]
pub struct UnitOrder {
    /// What a unit comes before.
    later: BTreeMap<String, BTreeSet<String>>,
    /// Lines that set the limit, with the unit that runs them.
    lines: Vec<(Source, String)>,
}

impl UnitOrder {
    pub(in crate::facts) fn read(reader: &Reader<'_>, reached: &[Reached]) -> Self {
        let mut order = Self::default();
        for (first, second) in ALWAYS {
            order.add(first, second);
        }
        let mut targets = Vec::new();
        for Reached { unit, by, .. } in reached {
            let texts = files::read(reader, unit);
            order.add_unit(unit, &texts);
            let owner = by.rsplit('/').nth(1);
            let target = owner.and_then(|owner| {
                owner
                    .strip_suffix(".wants")
                    .or_else(|| owner.strip_suffix(".requires"))
            });
            if let Some(target) = target.filter(|_| has_default_dependencies(&texts)) {
                targets.push((unit.clone(), target.to_owned()));
            }
        }
        // A target waits for what it wants, unless that waits for the target.
        for (unit, target) in targets {
            if target.strip_suffix(".target").is_some() && !order.comes_before(&target, &unit) {
                order.add(&unit, &target);
            }
        }
        order
    }

    fn add(&mut self, first: &str, second: &str) {
        let later = self.later.entry(first.to_owned()).or_default();
        later.insert(second.to_owned());
    }

    fn add_unit(&mut self, unit: &str, texts: &[TextFile]) {
        for first in files::words(texts, "Unit", "After") {
            self.add(&first, unit);
        }
        for second in files::words(texts, "Unit", "Before") {
            self.add(unit, &second);
        }
        if unit.strip_suffix(".service").is_some() && has_default_dependencies(texts) {
            self.add("basic.target", unit);
        }
    }

    /// A line is run by this unit.
    pub(in crate::facts) fn note(&mut self, line: Source, unit: &str) {
        self.lines.push((line, unit.to_owned()));
    }

    /// The unit that runs a line; none if that is not known.
    pub fn unit_of(&self, line: &Source) -> Option<&str> {
        let (_, unit) = self.lines.iter().find(|(known, _)| known == line)?;
        Some(unit)
    }

    /// Whether a unit is started before another one.
    pub fn comes_before(&self, first: &str, second: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut ahead = vec![first];
        while let Some(unit) = ahead.pop() {
            for later in self.later.get(unit).into_iter().flatten() {
                if later == second {
                    return true;
                }
                if seen.insert(later.as_str()) {
                    ahead.push(later);
                }
            }
        }
        false
    }
}

fn has_default_dependencies(texts: &[TextFile]) -> bool {
    files::flag(texts, "Unit", "DefaultDependencies") != Some(false)
}
