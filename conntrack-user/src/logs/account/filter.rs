//! Which lines are counted.

use crate::logs::account::moment::Moment;

/// The lines to count.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Microseconds since 1970.
    pub since: Option<i64>,
    /// Microseconds since 1970.
    pub until: Option<i64>,
    /// Names; none: all.
    pub hosts: Vec<String>,
    /// What another log holds already.
    pub covered: Option<Covered>,
}

/// Hosts whose messages another log holds, from a moment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// Microseconds since 1970.
    pub from: i64,
    /// Names, without domain.
    pub hosts: Vec<Box<[u8]>>,
}

/// The name of a host without its domain.
pub fn short(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == b'.').next().unwrap_or(name)
}

impl Filter {
    /// Whether it lets a moment pass. What has no time of day passes only if
    /// none is asked for.
    pub fn time(&self, moment: Moment) -> bool {
        match moment {
            Moment::Wall(at) => {
                self.since.is_none_or(|since| at >= since)
                    && self.until.is_none_or(|until| at < until)
            }
            _ => self.since.is_none() && self.until.is_none(),
        }
    }

    /// Whether another log holds already what a host said then.
    pub(super) fn is_covered(&self, name: Option<&[u8]>, moment: Moment) -> bool {
        match (&self.covered, name, moment) {
            (Some(covered), Some(name), Moment::Wall(at)) => {
                at >= covered.from && covered.hosts.iter().any(|host| **host == *short(name))
            }
            _ => false,
        }
    }

    /// Whether it lets a host pass.
    pub fn host(&self, name: Option<&[u8]>) -> bool {
        self.hosts.is_empty()
            || name.is_some_and(|name| self.hosts.iter().any(|host| host.as_bytes() == name))
    }
}
