//! A plan as a shell script for the host that a tree was copied from, where this
//! program cannot run: kernels 2.6.18 and 2.6.32, with the shell and the tools
//! they came with.

use anyhow::{Result, bail, ensure};

use crate::{
    facts::{Facts, live_files::LiveFiles},
    plan::model::{FileChange, Plan},
    say::clock,
};

/// The part that is the same in each script. The functions
/// that print what is in the files, and those that go through all, come before it.
const BODY: &str = include_str!("script.sh");

/// Writes a plan as a script.
pub(crate) fn of(facts: &Facts, plan: &Plan) -> Result<Vec<u8>> {
    ensure!(
        !plan.files.is_empty(),
        "no file needs to be changed, so there is nothing for a script to do"
    );
    let mut script = head(facts, plan).into_bytes();
    for (number, file) in plan.files.iter().enumerate() {
        if let Some(before) = &file.before {
            content(&mut script, &format!("before_{number}"), before, file)?;
        }
        content(&mut script, &format!("after_{number}"), &file.after, file)?;
    }
    script.extend_from_slice(&calls(plan).into_bytes());
    script.extend_from_slice(BODY.as_bytes());
    Ok(script)
}

fn head(facts: &Facts, plan: &Plan) -> String {
    let time = clock::now();
    let id: String = time.chars().filter(char::is_ascii_alphanumeric).collect();
    let files = LiveFiles::of(&facts.kernel);
    let (max, buckets) = (plan.target.max, plan.target.buckets);
    let why: String = plan
        .target
        .why
        .iter()
        .cloned()
        .chain(plan.warnings.iter().map(ToString::to_string))
        .flat_map(|why| ["#   ".to_owned(), one_line(&why), "\n".to_owned()])
        .collect();
    format!(
        "#!/bin/sh\n\
         # Written by ctdrop {} at {time} for {}.\n\
         #\n\
         # Sets a limit of {max} tracked connections and {buckets} buckets, now, after a\n\
         # boot, after a restart of the firewall and after a reload of the module:\n\
         {why}\
         #\n\
         #   sh THIS show     what would be changed\n\
         #   sh THIS apply    change it\n\
         #   sh THIS undo     undo it\n\
         #\n\
         # With ROOT=DIR in the environment it works on a copied tree, and leaves the kernel alone.\n\
         \n\
         id='{id}'\n\
         max={max}\n\
         buckets={buckets}\n\
         max_file='{}'\n\
         buckets_file='{}'\n\
         \n",
        env!("CARGO_PKG_VERSION"),
        one_line(&facts.distribution.name),
        files.max.display(),
        files.buckets.display()
    )
}

/// Text that stays in its comment.
fn one_line(text: &str) -> String {
    crate::say::text::plain(text)
}

/// A function that prints what is in a file.
fn content(script: &mut Vec<u8>, name: &str, content: &[u8], file: &FileChange) -> Result<()> {
    if content.contains(&0) {
        bail!(
            "{} is not text, so a shell script cannot hold it",
            file.path.display()
        );
    }
    let mut end = "END_OF_FILE".to_owned();
    while content
        .split(|&byte| byte == b'\n')
        .any(|line| line == end.as_bytes())
    {
        end.push('_');
    }
    let whole = content.is_empty() || content.ends_with(b"\n");
    // A here-document ends with a line feed: without one in the file, awk leaves it
    // away.
    let command = if whole {
        "cat"
    } else {
        "awk 'NR > 1 { print line } { line = $0 } END { printf \"%s\", line }'"
    };
    script.extend_from_slice(format!("{name}() {{\n    {command} <<'{end}'\n").as_bytes());
    script.extend_from_slice(content);
    if !whole {
        script.push(b'\n');
    }
    script.extend_from_slice(format!("{end}\n}}\n\n").as_bytes());
    Ok(())
}

/// The functions that go through all files.
fn calls(plan: &Plan) -> String {
    let mut forth = String::from("each() {\n");
    let mut back = String::from("each_backwards() {\n");
    let mut lines = Vec::new();
    for (number, file) in plan.files.iter().enumerate() {
        let was = if file.before.is_some() {
            "there"
        } else {
            "absent"
        };
        let path = file.path.to_string_lossy().replace('\'', "'\\''");
        lines.push(format!(
            "    \"$1\" {number} \"$ROOT\"'{path}' {was} {:o}\n",
            file.mode
        ));
    }
    forth.extend(lines.iter().map(String::as_str));
    back.extend(lines.iter().rev().map(String::as_str));
    format!("{forth}}}\n\n{back}}}\n\n")
}
