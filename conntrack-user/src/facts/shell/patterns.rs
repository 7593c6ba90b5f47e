//! Patterns of file names, replaced by the names that a directory has.

use crate::facts::{
    shell::{Dialect, expand::Part, run::Shell, state::State},
    sysctl::key::matches,
};

/// Letters that make a text a pattern that is followed.
const PATTERN: [char; 3] = ['*', '?', '['];

/// Letters that make it something else.
const OTHERS: [char; 8] = ['{', '~', '\\', '^', ':', '(', ')', '|'];

impl Shell<'_> {
    /// The files that a word stands for that has a pattern in it: in the order of their
    /// names, or the word itself if there are none.
    pub(super) fn files_of(&self, state: &State, parts: &[Part]) -> Option<Vec<String>> {
        let blank = |c: char| matches!(c, ' ' | '\t' | '\n');
        let is_odd = |part: &Part| {
            if part.quoted {
                part.text.contains(PATTERN) || part.text.contains('\\')
            } else {
                part.text.contains(OTHERS) || part.expanded && part.text.contains(blank)
            }
        };
        let plain = !state.keeps_patterns && state.known("IFS").is_none();
        if !plain || state.anything.is_some() || parts.iter().any(is_odd) {
            return None;
        }
        let pattern: String = parts.iter().map(|part| part.text.as_str()).collect();
        if !pattern.starts_with('/') || pattern.ends_with('/') {
            return None;
        }
        let mut found = vec![String::new()];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            let mut next = Vec::new();
            for directory in &found {
                if !part.contains(PATTERN) {
                    next.push(format!("{directory}/{part}"));
                    continue;
                }
                let at = if directory.is_empty() { "/" } else { directory };
                let names = self.files.names(at)?;
                let hidden = |name: &String| name.starts_with('.') && !part.starts_with('.');
                let fits = names.iter().filter(|name| !hidden(name));
                let fits = fits.filter(|name| matches(part.as_bytes(), name.as_bytes()));
                next.extend(fits.map(|name| format!("{directory}/{name}")));
            }
            found = next;
        }
        if !pattern
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains(PATTERN))
        {
            // A directory of that name may lack the file.
            for path in &found {
                self.files.exists(path)?;
            }
            found.retain(|path| self.files.exists(path) == Some(true));
        }
        if found.is_empty() {
            // A tree may be without what its host has.
            return self.files.exists(&pattern).map(|_| vec![pattern]);
        }
        found.sort();
        (self.dialect == Dialect::Sh || is_sorted_anywhere(&found)).then_some(found)
    }
}

/// Whether paths are in the same order in all languages: bash goes by that of the host.
fn is_sorted_anywhere(paths: &[String]) -> bool {
    let folded = |path: &String| {
        let letters = path.chars().filter(|letter| letter.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect::<String>()
    };
    paths.is_sorted_by_key(folded)
}
