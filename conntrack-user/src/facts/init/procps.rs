//! Which forms of a setting the `sysctl` command of procps knows.

use serde::Serialize;

use crate::facts::distribution::{Distribution, Family};

/// Which forms of a setting the `sysctl` command of this host knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Procps {
    /// Whether a `-` before a key means that failures are ignored (3.3.16).
    pub knows_dash: bool,
    /// Whether `/etc` masks `/run`, as with systemd (3.3.17); before, it is the
    /// other way round.
    pub etc_before_run: bool,
}

impl Procps {
    /// By what the distribution has.
    pub fn of(distribution: &Distribution) -> Self {
        let (major, _) = distribution.version;
        let since = |knows_dash, etc_before_run| Self {
            knows_dash: major == 0 || major >= knows_dash,
            etc_before_run: major == 0 || major >= etc_before_run,
        };
        match distribution.family {
            Family::EnterpriseLinux => since(9, 9),
            Family::Debian => since(11, 11),
            Family::Ubuntu => since(20, 22),
            Family::Amazon => since(2023, 2023),
            Family::Slackware => since(15, 15),
            // SUSE Linux Enterprise 11 had procps 3.2.
            Family::Suse => since(12, 15),
            _ => since(0, 0),
        }
    }
}
