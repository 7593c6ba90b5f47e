//! Which files of sysctls a program reads, and in which order: the last setting
//! wins.

use crate::facts::{
    Facts,
    applier::Order,
    sysctl::{Sysctl, SysctlFile, key::matches},
};

/// Suffixes that `apply_sysctl` of Enterprise Linux 5 and 6 leaves out.
const LEFT_OUT: [&str; 6] = ["~", ".bak", ".orig", ".rpmnew", ".rpmorig", ".rpmsave"];

/// systemd-sysctl: files by name, of those that share one the first of `/etc`,
/// `/run`, `/usr/local/lib`, `/usr/lib` (`src/basic/conf-files.c`).
pub fn systemd(sysctl: &Sysctl) -> Vec<&SysctlFile> {
    let visible = |file: &&SysctlFile| !file.name.starts_with('.');
    without_overridden(sysctl.files.iter().filter(visible).collect())
}

/// `sysctl --system` of procps: as systemd-sysctl, but hidden files count, and
/// `/etc/sysctl.conf` comes last (`src/sysctl.c: PreloadSystem`). Before 3.3.17
/// `/run` came before `/etc`.
pub fn procps_system(sysctl: &Sysctl, etc_before_run: bool) -> Vec<&SysctlFile> {
    let mut files: Vec<&SysctlFile> = sysctl.files.iter().collect();
    if !etc_before_run {
        files.sort_by_key(|file| file.directory != "/run/sysctl.d");
    }
    let mut files = without_overridden(files);
    files.extend(&sysctl.conf);
    files
}

/// `apply_sysctl` of Enterprise Linux 5 and 6 (initscripts
/// `rc.d/init.d/functions`).
pub fn rc_sysinit(sysctl: &Sysctl, reads_directory: bool) -> Vec<&SysctlFile> {
    let mut files: Vec<&SysctlFile> = sysctl.conf.iter().collect();
    if reads_directory {
        files.extend(
            expand(sysctl, "/etc/sysctl.d/*")
                .into_iter()
                .filter(|file| !LEFT_OUT.iter().any(|suffix| file.name.ends_with(suffix))),
        );
    }
    files
}

/// Alpine (aports `main/openrc/sysctl.initd`): files of packages unless one in
/// `/etc` or `/run` has their name, those of `/etc` unless one in `/run` has,
/// `/etc/sysctl.conf`, and those of `/run`.
pub fn alpine(sysctl: &Sysctl) -> Vec<&SysctlFile> {
    let of = |directory: &str| expand(sysctl, &format!("{directory}/*.conf"));
    let named = |files: &[&SysctlFile], file: &SysctlFile| {
        files.iter().any(|other| other.name == file.name)
    };
    let (etc, run) = (of("/etc/sysctl.d"), of("/run/sysctl.d"));
    let mut files = of("/lib/sysctl.d");
    files.extend(of("/usr/lib/sysctl.d"));
    files.retain(|file| !named(&etc, file) && !named(&run, file));
    files.extend(etc.iter().filter(|file| !named(&run, file)));
    files.extend(&sysctl.conf);
    files.extend(run);
    files
}

/// The files of an order, one after the other.
pub fn files(facts: &Facts) -> Vec<&SysctlFile> {
    let sysctl = &facts.sysctl;
    match facts.applier.order {
        Order::Systemd => systemd(sysctl),
        Order::ProcpsSystem => procps_system(sysctl, facts.procps.etc_before_run),
        Order::RunFirst => {
            let mut files = procps_system(sysctl, false);
            files.retain(|file| !file.name.starts_with('.'));
            files
        }
        Order::Files(patterns) | Order::Unsorted(patterns) => patterns
            .iter()
            .flat_map(|pattern| expand(sysctl, pattern))
            .collect(),
        Order::ApplySysctl { reads_directory } => rc_sysinit(sysctl, reads_directory),
        Order::Alpine => alpine(sysctl),
        Order::Nothing | Order::Unknown => Vec::new(),
    }
}

/// `TuneD`, when it applies files once more (`plugin_sysctl.py`).
pub fn tuned(sysctl: &Sysctl) -> Vec<&SysctlFile> {
    let mut files: Vec<&SysctlFile> = Vec::new();
    for directory in ["/run/sysctl.d", "/etc/sysctl.d"] {
        files.extend(
            sysctl
                .files
                .iter()
                .filter(|file| file.directory == directory),
        );
    }
    let mut files = without_overridden(files);
    files.extend(&sysctl.conf);
    files
}

/// The files that a pattern of the shell stands for: `/etc/sysctl.d/*.conf`. The
/// last part only may have wildcards, and hidden files match none.
pub fn expand<'s>(sysctl: &'s Sysctl, pattern: &str) -> Vec<&'s SysctlFile> {
    let Some((directory, pattern)) = pattern.rsplit_once('/') else {
        return Vec::new();
    };
    sysctl
        .all()
        .filter(|file| {
            file.directory == directory
                && (pattern.starts_with('.') || !file.name.starts_with('.'))
                && matches(pattern.as_bytes(), file.name.as_bytes())
        })
        .collect()
}

/// Of the files that share a name the first, which overrides the others; all sorted by
/// name.
fn without_overridden(files: Vec<&SysctlFile>) -> Vec<&SysctlFile> {
    let mut in_effect: Vec<&SysctlFile> = Vec::new();
    for file in files {
        if file.name.strip_suffix(".conf").is_some()
            && !in_effect.iter().any(|known| known.name == file.name)
        {
            in_effect.push(file);
        }
    }
    in_effect.sort_by(|a, b| a.name.cmp(&b.name));
    in_effect
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::sysctl::{Dialect, Readers};

    fn file(directory: &'static str, name: &str) -> SysctlFile {
        SysctlFile {
            directory,
            name: name.to_owned(),
            file: format!("{directory}/{name}").into(),
            lines: Vec::new(),
            by_command: Vec::new(),
        }
    }

    fn sysctl() -> Sysctl {
        Sysctl {
            readers: Readers {
                boot: Dialect::Procps4,
                command: Dialect::Procps4,
            },
            conf: Some(file("/etc", "sysctl.conf")),
            files: vec![
                file("/etc/sysctl.d", ".hidden.conf"),
                file("/etc/sysctl.d", "50-a.conf"),
                file("/etc/sysctl.d", "90-x.conf"),
                file("/etc/sysctl.d", "90-x.conf.bak"),
                file("/run/sysctl.d", "50-a.conf"),
                file("/run/sysctl.d", "95-run.conf"),
                file("/usr/lib/sysctl.d", "10-first.conf"),
                file("/usr/lib/sysctl.d", "50-a.conf"),
            ],
        }
    }

    fn paths(files: &[&SysctlFile]) -> Vec<String> {
        files.iter().map(|file| file.path()).collect()
    }

    #[test]
    fn each_program_has_its_order() {
        let all = sysctl();
        assert_eq!(
            paths(&systemd(&all)),
            [
                "/usr/lib/sysctl.d/10-first.conf",
                "/etc/sysctl.d/50-a.conf",
                "/etc/sysctl.d/90-x.conf",
                "/run/sysctl.d/95-run.conf",
            ]
        );
        assert_eq!(
            paths(&procps_system(&all, false)),
            [
                "/etc/sysctl.d/.hidden.conf",
                "/usr/lib/sysctl.d/10-first.conf",
                "/run/sysctl.d/50-a.conf",
                "/etc/sysctl.d/90-x.conf",
                "/run/sysctl.d/95-run.conf",
                "/etc/sysctl.conf",
            ]
        );
        assert_eq!(
            paths(&procps_system(&all, true))[2],
            "/etc/sysctl.d/50-a.conf"
        );
        assert_eq!(
            paths(&rc_sysinit(&all, true)),
            [
                "/etc/sysctl.conf",
                "/etc/sysctl.d/50-a.conf",
                "/etc/sysctl.d/90-x.conf"
            ]
        );
        assert_eq!(paths(&rc_sysinit(&all, false)), ["/etc/sysctl.conf"]);
        assert_eq!(
            paths(&alpine(&all)),
            [
                "/usr/lib/sysctl.d/10-first.conf",
                "/etc/sysctl.d/90-x.conf",
                "/etc/sysctl.conf",
                "/run/sysctl.d/50-a.conf",
                "/run/sysctl.d/95-run.conf",
            ]
        );
        assert_eq!(paths(&tuned(&all)).last().unwrap(), "/etc/sysctl.conf");
    }

    #[test]
    fn backups_are_live_where_any_suffix_is_read() {
        let all = sysctl();
        assert_eq!(paths(&expand(&all, "/etc/sysctl.d/*")).len(), 3);
        assert_eq!(paths(&expand(&all, "/etc/sysctl.d/*.conf")).len(), 2);
        assert_eq!(
            paths(&expand(&all, "/etc/sysctl.conf")),
            ["/etc/sysctl.conf"]
        );
    }
}
