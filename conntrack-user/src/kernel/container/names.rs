//! The names of a container.

use serde::{Deserialize, Serialize};

use crate::kernel::container::workload::Workload;

/// The names of a container, from a file of its engine or of the kubelet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Its own name; in a pod, the name in the pod's specification. None for the sandbox of a pod,
    /// which has no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Its image, by the name that was used to start it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Its pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The Kubernetes namespace of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The probable owner of the pod. No file has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// The project of Docker Compose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The service of Docker Compose or Docker Swarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The file or directory that has these names.
    pub file: String,
}

impl Names {
    /// The file, and no name yet.
    pub(super) fn by(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            ..Self::default()
        }
    }

    /// The namespace and the name of the pod.
    pub fn pod(&self) -> Option<(&str, &str)> {
        self.namespace.as_deref().zip(self.pod.as_deref())
    }

    /// Whether there is any name.
    pub(super) fn say_something(&self) -> bool {
        self.container.is_some() || self.pod().is_some()
    }

    /// These names; missing ones are taken from others of the same container.
    pub(super) fn or(self, other: Option<&Self>) -> Self {
        let Some(other) = other else {
            return self;
        };
        let else_other =
            |one: Option<String>, other: &Option<String>| one.or_else(|| other.clone());
        // A namespace without its pod says nothing.
        let pod = if self.pod().is_some() { &self } else { other };
        let (namespace, pod) = (pod.namespace.clone(), pod.pod.clone());
        Self {
            container: else_other(self.container, &other.container),
            image: else_other(self.image, &other.image),
            pod,
            namespace,
            workload: self.workload.or_else(|| other.workload.clone()),
            project: else_other(self.project, &other.project),
            service: else_other(self.service, &other.service),
            file: self.file,
        }
    }

    /// Adds the probable owner of the pod, inferred from its name, unless labels gave it.
    pub(super) fn with_workload(mut self) -> Self {
        if self.workload.is_none() {
            self.workload = self.pod.as_deref().and_then(Workload::of_pod_called);
        }
        self
    }

    /// What else is known, each for a sentence: `image nginx:1.25`,
    /// `service web of project shop`, `probably of Deployment cart`.
    pub fn details(&self) -> Vec<String> {
        let image = self.image.as_ref().map(|image| format!("image {image}"));
        let service = match (&self.service, &self.project) {
            (Some(service), Some(project)) => {
                Some(format!("service {service} of project {project}"))
            }
            (Some(service), None) => Some(format!("service {service}")),
            (None, Some(project)) => Some(format!("project {project}")),
            (None, None) => None,
        };
        let workload = self.workload.as_ref().map(Workload::told);
        [image, service, workload].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_fill_in_what_one_lacks() {
        let log = Names {
            pod: Some("cart-1".to_owned()),
            namespace: Some("shop".to_owned()),
            container: Some("web".to_owned()),
            ..Names::by("log")
        };
        let bundle = Names {
            image: Some("nginx".to_owned()),
            ..Names::by("bundle")
        };
        let both = bundle.or(Some(&log));
        assert_eq!(both.pod(), Some(("shop", "cart-1")));
        assert_eq!(
            (both.container.as_deref(), both.image.as_deref()),
            (Some("web"), Some("nginx"))
        );
        assert_eq!(both.file, "bundle");
    }
}
