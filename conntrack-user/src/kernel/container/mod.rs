//! The container of a process. Its control groups tell which it is, and files of its engine and
//! of the kubelet have its names. ctdrop asks no API server and no engine.
//!
//! `cgroup` tells which container it is. `find` finds the file with its names. `known` is a
//! cache, so that files are read rarely. Only `tree` opens files.

mod cgroup;
mod docker;
mod find;
mod form;
mod known;
mod kubelet;
mod names;
mod oci;
mod podman;
#[cfg(test)]
mod tests;
mod tree;
mod workload;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use self::cgroup::{ANY, Place, RUNTIMES};
pub use self::{
    names::Names,
    workload::{Basis, Workload},
};

/// Length of an abbreviated container id, as `docker ps` prints it.
const SHORT: usize = 12;

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Container {
    /// `docker`, `containerd`, `crio`, `podman`, `lxc` or `nspawn`; `container` if the
    /// control group does not say.
    pub runtime: &'static str,
    /// First 12 hexadecimal digits of the id; the name of a container of LXC or
    /// systemd-nspawn.
    pub id: String,
    /// Uid of the Kubernetes pod that it is part of.
    pub pod: Option<String>,
    /// Its names, if a file has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Box<Names>>,
    /// Only without names: a file that could not be read, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

/// A container as evidence has it.
#[derive(Deserialize)]
struct Told {
    runtime: String,
    id: String,
    pod: Option<String>,
    names: Option<Box<Names>>,
    unread: Option<String>,
}

impl<'de> Deserialize<'de> for Container {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Told {
            runtime,
            id,
            pod,
            names,
            unread,
        } = Told::deserialize(from)?;
        let known = RUNTIMES.into_iter().find(|known| *known == runtime);
        Ok(Self {
            runtime: known.unwrap_or(ANY),
            id,
            pod,
            names,
            unread,
        })
    }
}

/// `pod/NAMESPACE/NAME` if it is part of a pod; else `docker/NAME` and so on. If no file has the
/// name, the uid of the pod or the id of the container.
impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names.as_deref();
        if let Some((namespace, pod)) = names.and_then(Names::pod) {
            return write!(f, "pod/{namespace}/{pod}");
        }
        match (&self.pod, names.and_then(|names| names.container.as_ref())) {
            (Some(uid), _) => write!(f, "pod/{uid}"),
            (None, Some(name)) => write!(f, "{}/{name}", self.runtime),
            (None, None) => write!(f, "{}/{}", self.runtime, self.id),
        }
    }
}

impl Container {
    /// Reads the text of `/proc/PID/cgroup`, and the names of the container in the files of this
    /// host.
    pub fn of(groups: &str) -> Option<Self> {
        let place = Place::of(groups)?;
        let known = known::of(&place);
        Some(Self {
            names: known.names.map(Box::new),
            unread: known.unread,
            ..Self::at(place)
        })
    }

    /// The same, but reads no file.
    pub fn from_cgroup(groups: &str) -> Option<Self> {
        Place::of(groups).map(Self::at)
    }

    fn at(place: Place) -> Self {
        let Place {
            runtime, id, pod, ..
        } = place;
        let is_long = id.len() == 64;
        Self {
            runtime,
            id: if is_long { id[..SHORT].to_owned() } else { id },
            pod,
            ..Self::default()
        }
    }

    /// The place with the name of the container in its pod: `pod/NAMESPACE/NAME/CONTAINER`.
    pub fn in_full(&self) -> String {
        let names = self.names.as_deref();
        let within = names
            .filter(|names| names.pod().is_some())
            .and_then(|names| names.container.as_ref());
        match within {
            Some(container) => format!("{self}/{container}"),
            None => self.to_string(),
        }
    }

    /// What else is known of it: see [`Names::details`].
    pub fn details(&self) -> Vec<String> {
        self.names.as_deref().map_or_else(Vec::new, Names::details)
    }

    /// Whether this is one of its names: its id, which may be given in full, its name, or the name
    /// or the uid of its pod.
    pub fn is_called(&self, wanted: &str) -> bool {
        let id = wanted.strip_prefix(self.runtime);
        let id = id.and_then(|rest| rest.strip_prefix('/')).unwrap_or(wanted);
        let uid = wanted.strip_prefix("pod/").unwrap_or(wanted);
        let names = self.names.as_deref();
        let name = names.and_then(|names| names.container.as_deref());
        let pod = names.and_then(Names::pod);
        // Ours is the beginning of the id.
        id.starts_with(&self.id)
            || self.pod.as_deref() == Some(uid)
            || self.pod.is_none() && name == Some(wanted)
            || pod.is_some_and(|(namespace, pod)| uid == format!("{namespace}/{pod}"))
    }
}
