//! Which boot this is, and of which host.

use std::{fs, thread};

use anyhow::Result;
use rustix::system::{sysinfo, uname};
use serde_json::json;

use crate::{
    kernel::release::{Release, boot_id},
    store::record::Boot,
};

/// This boot.
pub(super) fn this_boot() -> Result<Boot> {
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let memory = sysinfo();
    let facts = json!({
        "distribution": pretty_name(&system),
        "processors": thread::available_parallelism().ok(),
        "memory": memory.totalram.saturating_mul(memory.mem_unit.into()),
    });
    Ok(Boot {
        boot_id: boot_id()?,
        host: uname().nodename().to_string_lossy().into_owned(),
        kernel: Release::running()?.text,
        facts: facts.to_string(),
    })
}

/// What a distribution calls itself (os-release(5)).
fn pretty_name(system: &str) -> Option<&str> {
    let name = system
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_boot_is_known() {
        let boot = this_boot().unwrap();
        assert_eq!(boot.boot_id.len(), 36);
        assert!(boot.facts.contains("\"memory\":"));
        assert_eq!(pretty_name("ID=x\nPRETTY_NAME=\"A 1\"\n"), Some("A 1"));
    }
}
