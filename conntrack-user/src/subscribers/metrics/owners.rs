//! The names of the containers and the pods of namespaces (`metrics.owners`).

use std::cmp::Reverse;

use crate::{
    engine::report::Report,
    kernel::{container::Container, netns::Namespace},
    subscribers::metrics::family::{Labels, label},
};

/// The labels of at most `most` namespaces: first those with refused packets, then those with the
/// most entries.
pub(super) fn owners(
    report: &Report,
    is_refused: impl Fn(u32) -> bool,
    most: usize,
) -> Vec<Labels> {
    let named = |namespace: &Namespace| {
        let container = namespace.container.as_ref();
        !namespace.host && container.is_some_and(|container| container.names.is_some())
    };
    let found = report.discovered.list.iter();
    let mut namespaces: Vec<&Namespace> = found.filter(|one| named(one)).collect();
    namespaces.sort_by_key(|one| {
        let entries = report.entries.get(&one.inode).copied().unwrap_or(0);
        Reverse((is_refused(one.inode), entries))
    });
    let mut owners: Vec<Labels> = namespaces
        .into_iter()
        .take(most)
        .filter_map(|one| labels(&one.name, one.container.as_ref()?))
        .collect();
    // Two series must not have the same labels.
    owners.sort();
    owners.dedup();
    owners
}

fn labels(netns: &str, container: &Container) -> Option<Labels> {
    let names = container.names.as_deref()?;
    let workload = names.workload.as_ref();
    let text = |name: Option<&String>| name.map(|name| label(name)).unwrap_or_default();
    Some(vec![
        ("netns", label(netns)),
        ("runtime", container.runtime.to_owned()),
        ("container", text(names.container.as_ref())),
        ("image", text(names.image.as_ref())),
        ("pod", text(names.pod.as_ref())),
        ("namespace", text(names.namespace.as_ref())),
        (
            "workload_kind",
            text(workload.and_then(|workload| workload.kind.as_ref())),
        ),
        ("workload", text(workload.map(|workload| &workload.name))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::container::Names;

    #[test]
    fn what_no_file_says_is_empty() {
        let container = Container {
            runtime: "podman",
            names: Some(Box::new(Names {
                container: Some("web".to_owned()),
                ..Names::default()
            })),
            ..Container::default()
        };
        let labels = labels("podman/web", &container).unwrap();
        let told = labels.iter().filter(|(_, value)| !value.is_empty());
        let told: Vec<_> = told.map(|(key, value)| (*key, value.as_str())).collect();
        let expected = [
            ("netns", "podman/web"),
            ("runtime", "podman"),
            ("container", "web"),
        ];
        assert_eq!(told, expected);
        assert!(self::labels("a", &Container::default()).is_none());
    }
}
