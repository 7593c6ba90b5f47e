//! The names of the kubelet's log files, which have the names of pod and container. No log is
//! opened. `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log` is a link
//! (`pkg/kubelet/kuberuntime/legacy.go`, 1.5 to 1.34) to
//! `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/N.log` (`BuildPodLogsDirectory` in `helpers.go`
//! there, since 1.14). The uid of a static pod is the hash that its control group has, too.

use std::collections::HashMap;

use crate::kernel::container::{
    form::name,
    names::Names,
    tree::{ENTRIES, Listing, Tree},
};

const CONTAINERS: &str = "/var/log/containers";
const PODS: &str = "/var/log/pods";

/// The names found there.
#[derive(Debug, Default)]
pub(super) struct Logs {
    containers: HashMap<String, Names>,
    pods: HashMap<String, Names>,
}

impl Logs {
    /// Reads the two directories. Says why one could not be read.
    pub(super) fn read(tree: &Tree) -> (Self, Option<String>) {
        let mut logs = Self::default();
        let mut unread = None;
        let mut list = |path| match tree.list(path, ENTRIES) {
            Ok(listing) => {
                let Listing {
                    names,
                    unread: rest,
                } = listing.unwrap_or_default();
                unread = rest.or(unread.take());
                names
            }
            Err(why) => {
                unread = Some(why);
                Vec::new()
            }
        };
        for name in list(PODS) {
            logs.add_pod(&name);
        }
        for name in list(CONTAINERS) {
            let target = tree.link(CONTAINERS, &name);
            logs.add_container(&name, target.as_deref());
        }
        (logs, unread)
    }

    /// The names of a container, or of its pod alone.
    pub(super) fn names(&self, id: &str, pod: Option<&str>) -> Option<&Names> {
        let by_id = self.containers.get(id);
        by_id.or_else(|| self.pods.get(pod?))
    }

    fn add_container(&mut self, file: &str, target: Option<&str>) {
        let Some((id, names)) = container(file) else {
            return;
        };
        // The folder of the pod may be out of sight, as in a pod of ctdrop's own.
        let folder = target.and_then(|target| target.strip_prefix(PODS)?.split('/').nth(1));
        if let Some((uid, pod)) = folder.and_then(|folder| pod(folder, CONTAINERS)) {
            self.pods.entry(uid).or_insert(pod);
        }
        self.containers.insert(id, names);
    }

    fn add_pod(&mut self, folder: &str) {
        if let Some((uid, pod)) = pod(folder, PODS) {
            self.pods.insert(uid, pod);
        }
    }
}

/// `POD_NAMESPACE_CONTAINER-ID.log`: none of its parts can have a `_`.
fn container(file: &str) -> Option<(String, Names)> {
    let (rest, id) = file.strip_suffix(".log")?.rsplit_once('-')?;
    let mut parts = rest.split('_');
    let names = Names {
        pod: Some(name(parts.next()?)?),
        namespace: Some(name(parts.next()?)?),
        container: Some(name(parts.next()?)?),
        ..Names::by(CONTAINERS)
    };
    (parts.next().is_none() && id.len() == 64).then(|| (id.to_owned(), names))
}

/// `NAMESPACE_POD_UID`
fn pod(folder: &str, by: &str) -> Option<(String, Names)> {
    let mut parts = folder.split('_');
    let names = Names {
        namespace: Some(name(parts.next()?)?),
        pod: Some(name(parts.next()?)?),
        ..Names::by(by)
    };
    let uid = parts.next()?.to_owned();
    parts.next().is_none().then_some((uid, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4e5d6c7b8a99887766554433221100ffeeddccbbaa99887766554433221100";

    #[test]
    fn a_link_names_the_container_and_its_target_the_pod() {
        let mut logs = Logs::default();
        let target = "/var/log/pods/shop_cart-1_1b2c-3d/web/0.log";
        logs.add_container(&format!("cart-1_shop_web-{ID}.log"), Some(target));
        let names = logs.names(ID, None).unwrap();
        assert_eq!(names.pod(), Some(("shop", "cart-1")));
        assert_eq!(names.container.as_deref(), Some("web"));
        let sandbox = logs.names("other", Some("1b2c-3d")).unwrap();
        assert_eq!(
            (sandbox.pod(), &sandbox.container),
            (Some(("shop", "cart-1")), &None)
        );
    }

    #[test]
    fn what_has_another_form_names_nothing() {
        let mut logs = Logs::default();
        for file in ["x.log", "a_b_c-12.log", "a_b_c_d.log", "\u{1b}_b_c-1.log"] {
            logs.add_container(file, None);
        }
        logs.add_container(&format!("a_b_c_d-{ID}.log"), Some("/etc/passwd"));
        for folder in ["1b2c", "a_b_c_d", "_b_c", "a_b"] {
            logs.add_pod(folder);
        }
        assert!(logs.containers.is_empty() && logs.pods.is_empty());
    }
}
