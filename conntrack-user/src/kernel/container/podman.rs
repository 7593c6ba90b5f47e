//! The lists of `containers/storage`, which podman, CRI-O and buildah keep:
//! `DRIVER-containers/containers.json` and, for containers that a boot removes,
//! `volatile-containers.json` (`containers.go`, 1.0 to 1.59). The name is in `names`, and the
//! image in `metadata`, JSON of its own (`RuntimeContainerMetadata`: `libpod/storage.go` of
//! podman 1 to 5).

use std::collections::HashMap;

use serde::Deserialize;

use crate::kernel::container::{
    form::{image, name},
    names::Names,
    tree::Tree,
};

/// Where root keeps them. The second one has those of a transient store.
const STORES: [&str; 2] = ["/var/lib/containers/storage", "/run/containers/storage"];

/// Where a user keeps them, in the home.
const STORE_OF_USER: &str = ".local/share/containers/storage";

const DRIVERS: [&str; 4] = ["overlay", "vfs", "btrfs", "zfs"];
const FILES: [&str; 2] = ["containers.json", "volatile-containers.json"];

#[derive(Deserialize)]
struct Entry {
    id: String,
    names: Option<Vec<String>>,
    metadata: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "image-name")]
    image: Option<String>,
}

/// The containers of the lists, by id.
#[derive(Debug, Default)]
pub(super) struct Storage {
    containers: HashMap<String, Names>,
    /// Why a list could not be read.
    pub(super) unread: Option<String>,
}

impl Storage {
    /// Those of root.
    pub(super) fn of_root(tree: &Tree) -> Self {
        Self::read(tree, &STORES)
    }

    /// Those of a user, who is in `/etc/passwd`.
    pub(super) fn of_user(tree: &Tree, user: u32) -> Self {
        let users = match tree.read("/etc/passwd") {
            Ok(users) => users.unwrap_or_default(),
            Err(why) => {
                return Self {
                    unread: Some(why),
                    ..Self::default()
                };
            }
        };
        let home = home(&String::from_utf8_lossy(&users), user);
        home.map_or_else(Self::default, |home| {
            Self::read(&tree.below(&home), &[STORE_OF_USER])
        })
    }

    /// What a container is called.
    pub(super) fn names(&self, id: &str) -> Option<&Names> {
        self.containers.get(id)
    }

    fn read(tree: &Tree, stores: &[&str]) -> Self {
        let mut all = Self::default();
        for store in stores {
            for driver in DRIVERS {
                for file in FILES {
                    let path = format!("{store}/{driver}-containers/{file}");
                    match tree.read(&path) {
                        Ok(None) => {}
                        Ok(Some(content)) => all.add(&content, &path),
                        Err(why) => all.unread = Some(why),
                    }
                }
            }
        }
        all
    }

    fn add(&mut self, content: &[u8], path: &str) {
        let entries: Vec<Entry> = match serde_json::from_slice(content) {
            Ok(entries) => entries,
            Err(error) => {
                self.unread = Some(format!("{path}: {error}"));
                return;
            }
        };
        for entry in entries {
            let names = names(&entry, path);
            self.containers.insert(entry.id, names);
        }
    }
}

fn names(entry: &Entry, path: &str) -> Names {
    let given = entry.names.iter().flatten().next();
    let metadata = entry.metadata.as_deref();
    let metadata = metadata.and_then(|text| serde_json::from_str::<Metadata>(text).ok());
    let names = Names {
        container: given.and_then(|given| name(given)),
        image: metadata.and_then(|metadata| image(&metadata.image?)),
        ..Names::by(path)
    };
    let pod = given.and_then(|given| of_pod(given, path));
    match pod {
        Some(pod) => Names {
            container: pod.container.clone(),
            ..pod.or(Some(&names))
        },
        None => names,
    }
}

/// CRI-O calls a container `k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT`
/// (`internal/factory/container/container.go`), and a sandbox the same with `POD`.
fn of_pod(given: &str, path: &str) -> Option<Names> {
    let mut parts = given.strip_prefix("k8s_")?.split('_');
    let container = name(parts.next()?)?;
    let names = Names {
        container: (container != "POD").then_some(container),
        pod: Some(name(parts.next()?)?),
        namespace: Some(name(parts.next()?)?),
        ..Names::by(path)
    };
    (parts.count() == 2).then_some(names)
}

/// The home of a user, of the text of `/etc/passwd`.
fn home(users: &str, user: u32) -> Option<String> {
    let home = users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_theirs = fields.get(2)?.parse() == Ok(user);
        is_theirs.then(|| fields.get(5).copied()).flatten()
    })?;
    home.starts_with('/').then(|| home.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn podman_and_crio() {
        let mut storage = Storage::default();
        let list = r#"[{"id":"aa","names":["web"],"image":"00","layer":"11",
            "metadata":"{\"image-name\":\"docker.io/library/nginx:1.25\",\"image-id\":\"00\",\"name\":\"web\"}"},
            {"id":"bb","names":["k8s_web_cart-1_shop_1b2c_0"]},
            {"id":"cc","names":["k8s_POD_cart-1_shop_1b2c_0"]},{"id":"dd"}]"#;
        storage.add(list.as_bytes(), "f");
        let web = storage.names("aa").unwrap();
        assert_eq!(web.container.as_deref(), Some("web"));
        assert_eq!(web.image.as_deref(), Some("docker.io/library/nginx:1.25"));
        let of_pod = storage.names("bb").unwrap();
        assert_eq!(of_pod.pod(), Some(("shop", "cart-1")));
        assert_eq!(of_pod.container.as_deref(), Some("web"));
        assert_eq!(storage.names("cc").unwrap().container, None);
        assert!(!storage.names("dd").unwrap().say_something());
        storage.add(b"[{\"id\":1}]", "g");
        assert!(storage.unread.unwrap().starts_with("g: "));
    }

    #[test]
    fn the_home_of_a_user() {
        let users = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbad:x:7\n";
        assert_eq!(home(users, 1000).as_deref(), Some("/home/ann"));
        assert_eq!(home(users, 7), None);
    }
}
