//! calicoctl and APF, which set the limit by themselves.

use crate::facts::{
    reader::{Reader, TextFile},
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
