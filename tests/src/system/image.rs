//! The image, run by podman as docs/install.md says: it observes the whole host.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};

use super::{
    documented::commands,
    observed::{best_backend, refused_in},
    patience,
    story::Story,
    sysctl::demand,
};
use crate::vm::DiskGuest;

/// Boots once, a system with podman.
pub(super) static IMAGE: Story = Story {
    name: "image",
    about: "the image, run as docs/install.md says, records the packets that the host refuses",
    once: true,
    packages: true,
    files: &[
        (
            "/etc/modprobe.d/small.conf",
            "options nf_conntrack hashsize=512\n",
        ),
        ("/etc/containers/storage.conf", super::containers::STORAGE),
        ("/etc/containers/containers.conf", ENGINE),
    ],
    run,
};

/// Neither a bridge nor a bus of systemd is needed.
const ENGINE: &str = "\
[containers]
netns = \"none\"
log_driver = \"k8s-file\"
[engine]
cgroup_manager = \"cgroupfs\"
events_logger = \"file\"
";

/// Flows of the flood: fewer than there are entries, so that it is no flood.
const FLOWS: u32 = 3_000;

fn run(host: &mut DiskGuest) -> Result<()> {
    let [load, start, show] = commands()?;
    host.succeed([
        "mkdir",
        "-p",
        "/var/lib/ctdrop",
        // Podman has it if it stores images in overlayfs.
        "/var/lib/containers/storage/overlay-containers",
    ])?;
    shell(host, &load)?;
    shell(host, &start)?;
    let full = host.fill_table()?;
    let observes = format!("backend  {}:", best_backend(host)?);
    until(host, "it observes by what root has", |host| {
        Ok(shell(host, LOGS)?.contains(&observes))
    })?;
    let refused = host.flood(FLOWS)?.refused - full.refused;
    ensure!(refused == u64::from(FLOWS), "{refused} refused");
    let as_json = format!("{show} -o json");
    until(host, "the incident is recorded", |host| {
        Ok(refused_in(&shell(host, &as_json)?)? == refused)
    })?;
    shell(host, &show)?;
    shell(host, "podman stop ctdrop")?;
    let kept = host.succeed(["ctdrop", "incidents", "-o", "json"])?;
    demand("the evidence on the host", refused_in(&kept)?, refused)
}

/// What the daemon in the container has printed.
const LOGS: &str = "podman logs ctdrop 2>&1";

/// The commands of the document: they load the image, run it and show incidents.
fn commands() -> Result<[String; 3]> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/install.md");
    let text = fs::read_to_string(&document)
        .with_context(|| format!("cannot read {}", document.display()))?;
    let found = commands::in_document(&text, "podman");
    let texts: Vec<String> = found.into_iter().map(|command| command.text).collect();
    let texts: Result<[String; 3], _> = texts.try_into();
    texts.map_err(|found| anyhow::anyhow!("not three commands of podman: {found:#?}"))
}

fn shell(host: &mut DiskGuest, script: &str) -> Result<String> {
    host.succeed(["sh", "-c", &format!("cd /srv; {script}")])
}

fn until(
    host: &mut DiskGuest,
    what: &str,
    is_so: impl Fn(&mut DiskGuest) -> Result<bool>,
) -> Result<()> {
    patience::until(host, what, LOGS, is_so)
}
