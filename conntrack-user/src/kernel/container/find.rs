//! Finds the file that has the names of a container.

use std::collections::HashMap;

use crate::kernel::container::{
    cgroup::Place, docker, kubelet::Logs, names::Names, oci, podman::Storage, tree::Tree,
};

/// The most users whose lists are kept.
const USERS: usize = 64;

/// The names that files have for a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Its names.
    pub(super) names: Option<Names>,
    /// Only if there are no names: a file that could not be read, and why.
    pub(super) unread: Option<String>,
}

/// Lists with the names of many containers, each read once.
#[derive(Debug, Default)]
pub(super) struct Lists {
    logs: Option<(Logs, Option<String>)>,
    storage: Option<Storage>,
    of_users: HashMap<u32, Storage>,
}

impl Lists {
    fn logs(&mut self, tree: &Tree) -> &(Logs, Option<String>) {
        self.logs.get_or_insert_with(|| Logs::read(tree))
    }

    fn storage(&mut self, tree: &Tree, user: Option<u32>) -> &Storage {
        let Some(user) = user.filter(|_| self.of_users.len() < USERS) else {
            return self.storage.get_or_insert_with(|| Storage::of_root(tree));
        };
        let of_user = self.of_users.entry(user);
        of_user.or_insert_with(|| Storage::of_user(tree, user))
    }
}

/// The names of a container: from the files of its engine first, then from those of the kubelet.
pub(super) fn find(tree: &Tree, lists: &mut Lists, place: &Place) -> Known {
    let id = place.id.as_str();
    // Other ids are names already.
    if id.len() != 64 {
        return Known::default();
    }
    let mut unread = None;
    let mut of_engine = None;
    for engine in engines(place.runtime) {
        let found = match engine {
            Engine::Docker => docker::names(tree, id),
            Engine::Containerd => oci::of_containerd(tree, id),
            Engine::Crio => oci::of_crio(tree, id),
            Engine::Storage => {
                let storage = lists.storage(tree, place.user);
                let missing = || storage.unread.clone().map_or(Ok(None), Err);
                storage
                    .names(id)
                    .cloned()
                    .map(Some)
                    .map_or_else(missing, Ok)
            }
        };
        match found {
            Ok(found) => of_engine = found.filter(Names::say_something),
            Err(why) => unread = Some(why),
        }
        if of_engine.is_some() {
            break;
        }
    }
    let of_kubelet = place.pod.as_deref().and_then(|pod| {
        let (logs, why) = lists.logs(tree);
        unread = unread.take().or_else(|| why.clone());
        logs.names(id, Some(pod)).cloned()
    });
    let names = match (of_engine, of_kubelet) {
        (Some(engine), kubelet) => Some(engine.or(kubelet.as_ref())),
        (None, kubelet) => kubelet,
    };
    Known {
        unread: unread.filter(|_| names.is_none()),
        names: names.map(Names::with_workload),
    }
}

#[derive(Clone, Copy)]
enum Engine {
    Docker,
    Containerd,
    Crio,
    Storage,
}

/// The engines that may have started it: control groups made by cgroupfs do not name the engine.
fn engines(runtime: &str) -> &'static [Engine] {
    use Engine::{Containerd, Crio, Docker, Storage};
    match runtime {
        "docker" => &[Docker],
        "containerd" => &[Containerd],
        "crio" => &[Crio, Storage],
        "podman" => &[Storage],
        _ => &[Docker, Containerd, Crio, Storage],
    }
}
