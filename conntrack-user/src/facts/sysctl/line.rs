//! The lines of a sysctl file, as the program at hand reads them: `key = value`,
//! comments after `#` or `;` at the beginning of a line.

pub use crate::facts::sysctl::value::number;
use crate::facts::sysctl::{
    dialect::Dialect,
    key::{Key, mentions},
};

/// A line that assigns, or may do so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Number, from 1.
    pub number: u32,
    /// The whole line: some readers choose lines by what is in them.
    pub text: String,
    /// What is assigned to; without the `-` that may stand before it.
    pub key: Key,
    /// Whether a `-` stands before the key: failures are to be ignored. Readers
    /// that do not know of it take it for a part of the name.
    pub dash: bool,
    /// What is assigned, without white space around it.
    pub value: String,
    /// What the line does.
    pub does: Does,
}

/// What a line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// It sets the key.
    Sets,
    /// `-key`: it takes an earlier setting back, and the key out of what patterns
    /// stand for.
    TakesBack,
    /// It speaks of the limit, and what the program makes of it is not known.
    Unclear,
}

impl Line {
    /// Whether it sets a variable under a name of its own.
    pub fn sets(&self, variable: super::Variable) -> bool {
        self.does == Does::Sets && self.key.variable() == Some(variable)
    }
}

/// A line as it stands in the file.
#[derive(Clone, Copy)]
struct Written<'t> {
    number: u32,
    /// The line, or those that are joined to it.
    text: &'t str,
}

/// Finds the lines that assign.
pub fn parse(text: &str, dialect: Dialect) -> Vec<Line> {
    let mut found = Vec::new();
    let mut add = |number, text: &str, whole: &str| {
        found.extend(read(Written { number, text }, whole, dialect));
    };
    let mut joined: Option<(u32, String)> = None;
    for (number, line) in (1..).zip(text.split('\n')) {
        if dialect == Dialect::Busybox {
            let (number, line) = match joined.take() {
                Some((number, before)) => (number, before + line),
                None => (number, line.to_owned()),
            };
            match line.strip_suffix('\\') {
                Some(begin) => joined = Some((number, begin.to_owned())),
                None => add(number, &line, &line),
            }
        } else if dialect.ends_lines_at_return() == Some(true) {
            for part in line.split(['\r', '\0']) {
                if part.len() > dialect.longest_line() {
                    return found;
                }
                add(number, part, line);
            }
        } else {
            add(number, line, line);
        }
    }
    if let Some((number, line)) = joined {
        add(number, &line, &line);
    }
    found
}

/// Reads a line.
fn read(line: Written<'_>, whole: &str, dialect: Dialect) -> Option<Line> {
    let unclear = line.text.len() > dialect.longest_line()
        || dialect.ends_lines_at_return().is_none()
            && line.text.trim_end_matches('\r').contains(['\r', '\0']);
    let form = match dialect {
        Dialect::Procps3 { .. } => procps_3(to_null(line.text)),
        Dialect::Procps4 => procps_4(to_null(line.text)),
        Dialect::Systemd(_) => systemd(line.text),
        Dialect::Busybox => busybox(to_null(line.text)),
    };
    let of = |key, form: &Form<'_>, does| Line {
        number: line.number,
        text: whole.strip_suffix('\r').unwrap_or(whole).to_owned(),
        key,
        dash: form.dash,
        value: form.value.unwrap_or_default().to_owned(),
        does,
    };
    if unclear {
        let form = Form::default();
        return may_set(line.text).then(|| of(Key::default(), &form, Does::Unclear));
    }
    let form = form?;
    if form.value.is_none() && !(form.dash && dialect.knows_patterns()) {
        return None;
    }
    let Some(key) = Key::read(form.key, dialect) else {
        return Some(of(Key::parse(form.key), &form, Does::Unclear));
    };
    let does = if form.value.is_some() {
        Does::Sets
    } else {
        Does::TakesBack
    };
    (!key.path.is_empty()).then(|| of(key, &form, does))
}

/// Whether one of the pieces that a line may be broken into sets the limit. The first
/// one of a comment does not.
fn may_set(line: &str) -> bool {
    let comment = line.trim_start_matches(is_space).starts_with(['#', ';']);
    let pieces = line
        .split_inclusive(['\r', '\0'])
        .next()
        .unwrap_or_default();
    let first = pieces.len().min(Dialect::SHORTEST_PIECE);
    let from = if comment {
        line.floor_char_boundary(first)
    } else {
        0
    };
    mentions(&line[from..])
}

/// What a line is made of.
#[derive(Default)]
struct Form<'t> {
    key: &'t str,
    dash: bool,
    /// None without a `=`.
    value: Option<&'t str>,
}

/// What a program written in C sees of a line.
fn to_null(line: &str) -> &str {
    line.split('\0').next().unwrap_or_default()
}

const fn is_tab(letter: char) -> bool {
    matches!(letter, ' ' | '\t')
}

const fn is_end(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r')
}

/// C's `isspace`.
const fn is_space(letter: char) -> bool {
    matches!(letter, '\t'..='\r' | ' ')
}

fn without_dash(key: &str) -> (bool, &str) {
    key.strip_prefix('-')
        .map_or((false, key), |key| (true, key))
}

/// procps 3.3.17 `sysctl.c: Preload`, with `strtok`, which passes over what
/// separates.
fn procps_3(line: &str) -> Option<Form<'_>> {
    let line = line.trim_end_matches(is_end).trim_start_matches(is_tab);
    if line.len() < 2 || line.starts_with(['#', ';']) {
        return None;
    }
    let (key, rest) = line.trim_start_matches('=').split_once('=')?;
    let mut values = rest.split(['\n', '\r']);
    let value = values.find(|value| !value.is_empty())?;
    let (dash, key) = without_dash(key.trim_end_matches(is_end));
    Some(Form {
        key,
        dash,
        value: Some(value.trim_start_matches(is_tab)),
    })
}

/// procps 4.0.2 `src/sysctl.c: parse_setting_line`.
fn procps_4(line: &str) -> Option<Form<'_>> {
    let line = line.trim_start_matches(is_space);
    if line.is_empty() || line.starts_with(['#', ';']) {
        return None;
    }
    let (key, value) = match line.split_once('=') {
        Some((key, value)) => (key, Some(value.trim_matches(is_space))),
        None => (line, None),
    };
    let (dash, key) = without_dash(key);
    // `setting_new` passes over another one.
    let (_, key) = without_dash(key.trim_end_matches(is_space));
    Some(Form { key, dash, value })
}

/// systemd 252 `src/sysctl/sysctl.c: parse_file`.
fn systemd(line: &str) -> Option<Form<'_>> {
    let line = line.trim_matches(is_end);
    if line.is_empty() || line.starts_with(['#', ';']) {
        return None;
    }
    let (key, value) = match line.split_once('=') {
        Some((key, value)) => (key, Some(value.trim_matches(is_end))),
        None => (line, None),
    };
    let (dash, key) = without_dash(key);
    Some(Form {
        key: key.trim_matches(is_end),
        dash,
        value,
    })
}

/// busybox 1.35 `procps/sysctl.c: sysctl_handle_preload_file`.
fn busybox(line: &str) -> Option<Form<'_>> {
    let line = line.trim_start_matches(is_space);
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (key, value) = line.split_once('=')?;
    // Then the line has no second part for `config_read`.
    if value.is_empty() || value.starts_with('#') {
        return None;
    }
    let (dash, key) = without_dash(key.trim_end_matches(is_space));
    Some(Form {
        key,
        dash,
        value: Some(value.trim_matches(is_space)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::facts::sysctl::Variable;

    const PROCPS_3: Dialect = Dialect::Procps3 { any_length: true };
    const SYSTEMD: Dialect = Dialect::Systemd(None);
    const ALL: [Dialect; 4] = [PROCPS_3, Dialect::Procps4, SYSTEMD, Dialect::Busybox];

    /// What each program sets the limit to with the last line that does.
    fn told(text: &str) -> [Option<String>; 4] {
        ALL.map(|dialect| {
            let lines = parse(text, dialect);
            let last = lines.iter().rfind(|line| line.sets(Variable::Max));
            last.map(|line| line.value.clone())
        })
    }

    #[test]
    fn lines() {
        for dialect in ALL {
            let lines = parse(
                "# net.nf_conntrack_max = 1\n\n ; net.nf_conntrack_max = 2\n\
                 \tnet.nf_conntrack_max= 262144 \n-net/netfilter/nf_conntrack_max =9\n\
                 nonsense\nnet.nf_conntrack_max = a = b\r\n",
                dialect,
            );
            let short: Vec<_> = lines
                .iter()
                .map(|line| {
                    (
                        line.number,
                        line.key.path.as_str(),
                        line.dash,
                        line.value.as_str(),
                    )
                })
                .collect();
            assert_eq!(
                short,
                [
                    (4, "net/nf_conntrack_max", false, "262144"),
                    (5, "net/netfilter/nf_conntrack_max", true, "9"),
                    (7, "net/nf_conntrack_max", false, "a = b"),
                ],
                "{dialect:?}"
            );
        }
    }

    #[test]
    fn each_program_reads_lines_in_its_way() {
        let some = |text: &str| Some(text.to_owned());
        let all = |text: &str| [(); 4].map(|()| some(text));
        // Written, and what procps 3, procps 4, systemd and busybox make of it.
        let cases = [
            ("net.nf_conntrack_max=7", all("7")),
            ("net.nf_conntrack_max=7 # many", all("7 # many")),
            (
                "\u{c}net.nf_conntrack_max=7",
                [None, some("7"), None, some("7")],
            ),
            (
                "net.nf_conntrack_max\u{b}=7",
                [None, some("7"), None, some("7")],
            ),
            (
                "net.nf_conntrack_max=\u{c}7",
                [some("\u{c}7"), some("7"), some("\u{c}7"), some("7")],
            ),
            ("\u{a0}net.nf_conntrack_max=7", [None, None, None, None]),
            ("net.nf_conntrack_max=\u{a0}7", all("\u{a0}7")),
            ("\u{feff}net.nf_conntrack_max=7", [None, None, None, None]),
            ("=net.nf_conntrack_max=7", [some("7"), None, None, None]),
            ("- net.nf_conntrack_max=7", [None, None, some("7"), None]),
            ("--net.nf_conntrack_max=7", [None, some("7"), None, None]),
            (
                "net.nf_conntrack_max=7\rnet.nf_conntrack_max=8",
                [
                    some("7"),
                    some("7\rnet.nf_conntrack_max=8"),
                    some("8"),
                    some("7\rnet.nf_conntrack_max=8"),
                ],
            ),
            (
                "net.nf_conntrack_max=7\0net.nf_conntrack_max=8",
                [some("7"), some("7"), some("8"), some("7")],
            ),
            (
                "net.nf_conntrack_max=7\\\n8",
                [some("7\\"), some("7\\"), some("7\\"), some("78")],
            ),
            (
                "# a \\\nnet.nf_conntrack_max=7",
                [some("7"), some("7"), some("7"), None],
            ),
            ("net/nf_conntrack_max/=7", [None, None, some("7"), None]),
            (
                "net/./nf_conntrack_max=7",
                [some("7"), some("7"), some("7"), None],
            ),
            ("net.nf_conntrack_max=", [None, some(""), some(""), None]),
        ];
        for (text, expected) in cases {
            assert_eq!(told(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_setting_is_taken_back() {
        let does = |dialect| {
            let lines = parse(
                "net.nf_conntrack_max=7\n-net.nf_conntrack_max\n-\n",
                dialect,
            );
            lines.iter().map(|line| line.does).collect::<Vec<_>>()
        };
        assert_eq!(does(SYSTEMD), [Does::Sets, Does::TakesBack]);
        assert_eq!(does(Dialect::Procps4), [Does::Sets, Does::TakesBack]);
        assert_eq!(does(PROCPS_3), [Does::Sets]);
        assert_eq!(does(Dialect::Systemd(Some(239))), [Does::Sets]);
    }

    #[test]
    fn what_cannot_be_told_is_unclear() {
        let does = |text: &str, dialect| {
            let lines = parse(text, dialect);
            lines.iter().map(|line| line.does).collect::<Vec<_>>()
        };
        let long = format!("net.nf_conntrack_max = 7 {}", "x".repeat(300));
        assert_eq!(
            does(&long, Dialect::Procps3 { any_length: false }),
            [Does::Unclear]
        );
        assert_eq!(does(&long, PROCPS_3), [Does::Sets]);
        let comment = format!("# {long}");
        let old = Dialect::Procps3 { any_length: false };
        assert!(does(&comment, old).is_empty());
        assert_eq!(does(&format!("{comment} {long}"), old), [Does::Unclear]);
        let old = Dialect::Systemd(Some(219));
        assert_eq!(does("# a\rnet.nf_conntrack_max=7\n", old), [Does::Unclear]);
        assert_eq!(does("net.nf_conntrack_max=7\r\n", old), [Does::Sets]);
        for dialect in ALL {
            let up = does("net/../net/nf_conntrack_max=7\n", dialect);
            assert_eq!(up, [Does::Unclear], "{dialect:?}");
        }
        assert_eq!(
            does("net/netfilter.nf_conntrack_max=7\n", Dialect::Busybox),
            [Does::Unclear]
        );
        assert_eq!(
            does("net.*.nf_{conntrack,x}_max=7\n", SYSTEMD),
            [Does::Unclear]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC*(\\n\\PC*){0,4}", dialect in prop::sample::select(&ALL[..3])) {
            for line in parse(&text, dialect) {
                let written = text.lines().nth(line.number as usize - 1);
                prop_assert_eq!(written, Some(line.text.as_str()));
                number(&line.value);
            }
        }

        #[test]
        fn what_is_written_is_read(
            name in "[a-z_]{1,8}(\\.[a-z_]{1,8}){1,3}",
            value in 0..=i32::MAX,
            before in "[ \t]{0,3}",
            around in "[ \t]{0,3}",
            dash in any::<bool>(),
            dialect in prop::sample::select(&ALL[..]),
        ) {
            let mark = if dash { "-" } else { "" };
            let text = format!("#\n{before}{mark}{name}{around}={around}{value}{around}\n");
            let lines = parse(&text, dialect);
            prop_assert_eq!(lines.len(), 1);
            prop_assert_eq!(lines[0].number, 2);
            prop_assert_eq!(lines[0].dash, dash);
            prop_assert_eq!(&lines[0].key.path, &name.replace('.', "/"));
            prop_assert_eq!(number(&lines[0].value), u64::try_from(value).ok());
        }
    }
}
