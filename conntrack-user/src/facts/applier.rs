//! What applies files of sysctls at boot, and in which order. Where the host's own
//! script is in the tree, its lines count, not the distribution.

use crate::facts::{
    distribution::{Distribution, Family},
    init::Init,
    reader::{Reader, TextFile},
    services::Services,
};

/// A program that applies files of sysctls at boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applier {
    /// What to call it.
    pub program: &'static str,
    /// Which files, in which order.
    pub order: Order,
}

/// Which files of sysctls are applied, in which order; the last setting wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As systemd-sysctl does.
    Systemd,
    /// `sysctl --system` of procps.
    ProcpsSystem,
    /// The files that these patterns of the shell stand for, one after the other.
    Files(&'static [&'static str]),
    /// `apply_sysctl` of Enterprise Linux 5 and 6: `/etc/sysctl.conf`, then what is
    /// in the directory but backups.
    ApplySysctl {
        /// Whether it reads `/etc/sysctl.d`, too.
        reads_directory: bool,
    },
    /// Alpine (aports `main/openrc/sysctl.initd`).
    Alpine,
    /// Void before it used `sysctl --system`: as that, but `/run` masks `/etc`.
    RunFirst,
    /// Directories in this order, their files in none (`find`).
    Unsorted(&'static [&'static str]),
    /// None: the service that applies them is not started.
    Nothing,
    /// Not known.
    Unknown,
}

const CONF: &[&str] = &["/etc/sysctl.conf"];
const CONF_FIRST: &[&str] = &["/etc/sysctl.conf", "/etc/sysctl.d/*.conf"];
const CONF_LAST: &[&str] = &["/etc/sysctl.d/*.conf", "/etc/sysctl.conf"];
const BUILDROOT: &[&str] = &[
    "/etc/sysctl.d/*.conf",
    "/usr/local/lib/sysctl.d/*.conf",
    "/usr/lib/sysctl.d/*.conf",
    "/lib/sysctl.d/*.conf",
    "/etc/sysctl.conf",
];

/// What a line of a script must have in it, and which order that is.
const FORMS: [(&str, Order); 6] = [
    ("/run/vsysctl.d", Order::RunFirst),
    (
        "SYSCTL_SOURCES=\"/etc/sysctl.d/ /usr/local/lib/sysctl.d/ /usr/lib/sysctl.d/ \
         /lib/sysctl.d/ /etc/sysctl.conf\"",
        Order::Unsorted(BUILDROOT),
    ),
    ("due to /run/sysctl.d/", Order::Alpine),
    (
        "/etc/sysctl.d/*.conf /etc/sysctl.conf",
        Order::Files(CONF_LAST),
    ),
    (
        "/etc/sysctl.conf /etc/sysctl.d/*.conf",
        Order::Files(CONF_FIRST),
    ),
    ("sysctl.d", Order::Unknown),
];

impl Order {
    /// Whether a file of `/etc/sysctl.d` is applied.
    pub fn reads_directory(self) -> bool {
        match self {
            Self::Files(patterns) | Self::Unsorted(patterns) => {
                patterns.contains(&"/etc/sysctl.d/*.conf")
            }
            Self::ApplySysctl { reads_directory } => reads_directory,
            Self::Systemd | Self::ProcpsSystem | Self::Alpine | Self::RunFirst => true,
            Self::Nothing | Self::Unknown => false,
        }
    }

    /// Whether `/etc/sysctl.conf` is applied last but for `/run`.
    pub fn ends_with_conf(self) -> bool {
        match self {
            Self::Files(patterns) | Self::Unsorted(patterns) => {
                patterns.last() == Some(&"/etc/sysctl.conf")
            }
            Self::ApplySysctl { reads_directory } => !reads_directory,
            Self::ProcpsSystem | Self::Alpine | Self::RunFirst => true,
            Self::Systemd | Self::Nothing | Self::Unknown => false,
        }
    }
}

impl Applier {
    pub(crate) fn read(
        reader: &Reader<'_>,
        init: &Init,
        distribution: &Distribution,
        services: &Services,
    ) -> Self {
        let how = How::of(init, services);
        let job = *init == Init::Upstart && reader.exists("/etc/init/procps.conf");
        let stopped = how
            .service
            .is_some_and(|service| !services.enabled.is_empty() && !services.starts(service));
        let stopped = stopped || job && !services.starts("procps");
        let order = if stopped {
            Order::Nothing
        } else if comes_before_modules(init, how.service, services) {
            Order::Unknown
        } else {
            let script = script(reader, how.scripts);
            script.map_or_else(
                || usual(init, distribution),
                |script| of_script(&script, init),
            )
        };
        // With busybox, OpenRC's own script looks at nothing without this file.
        let needs_conf =
            *init == Init::OpenRc { busybox: true } && order == Order::Files(CONF_FIRST);
        let order = if needs_conf && !reader.exists("/etc/sysctl.conf") {
            Order::Nothing
        } else {
            order
        };
        Self {
            program: how.program,
            order,
        }
    }

    /// Whether it is known what is applied.
    pub fn is_known(&self) -> bool {
        self.order != Order::Unknown
    }
}

/// How an init applies files.
struct How {
    program: &'static str,
    /// The script that does it; the first that is there counts.
    scripts: &'static [&'static str],
    /// The service that has to be started for it.
    service: Option<&'static str>,
}

impl How {
    fn of(init: &Init, services: &Services) -> Self {
        let (program, scripts, service): (_, &[&str], _) = match init {
            Init::Systemd { .. } => ("systemd-sysctl", &[], None),
            Init::RcSysinit { .. } => ("apply_sysctl", &[], None),
            Init::DebianSysV => ("/etc/init.d/procps", &["/etc/init.d/procps"], None),
            // OpenRC on Debian starts the scripts of System V.
            Init::OpenRc { .. } if services.starts("procps") => (
                "the service procps",
                &["/etc/init.d/procps"],
                Some("procps"),
            ),
            Init::OpenRc { .. } => (
                "the service sysctl",
                &["/etc/init.d/sysctl"],
                Some("sysctl"),
            ),
            Init::Runit => (
                "08-sysctl.sh",
                &[
                    "/etc/runit/core-services/08-sysctl.sh",
                    "/etc/rc/sv.d/sysctl",
                    "/usr/lib/rc/sv.d/sysctl",
                ],
                None,
            ),
            Init::Upstart => ("the job procps", &["/etc/init/procps.conf"], None),
            Init::Procd => (
                "/etc/init.d/sysctl",
                &["/etc/init.d/sysctl"],
                Some("sysctl"),
            ),
            Init::BusyboxInit => ("/etc/init.d/S02sysctl", &["/etc/init.d/S02sysctl"], None),
            Init::S6 => (
                "the service sysctl",
                &["/etc/s6/sv/sysctl/up", "/etc/s6-rc/source/sysctl/up"],
                None,
            ),
            Init::Slackware => ("rc.S", &["/etc/rc.d/rc.sysctl", "/etc/rc.d/rc.S"], None),
            Init::SuseBoot => (
                "boot.sysctl",
                &["/etc/init.d/boot.sysctl"],
                Some("boot.sysctl"),
            ),
            Init::Synology | Init::Qnap | Init::Unknown => ("nothing that is known", &[], None),
        };
        Self {
            program,
            scripts,
            service,
        }
    }
}

/// Whether `OpenRC` applies files in a runlevel before the one that loads modules: what
/// is loaded by then is not known.
fn comes_before_modules(init: &Init, service: Option<&str>, services: &Services) -> bool {
    let modules = services.module_lists().map(|service| service.order);
    let applier = service.and_then(|name| services.get(name));
    let applier = applier.map(|service| service.order);
    matches!(init, Init::OpenRc { .. })
        && modules.is_some_and(|modules| applier.is_some_and(|applier| applier < modules))
}

/// The script, if a copy has more of it than its name.
fn script(reader: &Reader<'_>, scripts: &[&str]) -> Option<TextFile> {
    let mut found = scripts.iter().filter_map(|path| reader.text(path));
    found.find(|text| !text.text.trim().is_empty())
}

/// Which files a script applies.
fn of_script(script: &TextFile, init: &Init) -> Order {
    let code = || {
        let lines = script.lines().map(|(_, line)| line.trim());
        lines.filter(|line| !line.starts_with('#') && !line.starts_with("description"))
    };
    let has = |text: &str| code().any(|line| line.contains(text));
    // OpenRC's own has a way for busybox beside the one for procps.
    if has("BSD_sysctl") {
        return if init.uses_busybox() {
            Order::Files(CONF_FIRST)
        } else {
            Order::ProcpsSystem
        };
    }
    if has("sysctl") && has("--system") {
        return Order::ProcpsSystem;
    }
    if let Some((_, order)) = FORMS.iter().find(|(text, _)| has(text)) {
        return *order;
    }
    let alone = |line: &str| {
        let words = || line.split_ascii_whitespace();
        let sysctl = |word: &str| word == "sysctl" || word.ends_with("/sysctl");
        words().any(sysctl)
            && words().any(|word| word == "-p")
            && (words().any(|word| word == "/etc/sysctl.conf") || !line.contains('$'))
    };
    if code().any(alone) {
        Order::Files(CONF)
    } else {
        Order::Unknown
    }
}

/// Which files are applied where the script is not in the tree.
fn usual(init: &Init, distribution: &Distribution) -> Order {
    let family = distribution.family;
    match init {
        Init::Systemd { .. } => Order::Systemd,
        Init::RcSysinit { reads_directory } => Order::ApplySysctl {
            reads_directory: *reads_directory,
        },
        Init::OpenRc { busybox: true } if family == Family::Alpine => Order::Alpine,
        Init::OpenRc { busybox: true } => Order::Files(CONF_FIRST),
        Init::DebianSysV | Init::OpenRc { busybox: false } | Init::Runit => Order::ProcpsSystem,
        Init::Upstart | Init::Procd => Order::Files(CONF_LAST),
        Init::SuseBoot => Order::Files(CONF),
        Init::Slackware if distribution.version.0 >= 15 => Order::ProcpsSystem,
        Init::Slackware
        | Init::BusyboxInit
        | Init::S6
        | Init::Synology
        | Init::Qnap
        | Init::Unknown => Order::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, init: &Init) -> Order {
        let script = TextFile {
            file: "/etc/init.d/sysctl".into(),
            text: text.to_owned(),
            executable: true,
        };
        of_script(&script, init)
    }

    #[test]
    fn the_script_of_the_host_decides() {
        let loop_over = |files: &str| {
            format!("start() {{\n\tfor f in {files}; do\n\t\tsysctl -e -p \"$f\"\n\tdone\n}}\n")
        };
        let last = loop_over("/etc/sysctl.d/*.conf /etc/sysctl.conf");
        assert_eq!(of(&last, &Init::Procd), Order::Files(CONF_LAST));
        let first = loop_over("/etc/sysctl.conf /etc/sysctl.d/*.conf");
        assert_eq!(of(&first, &Init::Procd), Order::Files(CONF_FIRST));
        assert_eq!(
            of(
                "[ -f /etc/sysctl.conf ] && sysctl -p -e >&-\n",
                &Init::Procd
            ),
            Order::Files(CONF)
        );
        assert_eq!(
            of("/sbin/sysctl -e -q -p /etc/sysctl.conf\n", &Init::SuseBoot),
            Order::Files(CONF)
        );
        assert_eq!(
            of(
                "# reads sysctl.d\n/sbin/sysctl -e --system\n",
                &Init::Slackware
            ),
            Order::ProcpsSystem
        );
        let both = "BSD_sysctl() {\n:\n}\nsysctl -q --system\n";
        assert_eq!(
            of(both, &Init::OpenRc { busybox: true }),
            Order::Files(CONF_FIRST)
        );
        assert_eq!(
            of(both, &Init::OpenRc { busybox: false }),
            Order::ProcpsSystem
        );
    }

    #[test]
    fn another_script_is_not_known() {
        for text in [
            "for f in $(list /etc/sysctl.d); do sysctl -p $f; done\n",
            "sysctl -p \"$FILE\"\n",
            "exec /usr/bin/settings\n",
        ] {
            assert_eq!(of(text, &Init::Procd), Order::Unknown, "{text}");
        }
    }
}
