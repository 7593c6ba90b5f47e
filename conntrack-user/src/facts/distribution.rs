//! Which distribution a tree is of.

use std::fmt;

use serde::Serialize;

use crate::facts::reader::Reader;

/// A family of distributions that do things alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Red Hat Enterprise Linux and its rebuilds.
    EnterpriseLinux,
    /// Fedora.
    Fedora,
    /// Amazon Linux.
    Amazon,
    /// Debian, and those made from it but Ubuntu.
    Debian,
    /// Ubuntu.
    Ubuntu,
    /// Arch Linux.
    Arch,
    /// SUSE.
    Suse,
    /// `NixOS`, whose files are made from a description.
    NixOs,
    /// Alpine Linux.
    Alpine,
    /// Gentoo.
    Gentoo,
    /// Void Linux.
    Void,
    /// Slackware.
    Slackware,
    /// `OpenWrt`.
    OpenWrt,
    /// A system made with Buildroot.
    Buildroot,
    /// Another one, or not known.
    Other,
}

/// A distribution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Distribution {
    /// Family.
    pub family: Family,
    /// Major and minor version of the family; 0 if not known.
    pub version: (u32, u32),
    /// What it calls itself.
    pub name: String,
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Distribution {
    pub(super) fn read(reader: &Reader<'_>) -> Self {
        let text = |path| reader.text(path).map(|found| found.text);
        let release = text("/etc/os-release").or_else(|| text("/usr/lib/os-release"));
        if let Some(release) = release {
            return Self::of_os_release(&release);
        }
        let file = ["/etc/redhat-release", "/etc/centos-release"];
        if let Some(line) = file.into_iter().find_map(text) {
            return Self::of_redhat_release(&line);
        }
        if let Some(line) = text("/etc/slackware-version") {
            return Self::of_line(Family::Slackware, &line);
        }
        if let Some(text) = text("/etc/SuSE-release") {
            return Self::of_line(Family::Suse, text.lines().next().unwrap_or_default());
        }
        if let Some(text) = text("/etc/openwrt_release") {
            return Self::of_openwrt_release(&text);
        }
        match text("/etc/debian_version") {
            Some(version) => Self {
                family: Family::Debian,
                version: numbers(&version),
                name: format!("Debian {}", version.trim()),
            },
            None => Self {
                family: Family::Other,
                version: (0, 0),
                name: "unknown distribution".to_owned(),
            },
        }
    }

    /// Reads os-release(5).
    fn of_os_release(text: &str) -> Self {
        let field = |name: &str| assigned(text, name);
        let id = field("ID").unwrap_or_default();
        let like = field("ID_LIKE").unwrap_or_default();
        let like = |family: &str| id == family || like.split(' ').any(|word| word == family);
        let family = match id {
            "fedora" => Family::Fedora,
            "amzn" => Family::Amazon,
            "nixos" => Family::NixOs,
            "ubuntu" => Family::Ubuntu,
            "alpine" => Family::Alpine,
            "gentoo" => Family::Gentoo,
            "void" => Family::Void,
            "slackware" => Family::Slackware,
            "openwrt" | "lede" => Family::OpenWrt,
            "buildroot" => Family::Buildroot,
            _ if like("rhel") || like("centos") => Family::EnterpriseLinux,
            _ if like("ubuntu") => Family::Ubuntu,
            _ if like("debian") => Family::Debian,
            _ if like("arch") => Family::Arch,
            _ if like("suse") => Family::Suse,
            _ => Family::Other,
        };
        Self {
            family,
            version: field("VERSION_ID").map(numbers).unwrap_or_default(),
            name: field("PRETTY_NAME")
                .or_else(|| field("NAME"))
                .map_or("unknown distribution", str::trim)
                .to_owned(),
        }
    }

    /// Reads a line such as `CentOS release 5.11 (Final)`.
    fn of_redhat_release(line: &str) -> Self {
        let family = if line.starts_with("Fedora") {
            Family::Fedora
        } else {
            Family::EnterpriseLinux
        };
        Self::of_line(family, line)
    }

    /// Reads a line with a name and a version, such as `Slackware 14.2`.
    fn of_line(family: Family, line: &str) -> Self {
        let version = line
            .split_ascii_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        Self {
            family,
            version: version.map(numbers).unwrap_or_default(),
            name: line.trim().to_owned(),
        }
    }

    /// Reads `/etc/openwrt_release`, which older versions have instead of
    /// os-release.
    fn of_openwrt_release(text: &str) -> Self {
        Self {
            family: Family::OpenWrt,
            version: assigned(text, "DISTRIB_RELEASE")
                .map(numbers)
                .unwrap_or_default(),
            name: assigned(text, "DISTRIB_DESCRIPTION")
                .unwrap_or("OpenWrt")
                .to_owned(),
        }
    }

    /// Release of the kernel that such a distribution has if no file tells.
    pub fn usual_kernel(&self) -> Option<&'static str> {
        let (major, minor) = self.version;
        Some(match (self.family, major) {
            (Family::EnterpriseLinux, 5) => "2.6.18",
            (Family::EnterpriseLinux, 6) => "2.6.32",
            (Family::EnterpriseLinux, 7) => "3.10.0-1160.el7",
            (Family::EnterpriseLinux, 8) => "4.18.0",
            (Family::EnterpriseLinux, 9) => "5.14.0",
            (Family::EnterpriseLinux, 10) => "6.12.0",
            (Family::Debian, 10) => "4.19",
            (Family::Debian, 11) => "5.10",
            (Family::Debian, 12) => "6.1",
            (Family::Debian, 13) => "6.12",
            (Family::Ubuntu, 12) => "3.2",
            (Family::Ubuntu, 14) => "3.13",
            (Family::Ubuntu, 16) => "4.4",
            (Family::Ubuntu, 18) => "4.15",
            (Family::Ubuntu, 20) => "5.4",
            (Family::Ubuntu, 22) => "5.15",
            (Family::Ubuntu, 24) if minor == 4 => "6.8",
            _ => return None,
        })
    }

    /// Whether this is that major version of Enterprise Linux.
    pub fn is_el(&self, major: u32) -> bool {
        self.family == Family::EnterpriseLinux && self.version.0 == major
    }
}

/// What a line `NAME=value` assigns last, without quotes.
fn assigned<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().rev().find_map(|line| {
        let value = line.trim().strip_prefix(name)?.strip_prefix('=')?;
        Some(value.trim_matches(['"', '\'']))
    })
}

fn numbers(text: &str) -> (u32, u32) {
    let mut parts = text.trim().split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_is_told() {
        let of = |text: &str| {
            let found = Distribution::of_os_release(text);
            (found.family, found.version)
        };
        assert_eq!(
            of(
                "NAME=\"Rocky Linux\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\n"
            ),
            (Family::EnterpriseLinux, (9, 4))
        );
        assert_eq!(
            of("ID=debian\nVERSION_ID=\"12\"\n"),
            (Family::Debian, (12, 0))
        );
        assert_eq!(
            of("ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\n"),
            (Family::Ubuntu, (24, 4))
        );
        assert_eq!(of("ID=arch\n"), (Family::Arch, (0, 0)));
        assert_eq!(of(""), (Family::Other, (0, 0)));
        let arch = Distribution::of_os_release("ID=arch\nPRETTY_NAME=\"Arch Linux \"\n");
        assert_eq!(arch.to_string(), "Arch Linux");
    }

    #[test]
    fn old_releases_are_a_line() {
        let old = Distribution::of_redhat_release("CentOS release 5.11 (Final)\n");
        assert!(old.is_el(5));
        assert_eq!(old.version, (5, 11));
        assert_eq!(old.usual_kernel(), Some("2.6.18"));
        assert_eq!(old.to_string(), "CentOS release 5.11 (Final)");
    }
}
