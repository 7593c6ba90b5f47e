//! Systems that make `/etc` anew at each boot, from an image or from a
//! configuration of their own: what is written to its files does not last. What
//! does last is said where the maker documents it (docs/platforms.md).

use std::path::Path;

use crate::facts::reader::{Reader, TextFile};

/// A system whose `/etc` does not last.
#[derive(Debug, PartialEq, Eq)]
pub struct Appliance {
    /// What to call it; the first column of its table in docs/platforms.md.
    pub name: &'static str,
    mark: Mark,
    /// Scripts that last and that the system runs at boot: files, or directories if
    /// the path ends with a slash.
    pub scripts: &'static [&'static str],
    /// Whether such a script need not be executable.
    pub runs_plain: bool,
    /// Where a limit lasts.
    pub keeps: Keeps,
}

/// What only this system has.
#[derive(Debug, PartialEq, Eq)]
enum Mark {
    /// One of these as `ID` in os-release.
    Id(&'static [&'static str]),
    /// One of these files.
    Files(&'static [&'static str]),
    /// A word of the kernel's command line: the whole of it, or its begin if it ends
    /// with `=`.
    CommandLine(&'static [&'static str]),
}

/// Where a limit lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// In the system's own configuration.
    Configuration {
        /// Which part of it.
        place: &'static str,
        /// What to put there: `NUMBER` is the limit, `BUCKETS` the number of buckets.
        text: &'static str,
    },
    /// In a start script, which the system runs at each boot.
    Script(&'static str),
    /// Nowhere that its maker documents.
    Nowhere,
}

const VYATTA: &str = "set system conntrack table-size NUMBER\n\
                      set system conntrack hash-size BUCKETS\n\
                      commit\n\
                      save\n";

/// All that are known; the first that a tree shows counts.
pub const ALL: [Appliance; 16] = [
    Appliance::of("Unraid", Mark::Files(&["/etc/unraid-version"]))
        .with_scripts(&["/boot/config/go"], true),
    Appliance::of("VyOS", Mark::Id(&["vyos"]))
        .with_scripts(&["/config/scripts/vyos-postconfig-bootup.script"], false)
        .keeping(
            "the configuration of VyOS, in its configuration mode",
            VYATTA,
        ),
    Appliance::of(
        "EdgeOS",
        Mark::Files(&["/etc/init.d/vyatta-router", "/opt/vyatta/etc"]),
    )
    .with_scripts(&["/config/scripts/post-config.d/"], false)
    .keeping(
        "the configuration of EdgeOS, in its configuration mode",
        VYATTA,
    ),
    Appliance::of("Bottlerocket", Mark::Id(&["bottlerocket"])).keeping(
        "the settings of Bottlerocket (user data, or apiclient)",
        "[settings.kernel.sysctl]\n\"net.netfilter.nf_conntrack_max\" = \"NUMBER\"\n",
    ),
    Appliance::of("LibreELEC", Mark::Id(&["libreelec", "coreelec"]))
        .with_scripts(&["/storage/.config/autostart.sh"], true),
    Appliance::of("Ubuntu Core", Mark::Id(&["ubuntu-core"])),
    Appliance::of("Home Assistant OS", Mark::Id(&["haos", "hassos"])),
    Appliance::of("TrueNAS", Mark::Files(&["/usr/bin/midclt"])).keeping(
        "the web interface of TrueNAS: System, Advanced Settings, Sysctl",
        "net.netfilter.nf_conntrack_max NUMBER\n",
    ),
    Appliance::of(
        "UniFi OS",
        Mark::Files(&["/usr/bin/ubnt-device-info", "/data/udapi-config"]),
    ),
    Appliance::of("Container-Optimized OS", Mark::Id(&["cos"])).keeping(
        "the user data of the instance, which cloud-init runs at each boot",
        "#cloud-config\nbootcmd:\n  - modprobe nf_conntrack\n  \
         - sysctl -w net.netfilter.nf_conntrack_max=NUMBER\n",
    ),
    Appliance::of("Guix System", Mark::Id(&["guix"])).keeping(
        "the operating system's declaration of Guix, as a setting of sysctl-service-type",
        "(\"net.netfilter.nf_conntrack_max\" . \"NUMBER\")\n",
    ),
    Appliance::of("k3OS", Mark::Id(&["k3os"])).keeping(
        "/var/lib/rancher/k3os/config.yaml",
        "k3os:\n  modules:\n  - nf_conntrack\n  sysctls:\n    \
         net.netfilter.nf_conntrack_max: \"NUMBER\"\n",
    ),
    Appliance::of("RancherOS", Mark::Id(&["rancheros"])).keeping(
        "the cloud-config of RancherOS",
        "#cloud-config\nrancher:\n  sysctl:\n    net.netfilter.nf_conntrack_max: NUMBER\n",
    ),
    Appliance::of("Tiny Core Linux", Mark::Id(&["tinycore"]))
        .with_scripts(&["/opt/bootlocal.sh"], false),
    Appliance::of("Asuswrt-Merlin", Mark::Files(&["/jffs/scripts"]))
        .with_scripts(&["/jffs/scripts/services-start"], false),
    Appliance::of(
        "a live system",
        Mark::CommandLine(&[
            "boot=live",
            "boot=casper",
            "boot=overlay",
            "rd.live.image",
            "root=live:",
            "archisobasedir=",
            "overlayroot=tmpfs",
            "overlayroot=tmpfs:",
            "systemd.volatile=yes",
            "systemd.volatile=overlay",
        ]),
    ),
];

impl Appliance {
    const fn of(name: &'static str, mark: Mark) -> Self {
        Self {
            name,
            mark,
            scripts: &[],
            runs_plain: false,
            keeps: Keeps::Nowhere,
        }
    }

    /// With scripts that last: the first one is where a limit is kept, unless the
    /// configuration has a setting for it.
    const fn with_scripts(mut self, scripts: &'static [&'static str], runs_plain: bool) -> Self {
        self.scripts = scripts;
        self.runs_plain = runs_plain;
        self.keeps = Keeps::Script(scripts[0]);
        self
    }

    const fn keeping(mut self, place: &'static str, text: &'static str) -> Self {
        self.keeps = Keeps::Configuration { place, text };
        self
    }

    pub(super) fn read(reader: &Reader<'_>) -> Option<&'static Self> {
        let release = reader
            .text("/etc/os-release")
            .or_else(|| reader.text("/usr/lib/os-release"));
        let id = release.as_ref().and_then(id);
        let command_line = reader.text("/proc/cmdline").map(|found| found.text);
        ALL.iter().find(|appliance| match appliance.mark {
            Mark::Id(ids) => id.is_some_and(|id| ids.contains(&id)),
            Mark::Files(files) => files.iter().any(|file| reader.exists(file)),
            Mark::CommandLine(words) => {
                let text = command_line.as_deref().unwrap_or_default();
                text.split_ascii_whitespace()
                    .any(|word| words.iter().any(|known| is_option(word, known)))
            }
        })
    }

    /// Whether a file lasts, and is run at boot.
    pub fn lasts(&self, file: &Path) -> bool {
        self.scripts.iter().any(|script| file.starts_with(script))
    }

    /// The file that shows a tree to be of this system, with what is in it.
    pub fn example(&self) -> (&'static str, String) {
        match self.mark {
            Mark::Id(ids) => ("etc/os-release", format!("ID={}\nNAME=Something\n", ids[0])),
            Mark::Files(files) => (files[0].trim_start_matches('/'), String::new()),
            Mark::CommandLine(words) => ("proc/cmdline", format!("quiet {} ro\n", words[0])),
        }
    }
}

/// What os-release says under `ID`.
fn id(release: &TextFile) -> Option<&str> {
    let mut lines = release.text.lines().rev();
    let value = lines.find_map(|line| line.trim().strip_prefix("ID="))?;
    Some(value.trim_matches(['"', '\'']))
}

/// Whether a word of the command line is a known one, or begins with one that ends
/// with a mark.
fn is_option(word: &str, known: &str) -> bool {
    word == known || known.ends_with(['=', ':']) && word.starts_with(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/platforms.md");

    #[test]
    fn each_is_described() {
        let table = PAGE.split("## Systems that make `/etc` anew").nth(1);
        let rows = table.unwrap_or_default().lines();
        let rows = rows.skip_while(|line| !line.starts_with("| ---")).skip(1);
        let listed: Vec<&str> = rows
            .take_while(|line| line.starts_with('|'))
            .filter_map(|row| row.split('|').nth(1))
            .map(str::trim)
            .collect();
        let names: Vec<&str> = ALL.iter().map(|appliance| appliance.name).collect();
        assert_eq!(listed, names);
    }

    #[test]
    fn words_of_the_command_line() {
        assert!(is_option("root=live:CDLABEL=x", "root=live:"));
        assert!(is_option("boot=live", "boot=live"));
        assert!(!is_option("boot=livedisk", "boot=live"));
    }
}
