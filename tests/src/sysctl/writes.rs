//! What a program says that it writes to the limit.

use super::program::Kind;

/// The limit under its two names.
pub(super) const NAMES: [&str; 2] = ["net/netfilter/nf_conntrack_max", "net/nf_conntrack_max"];

/// A text that was written to the limit.
pub type Written = String;

/// The texts that a program writes to the limit, in the order in which it does.
pub(super) fn of(kind: Kind, said: &[u8]) -> Vec<Written> {
    let said = String::from_utf8_lossy(said);
    let lines = said.split('\n');
    let writes = lines.filter_map(|line| match kind {
        Kind::Systemd => {
            let (name, text) = line.strip_prefix("Setting '")?.split_once("' to '")?;
            let text = text.strip_suffix('.').unwrap_or(text);
            Some((name.to_owned(), text.strip_suffix('\'')?))
        }
        Kind::Procps | Kind::Busybox => {
            let (name, text) = line.split_once(" = ")?;
            Some((swapped(name), text))
        }
    });
    writes
        .filter(|(name, _)| NAMES.contains(&in_sys(name).as_str()))
        .map(|(_, text)| text.to_owned())
        .collect()
}

/// A name that is said with dots, as a path.
fn swapped(name: &str) -> String {
    let swap = |letter| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    name.chars().map(swap).collect()
}

/// A path below `/proc/sys`, without what the kernel passes over.
fn in_sys(path: &str) -> String {
    let path = path.strip_prefix("/proc/sys/").unwrap_or(path);
    let parts = path.split('/');
    let parts = parts.filter(|part| !part.is_empty() && *part != ".");
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_says_it_in_its_way() {
        let procps = b"net.core.somaxconn = 5\nnet.nf_conntrack_max = 7 = 8\n";
        assert_eq!(of(Kind::Procps, procps), ["7 = 8"]);
        let old = b"Parsing /etc/sysctl.d/a.conf\nSetting 'net/nf_conntrack_max' to '7'.\n";
        assert_eq!(of(Kind::Systemd, old), ["7"]);
        let new = b"Setting '/proc/sys/net/netfilter/nf_conntrack_max' to '7'\n";
        assert_eq!(of(Kind::Systemd, new), ["7"]);
    }
}
