//! The limit that really is in force, and what becomes of it.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::vm::DiskGuest;

/// A rule that makes the kernel load conntrack by itself, as a firewall's does.
const RULES: &str = "table inet stateful {
    chain input { type filter hook input priority 0; ct state invalid drop; }
}";

/// The service that a guest may have, and whose restart can unload the module.
pub(super) const SERVICE: &str = "iptables.service";

/// What can happen to a limit, named as in `survives` of `ctdrop status -o json`
/// and `ctdrop fix -o json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// A reboot of the machine.
    Boot,
    /// A restart of the service `iptables`.
    ServiceRestart,
    /// The module taken out and loaded again.
    ModuleReload,
}

impl Survival {
    /// All of them, in the order in which [`Outcomes::of`] tries them.
    pub const ALL: [Self; 3] = [Self::Boot, Self::ServiceRestart, Self::ModuleReload];

    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::ServiceRestart => "service_restart",
            Self::ModuleReload => "module_reload",
        }
    }

    /// Lets it happen to a system with conntrack loaded, and returns the limit that
    /// is then in force.
    pub fn happen(self, host: &mut DiskGuest) -> Result<u64> {
        match self {
            Self::Boot => {
                host.reboot()?;
                load_by_rule(host)?;
            }
            Self::ServiceRestart => {
                host.succeed(["systemctl", "restart", SERVICE])?;
            }
            Self::ModuleReload => reload(host)?,
        }
        // What the loading of a module starts is no more than started by now.
        host.succeed(["udevadm", "settle"])?;
        max(host)
    }
}

/// The limits that really were in force after each of [`Survival::ALL`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcomes {
    /// What happened, and the limit then. A service that a system does not have
    /// has no outcome.
    pub limits: Vec<(Survival, u64)>,
}

impl Outcomes {
    /// Lets everything happen to a system, one after the other.
    pub fn of(host: &mut DiskGuest) -> Result<Self> {
        let unit = host.run(["systemctl", "cat", SERVICE])?;
        let has_service = unit.code == Some(0);
        let mut limits = Vec::new();
        for survival in Survival::ALL {
            if survival == Survival::ServiceRestart && !has_service {
                continue;
            }
            limits.push((survival, survival.happen(host)?));
        }
        Ok(Self { limits })
    }

    /// Demands that `survives`, the object of that name in the JSON of ctdrop, says
    /// what really came of it. `value` is the member with the limit: `value` in
    /// `status`, `before` or `after` in `fix`.
    pub fn demand(&self, survives: &Value, value: &str) -> Result<()> {
        let mut wrong = Vec::new();
        for &(survival, real) in &self.limits {
            let told = &survives[survival.name()][value];
            if told.as_u64() != Some(real) {
                wrong.push(format!("{}: {told}, really {real}", survival.name()));
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("; "));
        Ok(())
    }
}

/// The limit now in force.
pub(super) fn max(host: &mut DiskGuest) -> Result<u64> {
    number(host, "net.netfilter.nf_conntrack_max")
}

/// The hash buckets of the table.
pub(super) fn buckets(host: &mut DiskGuest) -> Result<u64> {
    number(host, "net.netfilter.nf_conntrack_buckets")
}

/// The value of a variable that is a number.
fn number(host: &mut DiskGuest, key: &str) -> Result<u64> {
    let text = host.succeed(["sysctl", "-n", key])?;
    let number = text.trim().parse();
    number.with_context(|| format!("{key} is {text:?}"))
}

/// Whether conntrack is loaded.
pub(super) fn is_loaded(host: &mut DiskGuest) -> Result<bool> {
    let modules = host.succeed(["lsmod"])?;
    Ok(modules
        .lines()
        .any(|line| line.split(' ').next() == Some("nf_conntrack")))
}

/// Has the kernel load conntrack as a firewall with a stateful rule does.
pub(super) fn load_by_rule(host: &mut DiskGuest) -> Result<()> {
    let ended = host.run_with(["nft", "-f", "-"], RULES)?;
    ensure!(ended.code == Some(0), "nft: {}", ended.stderr);
    ensure!(is_loaded(host)?, "a stateful rule did not load conntrack");
    Ok(())
}

/// Takes conntrack out, with every rule that needs it, and loads it again.
pub(super) fn reload(host: &mut DiskGuest) -> Result<()> {
    host.succeed(["nft", "flush", "ruleset"])?;
    host.succeed(["sh", "-c", UNLOAD])?;
    if is_loaded(host)? {
        bail!("nf_conntrack is still loaded");
    }
    host.succeed(["modprobe", "nf_conntrack"]).map(drop)
}

/// Takes out the modules that hold conntrack, then conntrack. Where rules are
/// nftables, the kernel lets go of a removed one only a moment later.
const UNLOAD: &str = "
release() {
    for user in $(awk -v name=\"$1\" '$1 == name { gsub(\",\", \" \", $4); print $4 }' /proc/modules); do
        [ \"$user\" = - ] || release \"$user\"
    done
    grep -q \"^$1 \" /proc/modules || return 0
    modprobe -r \"$1\"
}
for try in 1 2 3 4 5 6 7 8 9 10; do
    release nf_conntrack && exit 0
    sleep 0.5
done
lsmod >&2
exit 1
";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_ctdrop_says_is_compared_with_what_happened() {
        let real = Outcomes {
            limits: vec![(Survival::Boot, 65_536), (Survival::ModuleReload, 262_144)],
        };
        let mut told = json!({
            "boot": {"value": 65_536, "because": null},
            "service_restart": {"value": 1},
            "module_reload": {"value": 262_144},
        });
        real.demand(&told, "value").unwrap();
        assert!(real.demand(&told, "after").is_err());
        told["boot"]["value"] = json!(1_000_000);
        let error = real.demand(&told, "value").unwrap_err().to_string();
        assert_eq!(error, "boot: 1000000, really 65536");
        told["boot"] = Value::Null;
        assert!(real.demand(&told, "value").is_err());
    }
}
