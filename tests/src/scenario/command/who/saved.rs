//! A table that was saved tells what the live one does.

use std::{fs, path::Path, process::Output};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{flood, honest, leak, make_room, stage, who};
use crate::{
    net::Netns,
    stage::{Auto, Backend, Machine, Scenario, Takes},
};

/// On every kernel.
pub static SAVED: Scenario = Scenario {
    name: "who_saved",
    about: "a live table and the same one saved, in every form: equal sums, equal verdict",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: saved,
};

/// What must be equal. Times go on meanwhile, and a file does not tell the kernel's
/// rules about connections that are closing.
const EQUAL: [&str; 13] = [
    "/entries",
    "/evictable/early_drop",
    "/progress",
    "/established",
    "/idle_established",
    "/sources",
    "/destinations",
    "/services",
    "/states",
    "/zones",
    "/marks",
    "/incident/filling",
    "/incident/culprit",
];

fn saved(machine: &Machine) -> Result<()> {
    make_room(machine)?;
    let namespaces = [
        stage("saved-honest", honest())?,
        stage("saved-leak", leak())?,
        stage("saved-flood", flood())?,
    ];
    let directory = tempfile::tempdir()?;
    for netns in &namespaces {
        let live = report(&who(machine, &["-o", "json", "--netns", netns.name()])?)?;
        let files = save(netns, directory.path())?;
        ensure!(
            !files.is_empty(),
            "this kernel lists no table, and there is no conntrack"
        );
        for file in files {
            let arguments = ["-o", "json", "--from", &file];
            let told = report(&who(machine, &arguments)?)?;
            for path in EQUAL {
                ensure!(
                    told.pointer(path) == live.pointer(path),
                    "{file}: {path} is {:?}, live {:?}",
                    told.pointer(path),
                    live.pointer(path)
                );
            }
            ensure!(told["saved"]["malformed"] == 0, "{file}: {told}");
        }
    }
    Ok(())
}

/// The first line, which is about the table.
fn report(output: &Output) -> Result<Value> {
    ensure!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().context("no line")?;
    serde_json::from_str(line).with_context(|| line.to_owned())
}

/// Saves the table of a namespace in each form that can be had here.
fn save(netns: &Netns, directory: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut write = |form: &str, content: &[u8]| -> Result<()> {
        let path = directory.join(format!("{}-{form}", netns.name()));
        fs::write(&path, content)?;
        files.push(path.display().to_string());
        Ok(())
    };
    for file in ["nf_conntrack", "ip_conntrack"] {
        let path = format!("/proc/thread-self/net/{file}");
        if let Ok(content) = netns.run(|| Ok(fs::read(&path)?)) {
            write(file, &content)?;
        }
    }
    for form in ["plain", "extended", "xml"] {
        let mut command = netns.command("conntrack");
        command.arg("-L");
        if form != "plain" {
            command.args(["-o", form]);
        }
        // Not every machine has it.
        let Ok(output) = command.output() else {
            continue;
        };
        if output.status.success() {
            // What it says in the end comes with it, as to a terminal.
            write(form, &[output.stdout, output.stderr].concat())?;
        }
    }
    Ok(files)
}
