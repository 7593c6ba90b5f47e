//! `ctdrop fix` before conntrack is loaded, and as a script that somebody runs.

use anyhow::{Result, ensure};

use super::{
    etc::Etc,
    fix::{self, FEW, FILES, MEANT, SMALL},
    limit::{self, SERVICE, Survival},
    story::Story,
    sysctl::demand,
};
use crate::vm::DiskGuest;

/// Never reboots.
pub(super) static FIX_BY_HAND: Story = Story {
    name: "fix_by_hand",
    about: "fix before conntrack is loaded; its script, run by dash, does and undoes the same",
    once: true,
    packages: false,
    files: &FILES,
    run,
};

/// Demands the same end by both ways.
fn run(host: &mut DiskGuest) -> Result<()> {
    ensure!(!limit::is_loaded(host)?, "the module is there at boot");
    let etc = Etc::of(host)?;
    let script = host.succeed(["ctdrop", "fix", "--emit-script"])?;
    fix::fix(host, &["--dry-run"])?;
    etc.demand_same(host)?;

    let unloaded = fix::fix(host, &["--yes"])?;
    let fixed = Etc::of(host)?;
    fix::demand_idle(host, &fixed)?;
    ensure!(!limit::is_loaded(host)?, "the fix has loaded the module");
    limit::load_by_rule(host)?;
    host.succeed(["udevadm", "settle"])?;
    demand("loaded after the fix", limit::max(host)?, MEANT)?;
    fix::demand_size(host, &unloaded)?;
    fix::take_back(host, &unloaded)?;
    etc.demand_same(host)?;

    let reloaded = Survival::ModuleReload.happen(host)?;
    demand("reloaded without a fix", reloaded, SMALL)?;
    host.write("/run/fix.sh", &script)?;
    host.succeed(["dash", "/run/fix.sh", "apply"])?;
    demand("after the script", limit::max(host)?, MEANT)?;
    fix::demand_size(host, &unloaded)?;
    let scripted = Etc::of(host)?;
    ensure!(
        scripted.contents() == fixed.contents(),
        "the script differs in {:?}",
        scripted.contents().differing(&fixed.contents())
    );
    for survival in [Survival::ModuleReload, Survival::ServiceRestart] {
        if survival == Survival::ServiceRestart {
            host.succeed(["systemctl", "start", SERVICE])?;
        }
        demand(survival.name(), survival.happen(host)?, MEANT)?;
    }
    host.succeed(["dash", "/run/fix.sh", "undo"])?;
    etc.demand_same(host)?;
    demand("after the script's undo", limit::max(host)?, SMALL)?;
    demand("its buckets", limit::buckets(host)?, FEW)
}
