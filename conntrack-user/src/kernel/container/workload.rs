//! The owner of a pod, inferred from its name or its labels: only the API server knows it.

use serde::{Deserialize, Serialize};

use crate::kernel::container::form::name;

/// The characters of what Kubernetes adds to a name at random
/// (`k8s.io/apimachinery`, `pkg/util/rand/rand.go`: `alphanums`, in 1.9 to 1.34).
const RANDOM: &str = "bcdfghjklmnpqrstvwxz2456789";

/// How many of these: `k8s.io/apiserver`, `pkg/storage/names/generate.go`.
const RANDOM_LENGTH: usize = 5;

/// The characters of a pod-template-hash: the decimal digits of a 32-bit number, each as
/// the character of [`RANDOM`] at its code modulo 27 (`rand.SafeEncodeString`).
const HASH: &str = "456789bcdf";

/// How long a hash must be to be taken for one. A real one may be shorter, but then it could be
/// a word.
const HASH_LENGTH: std::ops::RangeInclusive<usize> = 7..=10;

/// From what the owner was inferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The form of the pod's name, which anybody can give to a pod.
    PodName,
    /// Labels of the pod, which its controller sets.
    Labels,
}

/// The owner of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// `Deployment` and so on; none if it can be one of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
    /// What tells it.
    pub basis: Basis,
}

impl Workload {
    /// The probable owner of a pod with that name.
    pub(super) fn of_pod_called(pod: &str) -> Option<Self> {
        let (set, suffix) = pod.rsplit_once('-')?;
        let of = |kind: Option<&str>, of: &str| {
            Some(Self {
                kind: kind.map(ToOwned::to_owned),
                name: name(of)?,
                basis: Basis::PodName,
            })
        };
        let is_ordinal = suffix.len() <= 4 && suffix.bytes().all(|byte| byte.is_ascii_digit());
        if is_ordinal && !suffix.is_empty() {
            return of(Some("StatefulSet"), set);
        }
        let is_random =
            suffix.len() == RANDOM_LENGTH && suffix.chars().all(|it| RANDOM.contains(it));
        if !is_random {
            return None;
        }
        match set.rsplit_once('-') {
            Some((deployment, hash)) if is_hash(hash) => of(Some("Deployment"), deployment),
            // The minute since 1970 for which it was started, 8 digits from 1989 to 2160.
            Some((cron, minute))
                if minute.len() == 8 && minute.bytes().all(|it| it.is_ascii_digit()) =>
            {
                of(Some("CronJob"), cron)
            }
            _ => of(None, set),
        }
    }

    /// The owner of a pod with that name, by its labels.
    pub(super) fn by_labels<'a>(
        pod: &str,
        label: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<Self> {
        let of = |kind: &str, of: &str| {
            Some(Self {
                kind: Some(kind.to_owned()),
                name: name(of)?,
                basis: Basis::Labels,
            })
        };
        if let Some(hash) = label("pod-template-hash") {
            let set = pod.rsplit_once('-')?.0;
            return of("Deployment", set.strip_suffix(hash)?.strip_suffix('-')?);
        }
        if label("statefulset.kubernetes.io/pod-name").is_some() {
            return of("StatefulSet", pod.rsplit_once('-')?.0);
        }
        if let Some(job) = label("batch.kubernetes.io/job-name").or_else(|| label("job-name")) {
            return of("Job", job);
        }
        label("pod-template-generation")?;
        of("DaemonSet", pod.rsplit_once('-')?.0)
    }

    /// For a sentence: `probably of Deployment cart`.
    pub fn told(&self) -> String {
        let basis = match self.basis {
            Basis::PodName => "probably",
            Basis::Labels => "by its labels",
        };
        match &self.kind {
            Some(kind) => format!("{basis} of {kind} {}", self.name),
            None => format!("{basis} of a DaemonSet, ReplicaSet or Job {}", self.name),
        }
    }
}

fn is_hash(text: &str) -> bool {
    HASH_LENGTH.contains(&text.len()) && text.chars().all(|char| HASH.contains(char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_tell_what_manages_a_pod() {
        let told = |pod: &str, key: &'static str, value: &'static str| {
            let label = |wanted: &str| (wanted == key).then_some(value);
            Workload::by_labels(pod, label).map(|workload| workload.told())
        };
        let pod = "cart-6d5f7c9b8-x2x4z";
        assert_eq!(
            told(pod, "pod-template-hash", "6d5f7c9b8").as_deref(),
            Some("by its labels of Deployment cart")
        );
        assert_eq!(told(pod, "pod-template-hash", "other"), None);
        assert_eq!(
            told("agent-x2x4z", "pod-template-generation", "1").as_deref(),
            Some("by its labels of DaemonSet agent")
        );
        assert_eq!(told("agent-x2x4z", "app", "agent"), None);
    }

    #[test]
    fn a_pod_s_name_tells_what_probably_manages_it() {
        let told = |pod| Workload::of_pod_called(pod).map(|workload| workload.told());
        for (pod, expected) in [
            ("coredns-5dd5756b68-abcde", None),
            (
                "coredns-5dd5756b68-bzx2d",
                Some("probably of Deployment coredns"),
            ),
            (
                "cart-api-6d5f7c9b8-x2x4z",
                Some("probably of Deployment cart-api"),
            ),
            ("db-0", Some("probably of StatefulSet db")),
            ("backup-28512345-x2x4z", Some("probably of CronJob backup")),
            (
                "agent-x2x4z",
                Some("probably of a DaemonSet, ReplicaSet or Job agent"),
            ),
            ("kube-apiserver-node1", None),
            ("web", None),
            ("-0", None),
        ] {
            assert_eq!(told(pod).as_deref(), expected, "{pod}");
        }
    }
}
