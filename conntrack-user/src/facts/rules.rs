//! Saved firewall rules: whether they need conntrack, so that loading them
//! loads it.

use crate::facts::reader::{Source, TextFile};

/// The first rule for `iptables-restore` that needs conntrack.
pub(super) fn needs_conntrack(rules: &TextFile) -> Option<Source> {
    rules.first(|line| {
        let line = line.trim();
        if line.starts_with('#') {
            return false;
        }
        // The table alone registers the hooks of NAT.
        line == "*nat"
            || line.contains("--ctstate")
            || line.contains("--state")
            || words(line).any(|(option, value)| {
                let (matches, targets) = (
                    [
                        "state",
                        "conntrack",
                        "connlimit",
                        "connmark",
                        "helper",
                        "connbytes",
                    ],
                    [
                        "CT",
                        "NOTRACK",
                        "MASQUERADE",
                        "SNAT",
                        "DNAT",
                        "REDIRECT",
                        "CONNMARK",
                    ],
                );
                (option == "-m" && matches.contains(&value))
                    || (option == "-j" && targets.contains(&value))
            })
    })
}

fn words(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let words = line.split_ascii_whitespace();
    words.clone().zip(words.skip(1))
}

/// The first line of an nftables ruleset that needs conntrack.
pub(super) fn nft_needs_conntrack(rules: &TextFile) -> Option<Source> {
    rules.first(|line| {
        let code = line.split('#').next().unwrap_or_default();
        let mut words = code.split(|c: char| c.is_ascii_whitespace() || c == ';' || c == '{');
        words
            .any(|word| ["ct", "masquerade", "snat", "dnat", "redirect", "notrack"].contains(&word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> TextFile {
        TextFile {
            file: "/rules".into(),
            text: text.to_owned(),
            executable: false,
        }
    }

    #[test]
    fn rules_that_track() {
        for rule in [
            "-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT",
            "-A INPUT -m conntrack --ctstate NEW -j ACCEPT",
            "*nat",
            "-A PREROUTING -j CT --notrack",
        ] {
            let found = needs_conntrack(&text(&format!("*filter\n{rule}\n")));
            assert_eq!(found.unwrap().line, 2, "{rule}");
        }
        let plain =
            "# -m state\n*filter\n:INPUT ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n";
        assert_eq!(needs_conntrack(&text(plain)), None);
    }

    #[test]
    fn nft_rules_that_track() {
        let found = nft_needs_conntrack(&text("table inet f {\n\tct state established accept\n"));
        assert_eq!(found.unwrap().line, 2);
        assert_eq!(
            nft_needs_conntrack(&text("tcp dport 22 accept # ct\n")),
            None
        );
    }
}
