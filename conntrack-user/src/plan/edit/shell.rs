//! Shell fragments such as `/etc/sysconfig/iptables-config`: a word is added to a
//! list that a variable holds.
//!
//! Only an assignment that stands by itself on a line is changed. What comes out
//! is read again, and is not used if the variable does not hold the word then.

use anyhow::{Context as _, Result, bail};

use crate::{
    facts::shell::{Fragment, Value},
    plan::edit::{MARK, lines, replace_line},
};

/// Adds a word to the list in a variable, or makes such a list.
///
/// `also` are words to be kept of an assignment that has no effect because of
/// letters that look like quotes; it is written anew.
pub fn add_word(content: &[u8], variable: &str, word: &str, also: &[String]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(content)
        .ok()
        .context("it is not UTF-8, so ctdrop cannot tell how the shell reads it")?;
    let fragment = Fragment::parse(text);
    let new = match fragment.value(variable) {
        Value::Unknown(at) => {
            bail!("line {} is not a plain assignment: {}", at.line, at.text)
        }
        Value::Text(value, last) => {
            let refuse = || {
                format!(
                    "line {} is not a plain assignment: {}",
                    last.line, last.text
                )
            };
            let held: Vec<&str> = value
                .split([' ', '\t', '\n'])
                .filter(|word| !word.is_empty())
                .collect();
            if held.contains(&word) {
                return Ok(content.to_vec());
            }
            // What is not plain ASCII is a quote that is none, most likely; a carriage
            // return is of the line's end.
            let plain = held
                .iter()
                .map(|held| held.trim_end_matches('\r'))
                .filter(|held| held.is_ascii() && *held != word);
            let words: Vec<&str> = plain
                .chain(also.iter().map(String::as_str))
                .chain([word])
                .collect();
            assign(content, last.line, variable, &words).with_context(refuse)?
        }
        Value::Unset => match fragment.lost(variable) {
            Some(lost) if !lost.text.is_ascii() => {
                let kept = also.iter().map(String::as_str).filter(|kept| *kept != word);
                let words: Vec<&str> = [word].into_iter().chain(kept).collect();
                rewrite(content, lost.line, variable, &words)
                    .with_context(|| format!("there is no line {}", lost.line))?
            }
            _ => insert(text, variable, word),
        },
    };
    check(&new, variable, word)?;
    Ok(new)
}

/// The words of an assignment in typographic quotes, which are no quotes to the shell.
pub fn words_in_typographic_quotes(text: &str, variable: &str) -> Vec<String> {
    let Some((_, value)) = text
        .split_once(variable)
        .and_then(|(_, rest)| rest.split_once('='))
    else {
        return Vec::new();
    };
    value
        .split(|letter: char| !letter.is_ascii_graphic() || letter == '"' || letter == '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether the shell, as far as it is understood, has the word in the variable.
fn check(content: &[u8], variable: &str, word: &str) -> Result<()> {
    let text = String::from_utf8_lossy(content);
    let fragment = Fragment::parse(&text);
    let value = fragment.value(variable);
    let held = value
        .text()
        .is_some_and(|list| list.split([' ', '\t', '\n']).any(|held| held == word));
    if !held {
        bail!(
            "a line for {variable} would have no effect: the shell does not reach it, or another line \
             sets {variable} afterwards"
        );
    }
    Ok(())
}

/// Changes the value of an assignment: `NAME=value`, perhaps after `export`, and
/// at most a comment after it.
fn assign(content: &[u8], line: u32, variable: &str, list: &[&str]) -> Option<Vec<u8>> {
    replace_line(content, line, |line| {
        let line = std::str::from_utf8(line).ok()?;
        let start = line.len() - line.trim_start().len();
        let name = line[start..]
            .strip_prefix("export ")
            .unwrap_or(&line[start..]);
        let value = name
            .trim_start()
            .strip_prefix(variable)?
            .strip_prefix('=')?;
        let length = match value.chars().next()? {
            quote @ ('"' | '\'') => value[1..].find(quote)? + 2,
            _ => value
                .find(|letter: char| letter.is_ascii_whitespace())
                .unwrap_or(value.len()),
        };
        let (old, rest) = value.split_at(length);
        let plain = !old.contains(['$', '`', '\\', ';', '&', '|', '(', ')', '\n']);
        let ends = rest.trim().is_empty()
            || (rest.starts_with([' ', '\t']) && rest.trim().starts_with('#'));
        if !plain || !ends || list.iter().any(|word| word.contains(['"', '$', '`', '\\'])) {
            return None;
        }
        let head = &line[..line.len() - value.len()];
        // A carriage return would be a part of the last word.
        let rest = rest.replace('\r', "");
        Some(format!("{head}\"{}\"{rest}", list.join(" ")).into_bytes())
    })
}

fn rewrite(content: &[u8], line: u32, variable: &str, list: &[&str]) -> Option<Vec<u8>> {
    replace_line(content, line, |line| {
        let end = if line.ends_with(b"\n") { "\n" } else { "" };
        Some(format!("{variable}=\"{}\"{end}", list.join(" ")).into_bytes())
    })
}

/// Adds an assignment: after the comment that shows how, if there is one, and at
/// the end otherwise.
fn insert(text: &str, variable: &str, word: &str) -> Vec<u8> {
    let assignment = format!("{variable}=\"{word}\"\n");
    let shown = format!("#{variable}=");
    let all = lines(text.as_bytes());
    let after = all
        .iter()
        .position(|line| line.starts_with(shown.as_bytes()));
    if let Some(at) = after {
        let mut new = all[..=at].concat();
        if !new.ends_with(b"\n") {
            new.push(b'\n');
        }
        new.extend_from_slice(assignment.as_bytes());
        new.extend(all[at + 1..].concat());
        if check(&new, variable, word).is_ok() {
            return new;
        }
    }
    let mut new = text.as_bytes().to_vec();
    if !new.is_empty() && !new.ends_with(b"\n") {
        new.push(b'\n');
    }
    new.extend_from_slice(format!("{MARK}\n{assignment}").as_bytes());
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "IPTABLES_SYSCTL_LOAD_LIST";

    fn add(text: &str) -> Result<String> {
        add_word(text.as_bytes(), LIST, ".nf_conntrack", &[])
            .map(|new| String::from_utf8(new).unwrap())
    }

    #[test]
    fn a_list_is_begun_after_the_comment_that_shows_it() {
        assert_eq!(
            add("# a\n#IPTABLES_SYSCTL_LOAD_LIST=\".nf_conntrack .bridge-nf\"\nX=1\n").unwrap(),
            "# a\n#IPTABLES_SYSCTL_LOAD_LIST=\".nf_conntrack .bridge-nf\"\n\
             IPTABLES_SYSCTL_LOAD_LIST=\".nf_conntrack\"\nX=1\n"
        );
        assert_eq!(
            add("X=1").unwrap(),
            format!("X=1\n{MARK}\nIPTABLES_SYSCTL_LOAD_LIST=\".nf_conntrack\"\n")
        );
    }

    #[test]
    fn a_list_is_added_to() {
        for (before, after) in [
            ("LIST=\".x\"", "LIST=\".x .nf_conntrack\""),
            ("LIST='.x .y' # z\n", "LIST=\".x .y .nf_conntrack\" # z\n"),
            ("\texport LIST=.x\n", "\texport LIST=\".x .nf_conntrack\"\n"),
            (
                "if true; then\nLIST=.x\nfi\n",
                "if true; then\nLIST=\".x .nf_conntrack\"\nfi\n",
            ),
            ("LIST=\".x\"\r\n", "LIST=\".x .nf_conntrack\"\n"),
            ("LIST=\"\"\n", "LIST=\".nf_conntrack\"\n"),
            ("LIST=\n", "LIST=\".nf_conntrack\"\n"),
            (
                "LIST=.x .y\nLIST=.z\n",
                "LIST=.x .y\nLIST=\".z .nf_conntrack\"\n",
            ),
            ("LIST=\".nf_conntrack\"\n", "LIST=\".nf_conntrack\"\n"),
        ] {
            let long = |text: &str| text.replace("LIST", LIST);
            assert_eq!(add(&long(before)).unwrap(), long(after), "{before}");
        }
    }

    #[test]
    fn what_only_the_shell_could_tell_is_left() {
        for text in [
            "LIST=\"$OTHER\"\n",
            "LIST+=\" .x\"\n",
            "LIST=.x; LIST=.y\n",
            "if [ -f /x ]; then\nLIST=.x\nfi\n",
            "LIST=.y\neval LIST=.x\n",
            "if true; then\n",
            "exit 0 &&\n",
            "LIST=\"a\\\nb\"\n",
        ] {
            assert!(add(&text.replace("LIST", LIST)).is_err(), "{text}");
        }
    }

    #[test]
    fn typographic_quotes_are_replaced() {
        let text = "IPTABLES_SYSCTL_LOAD_LIST=”.ip_conntrack .bridge-nf”";
        assert_eq!(
            words_in_typographic_quotes(text, LIST),
            [".ip_conntrack", ".bridge-nf"]
        );
        let new = add_word(
            format!("A=1\n{text}\nB=2\n").as_bytes(),
            LIST,
            ".ip_conntrack",
            &[],
        );
        assert_eq!(
            String::from_utf8(new.unwrap()).unwrap(),
            "A=1\nIPTABLES_SYSCTL_LOAD_LIST=\".ip_conntrack\"\nB=2\n"
        );
    }
}
