//! Names of sysctl settings, of which one variable can have several.

use serde::Serialize;

use crate::facts::sysctl::dialect::Dialect;

/// What conntrack's names stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Variable {
    /// The limit.
    Max,
    /// The buckets.
    Buckets,
}

impl Variable {
    /// Its names, as paths below `/proc/sys`.
    pub(crate) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Max => &MAX,
            Self::Buckets => &BUCKETS,
        }
    }
}

/// The names of the limit, as paths below `/proc/sys`: one variable.
const MAX: [&str; 4] = [
    "net/netfilter/nf_conntrack_max",
    "net/nf_conntrack_max",
    "net/ipv4/netfilter/ip_conntrack_max",
    "net/ipv4/ip_conntrack_max",
];

/// The names of the number of buckets.
const BUCKETS: [&str; 2] = [
    "net/netfilter/nf_conntrack_buckets",
    "net/ipv4/netfilter/ip_conntrack_buckets",
];

/// The most bytes of a name of a file: `NAME_MAX`.
const LONGEST_PART: usize = 255;

/// The most bytes of a path below `/proc/sys` by `PATH_MAX`.
const LONGEST_PATH: usize = 4096 - 1 - "/proc/sys/".len();

/// The names of the number of entries, which can only be read.
const ENTRIES: [&str; 2] = [
    "net/netfilter/nf_conntrack_count",
    "net/ipv4/netfilter/ip_conntrack_count",
];

/// Whether a text speaks of the limit or the buckets.
pub(super) fn mentions(text: &str) -> bool {
    text.contains("conntrack_max") || text.contains("conntrack_buckets")
}

/// The name of a setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// As a path below `/proc/sys`.
    pub path: String,
    /// Whether there is more between its parts than one separator, which the kernel
    /// passes over; procps 4 compares names as they are written.
    pub doubled: bool,
}

impl Key {
    /// Reads a name in either form: the first separator decides which one it
    /// is, `net.ipv4.conf.eth0/1.x` or `net/ipv4/conf/eth0.1/x`.
    ///
    /// procps `lib/sysctl: slashdot`, systemd `sysctl_normalize`.
    pub fn parse(text: &str) -> Self {
        let dotted = text
            .find(['.', '/'])
            .is_some_and(|at| text[at..].starts_with('.'));
        let mut path = String::with_capacity(text.len());
        let mut doubled = false;
        for letter in text.chars() {
            let letter = match letter {
                '.' if dotted => '/',
                '/' if dotted => '.',
                other => other,
            };
            if letter != '/' || !(path.is_empty() || path.ends_with('/')) {
                path.push(letter);
            } else {
                doubled = true;
            }
        }
        Self { path, doubled }
    }

    /// Reads a name as a program does. `None`: it may be one of conntrack's, and
    /// that cannot be told.
    pub(super) fn read(text: &str, dialect: Dialect) -> Option<Self> {
        let mut key = Self::parse(text);
        if dialect == Dialect::Busybox {
            // It tries which separators lead to a file, and other versions try others.
            let mixed = text.contains('.') && text.contains('/');
            let odd = mixed || text.split(['.', '/']).any(str::is_empty);
            return (!odd || !mentions(text)).then_some(key);
        }
        let has_part = |wanted| key.path.split('/').any(|part| part == wanted);
        key.doubled = !matches!(dialect, Dialect::Systemd(_)) && (key.doubled || has_part("."));
        let odd_pattern = dialect.knows_patterns()
            && key.is_pattern()
            && (key.doubled || key.path.split('/').any(is_odd));
        let upwards = key.path.split('/').any(|part| part == "..");
        if (upwards || odd_pattern) && key.may_be_ours()
            || matches!(dialect, Dialect::Systemd(_)) && key.is_too_long()
        {
            return None;
        }
        // The kernel takes no file for a directory; systemd passes over the slash.
        let as_directory = key.path.ends_with('/') || key.path.ends_with("/.");
        let parts = key.path.split('/');
        let parts = parts.filter(|part| !part.is_empty() && *part != ".");
        key.path = parts.collect::<Vec<_>>().join("/");
        let names_nothing = key.path.is_empty() || matches!(dialect, Dialect::Systemd(_));
        if as_directory && !names_nothing {
            key.path.push('/');
        }
        Some(key)
    }

    /// Whether it is a pattern of a name that is too long for a file: systemd-sysctl
    /// 252 and 257 abort at it, and what follows is not applied.
    pub fn is_too_long(&self) -> bool {
        let too_long = self.path.len() > LONGEST_PATH;
        let mut parts = self.path.split('/');
        self.is_pattern() && (too_long || parts.any(|part| part.len() > LONGEST_PART))
    }

    /// Whether its last part may stand for the last part of one of the names.
    fn may_be_ours(&self) -> bool {
        let last = self.path.rsplit('/').next().unwrap_or_default();
        MAX.iter().chain(&BUCKETS).any(|name| {
            let name = name.rsplit('/').next().unwrap_or_default();
            is_odd(last) || matches(last.as_bytes(), name.as_bytes())
        })
    }

    /// Whether it is the number of entries, which can only be read.
    pub fn is_entries(&self) -> bool {
        ENTRIES.contains(&self.path.as_str())
    }

    /// Whether it stands for all names that match it, where such are known.
    pub fn is_pattern(&self) -> bool {
        self.path.contains(['*', '?', '['])
    }

    /// What it stands for; none for a setting that is not of interest, and for
    /// a pattern.
    pub fn variable(&self) -> Option<Variable> {
        let is = |names: &[&str]| names.contains(&self.path.as_str());
        if is(&MAX) {
            Some(Variable::Max)
        } else if is(&BUCKETS) {
            Some(Variable::Buckets)
        } else {
            None
        }
    }

    /// Names of a variable that a pattern matches.
    pub fn matches(&self, variable: Variable) -> impl Iterator<Item = &'static str> {
        let names = if self.is_pattern() {
            variable.names()
        } else {
            &[]
        };
        names
            .iter()
            .copied()
            .filter(|name| matches(self.path.as_bytes(), name.as_bytes()))
    }
}

/// Whether a part of a pattern has braces, escapes or classes.
fn is_odd(part: &str) -> bool {
    part.contains(['{', '\\']) || ["[:", "[.", "[="].iter().any(|class| part.contains(class))
}

/// Whether a name matches a pattern of `*`, `?` and `[…]`, none of which stands
/// for a slash, as in glob(7). A bracket that is not closed matches nothing.
///
/// Goes through the pattern once, with all ends that what it has seen can have in
/// the name, so that no row of stars makes it slow.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let mut ends = vec![false; name.len() + 1];
    ends[0] = true;
    let mut rest = pattern;
    while !rest.is_empty() {
        let Some((part, after)) = Part::first(rest) else {
            return false;
        };
        match part {
            Part::Any => {
                for (at, &letter) in name.iter().enumerate() {
                    ends[at + 1] |= ends[at] && letter != b'/';
                }
            }
            Part::One(one) => {
                for (at, &letter) in name.iter().enumerate().rev() {
                    ends[at + 1] = ends[at] && one.is(letter);
                }
                ends[0] = false;
            }
        }
        rest = after;
    }
    ends[name.len()]
}

/// A part of a pattern.
enum Part<'a> {
    /// `*`
    Any,
    /// Something that stands for one letter.
    One(One<'a>),
}

/// What stands for one letter.
enum One<'a> {
    /// `?`
    Any,
    /// `[…]`
    Of(&'a [u8]),
    /// Itself.
    Letter(u8),
}

impl<'a> Part<'a> {
    /// The first part of a pattern that is not empty, and what follows; none if it
    /// is a bracket that is not closed.
    fn first(pattern: &'a [u8]) -> Option<(Self, &'a [u8])> {
        Some(match pattern {
            [b'*', rest @ ..] => (Self::Any, rest),
            [b'?', rest @ ..] => (Self::One(One::Any), rest),
            [b'[', rest @ ..] => {
                // A bracket that comes first is a member.
                let end = 1 + rest.iter().skip(1).position(|&b| b == b']')?;
                (Self::One(One::Of(&rest[..end])), &rest[end + 1..])
            }
            [b'\\', letter, rest @ ..] | [letter, rest @ ..] => {
                (Self::One(One::Letter(*letter)), rest)
            }
            [] => return None,
        })
    }
}

impl One<'_> {
    fn is(&self, letter: u8) -> bool {
        match self {
            Self::Any => letter != b'/',
            Self::Of(set) => letter != b'/' && in_set(set, letter),
            Self::Letter(own) => *own == letter,
        }
    }
}

fn in_set(set: &[u8], letter: u8) -> bool {
    let (set, negated) = match set {
        [b'!' | b'^', rest @ ..] => (rest, true),
        set => (set, false),
    };
    let mut rest = set;
    let mut found = false;
    while let Some((&first, after)) = rest.split_first() {
        (found, rest) = if let [b'-', last, after @ ..] = after {
            (found || (first..=*last).contains(&letter), after)
        } else {
            (found || first == letter, after)
        };
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_separator_decides() {
        let path = |text| Key::parse(text).path;
        assert_eq!(path("net.netfilter.nf_conntrack_max"), MAX[0]);
        assert_eq!(path("net/netfilter/nf_conntrack_max"), MAX[0]);
        assert_eq!(path("/net//netfilter/nf_conntrack_max"), MAX[0]);
        assert_eq!(path("net.ipv4.conf.eth0/1.x"), "net/ipv4/conf/eth0.1/x");
        assert_eq!(path("net/ipv4/conf/eth0.1/x"), "net/ipv4/conf/eth0.1/x");
        assert_eq!(path(""), "");
    }

    #[test]
    fn the_directory_itself_is_no_name() {
        for dialect in [Dialect::Procps4, Dialect::Systemd(None)] {
            let key = Key::read("//./", dialect).expect("it is none of conntrack's");
            assert_eq!(key.path, "");
        }
    }

    #[test]
    fn four_names_are_one_variable() {
        for name in MAX {
            let dotted = name.replace('/', ".");
            assert_eq!(
                Key::parse(&dotted).variable(),
                Some(Variable::Max),
                "{name}"
            );
        }
        assert_eq!(
            Key::parse("net.netfilter.nf_conntrack_buckets").variable(),
            Some(Variable::Buckets)
        );
        assert_eq!(
            Key::parse("net.netfilter.nf_conntrack_maxx").variable(),
            None
        );
    }

    #[test]
    fn patterns() {
        let hits = |text| Key::parse(text).matches(Variable::Max).count();
        assert_eq!(hits("net.netfilter.*"), 1);
        assert_eq!(hits("net.*"), 1, "no star stands for a slash");
        assert_eq!(hits("net.ipv4.*.ip_conntrack_max"), 1);
        assert_eq!(hits("net.netfilter.nf_conntrack_ma[wx]"), 1);
        assert_eq!(hits("net.netfilter.nf_conntrack_ma[!a-w]"), 1);
        assert_eq!(hits("net.netfilter.nf_conntrack_ma[!x]"), 0);
        assert_eq!(hits("net.netfilter.nf_conntrack_ma[x"), 0);
        assert_eq!(hits("net.netfilter.nf_conntrack_ma?"), 1);
        assert_eq!(hits("net.netfilter.nf_conntrack_max"), 0, "no pattern");
        assert!(matches(b"*.conf", b"a.conf") && !matches(b"*.conf", b"a.conf.bak"));
        assert!(matches(b"[]]", b"]") && matches(b"\\*", b"*"));
        assert!(matches(b"a*b*", b"aabbc") && !matches(b"a*b", b"aabbc"));
        assert!(!matches(b"a", b"") && matches(b"", b"") && !matches(b"", b"a"));
    }

    #[test]
    fn a_row_of_stars_is_no_slower_than_one() {
        let pattern = "*.".repeat(2000) + "*".repeat(2000).as_str() + "x";
        let name = ".".repeat(200);
        assert!(!matches(pattern.as_bytes(), name.as_bytes()));
        assert!(matches("*".repeat(5000).as_bytes(), name.as_bytes()));
    }
}
