//! Which forms of a setting the `sysctl` command of procps knows.

use serde::Serialize;

use crate::facts::{
    distribution::{Distribution, Family},
    sysctl::Dialect,
};

/// Which forms of a setting the `sysctl` command of this host knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Procps {
    /// Whether a `-` before a key means that failures are ignored (3.3.16).
    pub knows_dash: bool,
    /// Whether `/etc` masks `/run`, as with systemd (3.3.17); before, it is the
    /// other way round.
    pub etc_before_run: bool,
    /// Whether it is procps 4, which knows patterns.
    pub knows_patterns: bool,
}

impl Procps {
    /// By what the distribution has.
    pub fn of(distribution: &Distribution) -> Self {
        let (major, _) = distribution.version;
        let since = |knows_dash, etc_before_run, knows_patterns| {
            let since = |first| major == 0 || major >= first;
            Self {
                knows_dash: since(knows_dash),
                etc_before_run: since(etc_before_run),
                knows_patterns: since(knows_patterns),
            }
        };
        match distribution.family {
            Family::EnterpriseLinux => since(9, 9, 10),
            Family::Fedora => since(0, 0, 39),
            Family::Debian => since(11, 11, 12),
            Family::Ubuntu => since(20, 22, 24),
            Family::Amazon => since(2023, 2023, u32::MAX),
            Family::Slackware => since(15, 15, 16),
            // SUSE Linux Enterprise 11 had procps 3.2.
            Family::Suse => since(12, 15, 16),
            _ => since(0, 0, 0),
        }
    }

    /// How it reads files.
    pub const fn dialect(self) -> Dialect {
        if self.knows_patterns {
            Dialect::Procps4
        } else {
            Dialect::Procps3 {
                any_length: self.knows_dash,
            }
        }
    }
}
