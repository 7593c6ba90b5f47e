//! Which files of a directory a program runs, by name, owner and mode.

use crate::facts::{distribution::Family, reader::Reader};

/// Which names a program takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// All but hidden ones.
    All,
    /// Letters, digits, `_` and `-`: run-parts(8) of Debian and of busybox, cron(8) of
    /// Debian.
    RunParts,
    /// All but backups, and what rpm leaves: `run-parts` of crontabs, `crond` of cronie,
    /// (`crontabs: run-parts`, `cronie: src/database.c`).
    Crond,
    /// All but hidden files, backups, and what rpm leaves: `NetworkManager`
    /// (`src/nm-dispatcher/nm-dispatcher.c: check_filename`).
    Dispatcher,
    /// With this end.
    Ending(&'static str),
}

const BACKUPS: [&str; 5] = ["~", ".rpmsave", ".rpmorig", ".rpmnew", ".swp"];

impl Names {
    /// What runs `/etc/cron.daily`, and reads `/etc/cron.d`.
    pub(super) const fn of_periodic(family: Family) -> Self {
        match family {
            Family::Debian | Family::Ubuntu | Family::Alpine | Family::Arch | Family::Void => {
                Self::RunParts
            }
            _ => Self::Crond,
        }
    }

    /// What reads `/etc/cron.d`.
    pub(super) const fn of_crontabs(family: Family) -> Self {
        match family {
            Family::Debian | Family::Ubuntu => Self::RunParts,
            _ => Self::Crond,
        }
    }

    /// Whether a file of this name counts.
    pub(super) fn take(self, name: &str) -> bool {
        let backup = || BACKUPS.iter().any(|end| name.ends_with(end));
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
        match self {
            Self::All => !name.starts_with('.'),
            Self::RunParts => !name.is_empty() && name.chars().all(plain),
            Self::Crond => !name.starts_with(['.', '#']) && !backup() && !name.ends_with(','),
            Self::Dispatcher => !name.starts_with('.') && !backup(),
            Self::Ending(end) => !name.starts_with('.') && name.ends_with(end),
        }
    }
}

/// Whether a file is root's, and nobody else may write to it. In a copied tree the
/// owner of `/etc` stands for root.
pub(super) fn is_guarded(reader: &Reader<'_>, path: &str) -> bool {
    let Some((owner, mode)) = reader.permissions(path) else {
        return true;
    };
    let root = if reader.is_this_host() {
        Some(0)
    } else {
        reader.permissions("/etc").map(|(owner, _)| owner)
    };
    mode & 0o022 == 0 && root.is_none_or(|root| owner == root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_takes_its_names() {
        let taken = |names: Names| {
            let all = ["x", "x.sh", ".x", "x~", "x.rpmnew", "1-x_y", "x.cron"];
            let taken = all.into_iter().filter(|name| names.take(name));
            taken.collect::<Vec<_>>()
        };
        assert_eq!(taken(Names::RunParts), ["x", "1-x_y"]);
        assert_eq!(taken(Names::Crond), ["x", "x.sh", "1-x_y", "x.cron"]);
        assert_eq!(taken(Names::Dispatcher), taken(Names::Crond));
        assert_eq!(taken(Names::All).len(), 6);
        assert_eq!(taken(Names::Ending(".sh")), ["x.sh"]);
    }
}
