//! All that is in /etc, for a comparison.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::vm::DiskGuest;

/// What is in /etc: of each path its type, mode, owner and extended attributes (with
/// lists of access and labels), and of a file the time of its last change and a
/// digest, too. The time of a directory is left out, which changes with what is in
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Etc(BTreeMap<String, String>);

impl Etc {
    /// Takes it down.
    pub(super) fn of(host: &mut DiskGuest) -> Result<Self> {
        let list = host.succeed(["sh", "-ec", LIST])?;
        let paths = list.lines().filter_map(|line| line.split_once('\t'));
        let mut all = BTreeMap::new();
        for (path, what) in paths {
            let what = what.replace('\t', " ");
            all.entry(path.to_owned())
                .and_modify(|known: &mut String| *known = format!("{known} {what}"))
                .or_insert(what);
        }
        ensure!(all.len() > 100, "this is no /etc: {list}");
        Ok(Self(all))
    }

    /// The same without times.
    pub(super) fn contents(&self) -> Self {
        let without = |(path, what): (&String, &String)| {
            // Seconds, with a fraction: no other word is such a number.
            let is_time = |word: &str| word.contains('.') && word.parse::<f64>().is_ok();
            let words = what.split(' ').filter(|word| !is_time(word));
            (path.clone(), words.collect::<Vec<_>>().join(" "))
        };
        Self(self.0.iter().map(without).collect())
    }

    /// The paths that are not alike.
    pub(super) fn differing<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let both = self.0.keys().chain(other.0.keys());
        let mut paths: Vec<&str> = both
            .filter(|path| self.0.get(*path) != other.0.get(*path))
            .map(String::as_str)
            .collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// Demands that it is the same by now.
    pub(super) fn demand_same(&self, host: &mut DiskGuest) -> Result<()> {
        let now = Self::of(host)?;
        let lines = self.differing(&now).into_iter().map(|path| {
            let [then, now] = [self, &now].map(|etc| etc.0.get(path));
            format!("{path}: {then:?}, now {now:?}")
        });
        let differing: Vec<_> = lines.collect();
        ensure!(differing.is_empty(), "{}", differing.join("; "));
        Ok(())
    }
}

/// Prints a path and what it is on each line, separated by tabs.
const LIST: &str = r#"
find /etc -type d -printf '%p\t%y %m %U %G\n'
find /etc ! -type d -printf '%p\t%y %m %U %G %T@ %l\n'
getfattr -Rhd -e hex -m - --absolute-names /etc |
    awk '/^# file: / { path = substr($0, 9); next } /=/ { print path "\t" $0 }'
find /etc -type f -exec sha256sum {} + | sed 's/^\([0-9a-f]*\)  \(.*\)$/\2\t\1/'
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_new_or_not_the_same_differs() {
        let etc = |pairs: &[(&str, &str)]| {
            let owned = |(path, what): &(&str, &str)| ((*path).to_owned(), (*what).to_owned());
            Etc(pairs.iter().map(owned).collect())
        };
        let before = etc(&[("/etc/a", "f 644"), ("/etc/b", "f 644"), ("/etc/c", "d")]);
        let after = etc(&[("/etc/a", "f 600"), ("/etc/c", "d"), ("/etc/d", "f 644")]);
        assert_eq!(before.differing(&after), ["/etc/a", "/etc/b", "/etc/d"]);
        assert!(before.differing(&before).is_empty());
        let times =
            ["l 777 0 0 17.25 ../c", "l 777 0 0 18.5 ../c"].map(|what| etc(&[("/etc/a", what)]));
        assert_ne!(times[0], times[1]);
        assert_eq!(times[0].contents(), times[1].contents());
        assert_eq!(times[0].contents(), etc(&[("/etc/a", "l 777 0 0 ../c")]));
    }
}
