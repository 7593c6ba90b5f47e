//! Scripts and programs in languages that are not followed: whether what they say of the
//! limit may set it.

use crate::facts::{
    reader::{Source, TextFile},
    writers::acts::mentions,
};

/// Programs that run a text in their own language, by how their names begin.
const INTERPRETERS: [&str; 12] = [
    "python", "perl", "ruby", "lua", "php", "node", "tclsh", "expect", "awk", "gawk", "mawk",
    "nawk",
];

/// Marks of a text that writes to a file or runs another program.
const SETS: [&str; 26] = [
    "\"w",
    "'w",
    "\"a\"",
    "'a'",
    "r+",
    "write",
    "put_contents",
    "system",
    "subprocess.",
    "popen",
    "Popen",
    "exec",
    "spawn",
    "check_call",
    "sysctl -w",
    "'-w",
    "\"-w",
    "\">",
    "'>",
    "> \"",
    ">\"",
    "| \"",
    "+<",
    "qx",
    "call(",
    "tee",
];

/// Marks of a line that reads a file, or has a program read it.
const READS: [&str; 12] = [
    ".read",
    "read(",
    "read_text",
    "readline",
    "File.read",
    "File.open",
    "get_contents",
    "readFile",
    "check_output",
    "getoutput",
    "getline",
    "io.lines",
];

/// Whether a program runs a text in its own language.
pub(super) fn is_interpreter(name: &str) -> bool {
    INTERPRETERS.iter().any(|known| {
        let rest = name.strip_prefix(known);
        rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
    })
}

/// Whether a text in some language may set the limit: it names it, and not only to read.
pub(super) fn may_set(text: &str) -> bool {
    first_setting(text).is_some()
}

/// The line of a script because of which it may set the limit.
pub(super) fn setting_line(script: &TextFile) -> Option<Source> {
    if script.text.contains('\0') {
        // A program.
        return None;
    }
    let number = first_setting(&script.text)?;
    let line = script.text.lines().nth(number)?;
    Some(script.source(
        u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1),
        line,
    ))
}

/// The first line that names the limit, if it or what else is there may set it.
fn first_setting(text: &str) -> Option<usize> {
    let comment = |line: &str| ["#", "//", "--"].iter().any(|mark| line.starts_with(mark));
    let lines = text.lines().map(str::trim_start).enumerate();
    let mut named = lines
        .clone()
        .filter(|(_, line)| !comment(line) && mentions(line));
    if let Some((number, _)) = named.clone().find(|(_, line)| !only_reads(line)) {
        // A name that is kept for later: what comes later decides.
        let sets = lines
            .clone()
            .any(|(_, line)| !comment(line) && has_any(line, &SETS));
        if sets || assigns(text) {
            return Some(number);
        }
    }
    named
        .find(|(_, line)| assigns(line))
        .map(|(number, _)| number)
}

/// Whether a line names the limit where it reads it.
fn only_reads(line: &str) -> bool {
    let runs_reader = line.contains("check_output") || line.contains("getoutput");
    let line = line.replace("subprocess.", "");
    let reads = has_any(&line, &READS) || line.contains("open(");
    (reads || runs_reader) && !has_any(&line, &SETS) && !assigns(&line)
}

/// Whether a text has the limit with a value after it, as `sysctl` is told it.
fn assigns(text: &str) -> bool {
    ["conntrack_max", "conntrack_buckets"].iter().any(|name| {
        text.match_indices(name).any(|(at, _)| {
            let rest = text[at + name.len()..].trim_start();
            rest.starts_with('=') && !rest.starts_with("==")
        })
    })
}

fn has_any(line: &str, marks: &[&str]) -> bool {
    marks.iter().any(|mark| line.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_does_not_set() {
        let path = "/proc/sys/net/netfilter/nf_conntrack_max";
        for text in [
            "m = int(open(\"PATH\").read())\nprint(m)",
            "with open('PATH') as f:\n    print(f.read())\nopen('/x.prom', 'w').write('1')",
            "p = 'PATH'\nprint(open(p).read())",
            "m = File.read('PATH').to_i",
            "$m = file_get_contents('PATH');\nmail($m);",
            "local f = io.open('PATH')\nprint(f:read())",
            "m = Path('PATH').read_text()",
            "# PATH = 5\nsystem('reboot')",
            "subprocess.check_output(['sysctl', '-n', 'net.netfilter.nf_conntrack_max'])",
        ] {
            assert!(
                !may_set(&text.replace("'PATH'", &format!("'{path}'"))),
                "{text}"
            );
            assert!(!may_set(&text.replace("PATH", path)), "{text}");
        }
        for text in [
            "open('PATH', 'w').write('5')",
            "open(\"PATH\",\"w\").write(\"5\")",
            "P = 'PATH'\nwith open(P, 'w') as f:\n    f.write('5')",
            "import os\nos.system('sysctl -w net.netfilter.nf_conntrack_max=5')",
            "subprocess.run(['sysctl', '-w', 'net.netfilter.nf_conntrack_max=5'])",
            "open(F, '>PATH'); print F 5;",
            "system(\"echo 5 > PATH\")",
            "BEGIN { print 5 > \"PATH\" }",
        ] {
            assert!(may_set(&text.replace("PATH", path)), "{text}");
        }
    }

    #[test]
    fn interpreters_by_their_names() {
        for name in ["python3", "python3.11", "perl", "lua5.4", "awk"] {
            assert!(is_interpreter(name), "{name}");
        }
        for name in ["nodeexporter", "pythonic", "awkward", "sh"] {
            assert!(!is_interpreter(name), "{name}");
        }
    }
}
