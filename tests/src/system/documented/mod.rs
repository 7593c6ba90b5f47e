//! Every command of `ctdrop` in the README and in `docs` runs, on a host as it needs one, and
//! prints what the document shows.

pub(super) mod commands;
mod form;

use std::{fs, path::PathBuf, process, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};

use self::{commands::Command, form::Same};
use super::story::Story;
use crate::{scenario::command::who::tables::leak, vm::DiskGuest};

/// Never reboots.
pub(super) static DOCUMENTED: Story = Story {
    name: "documented",
    about: "every command of the README and of docs/ runs, and prints what they show",
    once: true,
    // Eighty commands take a guest ten minutes.
    packages: true,
    files: &[(
        "/etc/modprobe.d/small.conf",
        "options nf_conntrack hashsize=512\n",
    )],
    run,
};

/// The log of the README: the last line that came through, and how many did not.
const MESSAGES: &str = "\
Mar 12 13:40:34 old-box kernel: printk: 5990 messages suppressed.
Mar 12 13:40:34 old-box kernel: ip_conntrack: table full, dropping packet.
";

/// A tree of files that a document calls `/mnt/old-box`.
const OLD_BOX: &str = "conntrack-user/tests/trees/el5-curly-quotes";

/// Where the commands run.
const PLACE: &str = "/srv/documented";

/// Begins of lines that are names of the host on which the output was made.
const NAMES: [&str; 5] = [
    "demo-firewall",
    "demo-firewall:",
    "demo-sender",
    "host",
    "gateway:",
];

/// Flows of each flood, a second apart.
const FLOWS: u32 = 200;

fn run(host: &mut DiskGuest) -> Result<()> {
    let documents = documents()?;
    prepare(host)?;
    let mut ran = 0;
    let mut failed = Vec::new();
    for (name, text) in documents {
        for command in commands::in_document(&text, "ctdrop") {
            let at = format!("{name}:{}: {}", command.line, command.text);
            println!("{at}");
            if let Err(error) = demand(host, &command) {
                failed.push(format!("{at}: {error:#}"));
            }
            ran += 1;
        }
    }
    ensure!(ran > 40, "only {ran} commands were found");
    ensure!(failed.is_empty(), "{}", failed.join("\n\n"));
    Ok(())
}

/// The README and the documents, with their names.
fn documents() -> Result<Vec<(String, String)>> {
    let root = sources();
    let mut paths = vec![root.join("README.md")];
    for directory in ["docs", "docs/runbooks"] {
        for entry in fs::read_dir(root.join(directory))? {
            paths.push(entry?.path());
        }
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(&root).unwrap_or(path);
        let text = fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        Ok((name.display().to_string(), text))
    };
    paths.iter().map(read).collect()
}

/// The directory of the sources.
fn sources() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Makes what the commands read: files, evidence of three incidents in March and today, namespaces.
fn prepare(host: &mut DiskGuest) -> Result<()> {
    let mut tar = process::Command::new("tar");
    let tar = tar
        .arg("-C")
        .arg(sources().join(OLD_BOX))
        .args(["-cf", "-", "."]);
    let tree = String::from_utf8(tar.output()?.stdout).context("the tree is not text")?;
    host.write("/srv/tree.tar", &tree)?;
    host.write(&format!("{PLACE}/messages"), MESSAGES)?;
    shell(
        host,
        "mkdir -p /mnt/old-box web1 web2 /var/lib/node_exporter \
           /usr/local/share/bash-completion/completions /usr/local/share/man/man1
         tar -C /mnt/old-box -xf /srv/tree.tar
         mkdir -p /mnt/old-box/var/log; cp messages /mnt/old-box/var/log/
         cp -a /mnt/old-box box; tar -czf box.tar.gz box
         gzip -c messages > messages-20120318.gz
         touch -d '2012-04-01' messages messages-20120318.gz",
    )?;
    host.fill_table()?;
    host.track("gateway", leak().collect())?;
    for (date, seconds) in [("2026-03-12 13:39:50", 20), ("2026-03-12 15:00", 5)] {
        shell(host, &format!("date -s '{date}'"))?;
        flooded(host, "ctdrop daemon", seconds)?;
    }
    shell(host, "hwclock -s 2>/dev/null || date -s '2026-06-01 12:00'")?;
    flooded(host, "ctdrop daemon", 5)?;
    flooded(host, "ctdrop watch --record /tmp/watch.db", 5)?;
    shell(
        host,
        "cp /var/lib/ctdrop/ctdrop.db web1/; cp /tmp/watch.db web2/ctdrop.db
         cp /tmp/watch.db web3.db
         ip netns exec gateway cat /proc/net/nf_conntrack | gzip > table.gz",
    )
    .map(drop)
}

/// Runs a command until it has seen packets refused for some seconds; what it printed.
fn flooded(host: &mut DiskGuest, command: &str, seconds: u32) -> Result<String> {
    let start = format!(
        "rm -f /run/said
         systemd-run --quiet --unit=documented --collect --working-directory={PLACE} \
           --property=StandardOutput=file:/run/said --property=StandardError=file:/run/erred \
           --property=KillSignal=SIGINT --setenv=HOME=/srv --setenv=PATH=\"$PATH\" \
           bash -c 'exec {command}'
         until grep -q ^limit /run/said; do
           systemctl is-active --quiet documented || {{ cat /run/erred >&2; exit 1; }}
           sleep 1
         done"
    );
    shell(host, &start)?;
    for _ in 0..seconds {
        host.flood(FLOWS)?;
        thread::sleep(Duration::from_secs(1));
    }
    shell(host, "systemctl stop documented || true; cat /run/said")
}

/// Runs a command and demands what is shown of it.
fn demand(host: &mut DiskGuest, command: &Command) -> Result<()> {
    let Command { text, shown, .. } = command;
    let watches = text.starts_with("ctdrop watch") && !text.contains("--replay");
    let output = if watches {
        flooded(host, text, 8)?
    } else {
        let asks = text.starts_with("ctdrop fix") && !text.contains("--yes");
        let script = if asks {
            // A terminal, which has its own ends of lines.
            format!("cd {PLACE}; NO_COLOR=1 script -qec '{text}' /dev/null | tr -d '\\r'")
        } else {
            format!("cd {PLACE}; {text}")
        };
        let ended = host.run_with(["bash", "-o", "pipefail", "-c", &script], "y\n")?;
        // The state of the host or of the tree.
        let most = if text.contains("ctdrop status") { 2 } else { 0 };
        ensure!(
            ended.code.is_some_and(|code| (0..=most).contains(&code)),
            "it ended with {:?}:\n{}{}",
            ended.code,
            ended.stdout,
            ended.stderr
        );
        // The answer, which ends the line of the question, is not echoed.
        ended.stdout.replace("[y/N] ", "[y/N]\n")
    };
    let same = if text.contains("/mnt/") || text.contains("messages") {
        Same::Line
    } else {
        Same::Begin
    };
    form::demand(shown, &output, same, &NAMES)
}

/// Runs a script in the place of the commands; what it printed.
fn shell(host: &mut DiskGuest, script: &str) -> Result<String> {
    host.succeed([
        "bash",
        "-c",
        &format!("mkdir -p {PLACE}; cd {PLACE}; {script}"),
    ])
}
