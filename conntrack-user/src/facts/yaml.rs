//! YAML files, and JSON, which is YAML too: every value with the names that lead to it
//! and its line.

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};

use crate::facts::reader::{Source, TextFile};

/// The longest file that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// How deep lists in brackets may be inside one another: the reader calls itself for
/// each.
const DEEPEST: usize = 64;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// The names that lead to it; of a list, the places in it.
    pub(crate) path: Vec<String>,
    /// The value as it is written, without quotes.
    pub(crate) value: String,
    /// Whether it is a whole number, not a text of digits.
    pub(crate) number: Option<i64>,
    /// Its line.
    pub(crate) source: Source,
}

/// The values of all documents in a file, in order. The line, if it is no YAML.
pub(crate) fn leaves(text: &TextFile) -> Result<Vec<Leaf>, Source> {
    let at = |line: usize| {
        let number = u32::try_from(line.max(1)).unwrap_or(u32::MAX);
        let line = text.text.lines().nth(line.max(1) - 1).unwrap_or_default();
        text.source(number, line)
    };
    let deep = |letters: [char; 2]| text.text.matches(letters).count() > DEEPEST * 16;
    if text.text.len() > LONGEST || deep(['[', '{']) {
        return Err(at(1));
    }
    let documents =
        MarkedYaml::load_from_str(&text.text).map_err(|error| at(error.marker().line()))?;
    let mut leaves = Vec::new();
    for document in &documents {
        collect(document, &mut Vec::new(), &at, &mut leaves);
    }
    Ok(leaves)
}

fn collect(
    node: &MarkedYaml<'_>,
    path: &mut Vec<String>,
    at: &dyn Fn(usize) -> Source,
    leaves: &mut Vec<Leaf>,
) {
    if path.len() > DEEPEST {
        return;
    }
    match &node.data {
        YamlData::Mapping(entries) => {
            for (key, value) in entries {
                let Some((name, _)) = scalar(key) else {
                    continue;
                };
                path.push(name);
                collect(value, path, at, leaves);
                path.pop();
            }
        }
        YamlData::Sequence(items) => {
            for (number, item) in items.iter().enumerate() {
                path.push(number.to_string());
                collect(item, path, at, leaves);
                path.pop();
            }
        }
        _ => {
            if let Some((value, number)) = scalar(node) {
                leaves.push(Leaf {
                    path: path.clone(),
                    value,
                    number,
                    source: at(node.span.start.line()),
                });
            }
        }
    }
}

/// A value as text, and as a number if it is one; none for `null`.
fn scalar(node: &MarkedYaml<'_>) -> Option<(String, Option<i64>)> {
    match &node.data {
        YamlData::Value(Scalar::Integer(number)) => Some((number.to_string(), Some(*number))),
        YamlData::Value(Scalar::Boolean(is)) => Some((is.to_string(), None)),
        YamlData::Value(Scalar::String(text)) => Some((text.to_string(), None)),
        YamlData::Value(Scalar::FloatingPoint(number)) => Some((number.to_string(), None)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<Leaf>, Source> {
        leaves(&TextFile {
            file: "/x.yaml".into(),
            text: text.to_owned(),
            executable: false,
        })
    }

    #[test]
    fn all_forms_are_one() {
        for text in [
            "a:\n  b: 5\n",
            "a: {b: 5} # c\n",
            "{\"a\": {\"b\": 5}}",
            "'a':\n    \"b\":   5\n",
            "---\na: &x\n  b: 5\n",
        ] {
            let leaves = of(text).unwrap();
            assert_eq!(leaves[0].path, ["a", "b"], "{text}");
            assert_eq!(leaves[0].number, Some(5), "{text}");
        }
        let leaves = of("# x\na:\n- b\n- '5'\nc: null\n").unwrap();
        let short: Vec<_> = leaves
            .iter()
            .map(|leaf| (leaf.path.join("."), leaf.number, leaf.source.line))
            .collect();
        assert_eq!(
            short,
            [("a.0".to_owned(), None, 3), ("a.1".to_owned(), None, 4)]
        );
    }

    #[test]
    fn what_is_none_has_a_line() {
        assert_eq!(
            of("a: 1\nb: [\n").unwrap_err().file.to_string_lossy(),
            "/x.yaml"
        );
        assert!(of(&"[".repeat(100_000)).is_err());
        assert!(of("a: {b: 1\n").is_err());
    }
}
