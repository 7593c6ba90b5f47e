//! Proxmox VE: `pve-firewall` writes the limit every ten seconds, if it is another
//! one (pve-firewall `src/PVE/Firewall.pm: update_nf_conntrack_max`).
//!
//! It does so while the firewall is enabled for the cluster and not made with
//! nftables. It wants a default, or the value of the host's file if that is
//! larger, then rounded up to a multiple of 8192; and a quarter of it as
//! buckets. So it lowers a larger value that comes from elsewhere.

use std::path::PathBuf;

use crate::{
    facts::{
        reader::{Reader, Source, TextFile},
        services::Services,
        writers::writer::{Sets, Timing, Writer},
    },
    say::number::number,
};

/// The default since pve-firewall 4.0-8; it was 65536 before.
const DEFAULT: u64 = 262_144;

const MODULE: &str = "/usr/share/perl5/PVE/Firewall.pm";

pub(super) fn read(reader: &Reader<'_>, services: &Services) -> Option<Writer> {
    let unit = [
        "/usr/lib/systemd/system/pve-firewall.service",
        "/lib/systemd/system/pve-firewall.service",
    ]
    .into_iter()
    .find_map(|path| reader.text(path));
    let enabled = services.get("pve-firewall").map(|enabled| Source {
        file: PathBuf::from(&enabled.by),
        line: 1,
        text: "pve-firewall is started at boot".to_owned(),
    });
    let first = enabled.or_else(|| unit.as_ref().map(TextFile::as_source))?;
    let cluster = reader.text("/etc/pve/firewall/cluster.fw");
    let host = host_file(reader);
    let on = cluster.as_ref().and_then(|text| option(text, "enable"));
    let nftables = host.as_ref().and_then(|text| option(text, "nftables"));
    let active = matches!(on, Some((1, _))) && !matches!(nftables, Some((1, _)));
    let (default, by_default) = default(reader);
    let wanted = host
        .as_ref()
        .and_then(|text| option(text, "nf_conntrack_max"));
    let (max, source) = match wanted {
        Some((value, source)) if value > default => {
            (value.div_ceil(8192).saturating_mul(8192), source)
        }
        _ => (default, by_default.unwrap_or_else(|| first.clone())),
    };
    let mut evidence = vec![first, source.clone()];
    evidence.extend(on.map(|(_, source)| source));
    evidence.dedup();
    Some(Writer {
        name: "pve-firewall",
        active,
        behaviour: if active {
            format!(
                "sets the limit to {} every 10 s, and the buckets to a quarter of it",
                number(max)
            )
        } else {
            "does not set the limit, because the firewall is not enabled for the cluster, or \
             uses nftables"
                .to_owned()
        },
        knob: format!(
            "set nf_conntrack_max under [OPTIONS] in /etc/pve/local/host.fw; only a value above \
             {} has an effect",
            number(default)
        ),
        evidence,
        sets: active.then_some(Sets {
            max: Some(max),
            buckets: Some(max / 4),
            timing: Timing::Always,
            source,
            reapplies: false,
            acts: Vec::new(),
        }),
    })
}

/// `/etc/pve/local` is a link to the directory of the node's name.
fn host_file(reader: &Reader<'_>) -> Option<TextFile> {
    reader.text("/etc/pve/local/host.fw").or_else(|| {
        let name = reader.text("/etc/hostname")?;
        let name = name.text.trim().split('.').next()?.to_owned();
        reader.text(&format!("/etc/pve/nodes/{name}/host.fw"))
    })
}

/// A number under `[OPTIONS]`, with its line.
fn option(text: &TextFile, name: &str) -> Option<(u64, Source)> {
    let mut inside = false;
    for (number, line) in text.lines() {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line.eq_ignore_ascii_case("[options]");
        } else if inside
            && let Some((key, value)) = line.split_once(':')
            && key.trim() == name
            && let Ok(value) = value.trim().parse()
        {
            return Some((value, text.source(number, line)));
        }
    }
    None
}

/// The default of the version that is installed, by its own code.
fn default(reader: &Reader<'_>) -> (u64, Option<Source>) {
    let found = reader.text(MODULE).and_then(|module| {
        let function = module
            .lines()
            .skip_while(|(_, line)| !line.starts_with("sub update_nf_conntrack_max"));
        let (number, line) = function
            .take_while(|(_, line)| !line.starts_with('}'))
            .find(|(_, line)| line.trim_start().starts_with("my $max"))?;
        let value = line.split_once('=')?.1.trim();
        let end = value.find(|c: char| !c.is_ascii_digit())?;
        Some((value[..end].parse().ok()?, module.source(number, line)))
    });
    match found {
        Some((value, source)) => (value, Some(source)),
        None => (DEFAULT, None),
    }
}
