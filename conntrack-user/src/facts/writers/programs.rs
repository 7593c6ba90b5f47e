//! calicoctl, APF and `FireHOL`, which set the limit by themselves.

use crate::facts::{
    reader::{Reader, TextFile},
    services::Services,
    sysctl::line::number,
    writers::writer::{Sets, Timing, Writer},
};

/// `calicoctl node run` sets a million, whatever it was.
pub(super) fn calico(text: &TextFile, enabled: bool) -> Option<Writer> {
    let source = text.first(|line| {
        !line.trim_start().starts_with('#')
            && line.contains("calicoctl")
            && line.contains("node run")
    })?;
    Some(Writer {
        name: "calicoctl",
        active: enabled,
        behaviour: "sets the limit to 1,000,000 at its start, even if it was larger".to_owned(),
        knob: "set the limit in a unit that starts after this one".to_owned(),
        evidence: vec![source.clone()],
        sets: enabled.then_some(Sets {
            max: Some(1_000_000),
            buckets: None,
            timing: Timing::AtStart,
            source,
            reapplies: false,
            acts: Vec::new(),
        }),
    })
}

/// APF sets what its configuration says when it starts.
pub(super) fn apf(reader: &Reader<'_>) -> Option<Writer> {
    let config = reader.text("/etc/apf/conf.apf")?;
    let source = config.first(|line| line.trim_start().starts_with("SYSCTL_CONNTRACK="))?;
    let value = source.text.split_once('=')?.1.trim_matches('"');
    let max = number(value);
    Some(Writer {
        name: "APF",
        active: max != Some(0),
        behaviour: "sets the limit whenever it starts".to_owned(),
        knob: format!("set SYSCTL_CONNTRACK in {}", source.file.display()),
        sets: (max != Some(0)).then(|| Sets {
            max,
            buckets: None,
            timing: Timing::AtStart,
            source: source.clone(),
            reapplies: false,
            acts: Vec::new(),
        }),
        evidence: vec![source],
    })
}

/// Where `FireHOL` is configured; what comes first here counts.
const FIREHOL: [&str; 2] = [
    "/etc/firehol/firehol.conf",
    "/etc/firehol/firehol-defaults.conf",
];

/// `FireHOL` sets what its configuration says when it starts, and nothing otherwise.
pub(super) fn firehol(reader: &Reader<'_>, services: &Services) -> Option<Writer> {
    let sets =
        |line: &str| !line.trim_start().starts_with('#') && line.contains("FIREHOL_CONNTRACK_MAX=");
    let source = FIREHOL
        .iter()
        .find_map(|path| reader.text(path)?.first(sets))?;
    let (_, value) = source.text.split_once('=')?;
    let value = value.trim().trim_matches(['"', '\'']);
    if value.is_empty() {
        return None;
    }
    let active = services.starts("firehol");
    Some(Writer {
        name: "FireHOL",
        active,
        behaviour: "sets the limit whenever it starts".to_owned(),
        knob: format!("set FIREHOL_CONNTRACK_MAX in {}", source.file.display()),
        sets: active.then(|| Sets {
            max: number(value),
            buckets: None,
            timing: Timing::AtStart,
            source: source.clone(),
            reapplies: false,
            acts: Vec::new(),
        }),
        evidence: vec![source],
    })
}
