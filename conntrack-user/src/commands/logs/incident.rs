//! Why packets were refused, as far as a log tells it.

use std::collections::BTreeMap;

use conntrack_ebpf::Reason;

use crate::{
    commands::logs::report::Names,
    incident::{Evidence, Incident, Netns, judge_worst},
    logs::account::tally::Place,
};

/// The incident of the table that most lines are about, of the host's if any are.
pub(super) fn judge(lines_by_place: &BTreeMap<Place, u64>, names: &Names) -> Option<Incident> {
    let evidence: Vec<Evidence> = lines_by_place
        .iter()
        .map(|(&place, &lines)| Evidence {
            netns: netns(place, names),
            refused: BTreeMap::from([(Reason::TableFull, lines)]),
            ..Evidence::default()
        })
        .collect();
    (!evidence.is_empty()).then(|| judge_worst(&evidence, None))
}

/// What a log calls a namespace.
fn netns(place: Place, names: &Names) -> Netns {
    match place {
        Place::Netns(inode) => names.get(&inode).cloned().unwrap_or_else(|| Netns {
            inode: Some(inode),
            name: format!("net:[{inode}]"),
            ..Netns::default()
        }),
        Place::Container(container) => Netns {
            name: format!("container {container}"),
            ..Netns::default()
        },
        Place::Unnamed => Netns::of_tree(),
    }
}
