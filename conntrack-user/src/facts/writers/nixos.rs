//! NixOS: the files in `/etc` are built from a description. What is built decides; a
//! description that says something else will, once it is built.

use crate::facts::{
    distribution::Family,
    reader::{Reader, Source, TextFile},
    sysctl::{Key, Variable, line::number},
    writers::{
        acts::mentions,
        writer::{Act, Does, Sets, Timing, Writer},
    },
};

/// Where descriptions are.
const DIRECTORY: &str = "/etc/nixos";

pub(super) fn read(reader: &Reader<'_>, family: Family) -> Option<Writer> {
    if family != Family::NixOs {
        return None;
    }
    let names = reader.names(DIRECTORY).into_iter();
    let files = names
        .filter(|name| name.strip_suffix(".nix").is_some())
        .filter_map(|name| reader.file(&format!("{DIRECTORY}/{name}")));
    let acts: Vec<Act> = files.flat_map(|file| settings(&file)).collect();
    let evidence: Vec<Source> = acts.iter().map(|act| act.source.clone()).collect();
    let sets = Sets::of(acts, Timing::AtStart)?;
    Some(Writer {
        name: "NixOS",
        active: true,
        behaviour: "sets the limit once this description is built, in place of what is built now"
            .to_owned(),
        knob: format!(
            "set boot.kernel.sysctl.\"net.netfilter.nf_conntrack_max\" in {} and run nixos-rebuild \
             switch",
            sets.source.file.display()
        ),
        evidence,
        sets: Some(sets),
    })
}

/// The lines that describe the limit. Whether they are built is not known.
fn settings(file: &TextFile) -> Vec<Act> {
    let mut in_comment = false;
    let mut acts = Vec::new();
    for (line_number, line) in file.lines() {
        let code = code(line, &mut in_comment);
        if let Some((variable, name, value)) = setting(&code) {
            acts.push(Act {
                does: Does::Sets {
                    variable,
                    name: Some(name),
                    value,
                },
                certain: false,
                source: file.source(line_number, line),
            });
        }
    }
    acts
}

/// A line without comments.
fn code(line: &str, in_comment: &mut bool) -> String {
    let mut code = String::new();
    let mut rest = line;
    loop {
        if *in_comment {
            let Some((_, after)) = rest.split_once("*/") else {
                return code;
            };
            *in_comment = false;
            rest = after;
        }
        let end = [rest.find("/*"), rest.find('#')]
            .into_iter()
            .flatten()
            .min();
        let Some(at) = end else {
            return code + rest;
        };
        code.push_str(&rest[..at]);
        if rest[at..].starts_with('#') {
            return code;
        }
        *in_comment = true;
        rest = &rest[at + 2..];
    }
}

/// The variable, its name, and the value: none if only Nix could tell.
fn setting(code: &str) -> Option<(Variable, String, Option<u64>)> {
    let mut quoted = code.split('"').skip(1).step_by(2);
    let key = quoted.find(|text| mentions(text))?;
    let (_, after) = code.split_once(&format!("\"{key}\""))?;
    let key = Key::parse(key);
    let variable = key.variable()?;
    let value = after.trim_start().strip_prefix('=')?.split(';').next()?;
    let forced = ["lib.mkForce", "mkForce", "lib.mkDefault", "mkDefault"];
    let value = value.trim();
    let value = forced
        .iter()
        .find_map(|word| value.strip_prefix(word))
        .unwrap_or(value);
    let value = value.trim().trim_matches('"');
    let is_plain = value.bytes().all(|letter| letter.is_ascii_digit());
    Some((variable, key.path, number(value).filter(|_| is_plain)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_description() {
        let of = |line: &str| {
            let code = code(line, &mut false);
            setting(&code).map(|(variable, _, value)| (variable, value))
        };
        let max = |value| Some((Variable::Max, value));
        let key = "\"net.netfilter.nf_conntrack_max\"";
        for (line, expected) in [
            (
                format!("boot.kernel.sysctl.{key} = 655360;"),
                max(Some(655_360)),
            ),
            (format!("{key} = 655360; # more"), max(Some(655_360))),
            (format!("  {{ {key} = \"655360\"; }}"), max(Some(655_360))),
            (format!("{key} = lib.mkForce 655360;"), max(Some(655_360))),
            (format!("{key} = 5 * 131072;"), max(None)),
            (format!("# {key} = 655360;"), None),
            (format!("/* {key} = 655360; */"), None),
            ("\"net.ipv4.ip_forward\" = 1;".to_owned(), None),
        ] {
            assert_eq!(of(&line), expected, "{line}");
        }
    }
}
