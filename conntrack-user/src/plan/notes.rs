//! What is to be done elsewhere, with the text to be put there.

use crate::{
    facts::{
        Facts,
        distribution::Family,
        writers::{Timing, Writer},
    },
    plan::{model::Note, sizing::Size},
};

/// Writers that own the limit of the host they run on: nothing else has a say.
const OWNERS: [&str; 5] = ["kube-proxy", "k3s", "rke2", "microk8s", "pve-firewall"];

/// Who owns the limit.
pub(crate) fn owner(facts: &Facts) -> Option<&Writer> {
    facts
        .writers
        .iter()
        .find(|writer| writer.active && writer.sets.is_some() && OWNERS.contains(&writer.name))
}

/// Which knob of an owner is to be turned; none if it sets as much by itself.
pub(crate) fn knob(owner: &Writer, facts: &Facts, size: &Size) -> Option<Note> {
    let sets = owner.sets.as_ref()?;
    if sets.max.is_some_and(|max| max >= size.max) {
        return None;
    }
    let max = size.max;
    let snippet = match owner.name {
        "pve-firewall" => format!(
            "# /etc/pve/local/host.fw\n[OPTIONS]\nnf_conntrack_max: {}\n",
            max.div_ceil(8192) * 8192
        ),
        "k3s" => {
            format!("# /etc/rancher/k3s/config.yaml\nkube-proxy-arg:\n  - conntrack-min={max}\n")
        }
        "rke2" => {
            format!("# /etc/rancher/rke2/config.yaml\nkube-proxy-arg:\n  - conntrack-min={max}\n")
        }
        "microk8s" => {
            format!("# /var/snap/microk8s/current/args/kube-proxy\n--conntrack-min={max}\n")
        }
        _ => format!(
            "# KubeProxyConfiguration (ConfigMap kube-proxy, or {})\nconntrack:\n  min: {max}\n",
            sets.source.file.display()
        ),
    };
    let cpus = facts.kernel.cpus.map_or_else(String::new, |cpus| {
        format!("; this host has {cpus} processors")
    });
    Some(Note {
        what: format!("set the limit in {}: {}", owner.name, owner.knob),
        why: format!(
            "it {} ({}){cpus}; files of the host have no say, so none is changed",
            owner.behaviour, sets.source
        ),
        snippet,
    })
}

/// A writer that takes a live value back within seconds.
pub(crate) fn undone_at_once(facts: &Facts, size: &Size) -> Option<Note> {
    let owner = owner(facts)?;
    let sets = owner.sets.as_ref()?;
    let undone = sets.timing == Timing::Always && sets.max != Some(size.max);
    undone.then(|| Note {
        what: "the running kernel is left alone".to_owned(),
        why: format!("{}: it {}", owner.name, owner.behaviour),
        snippet: String::new(),
    })
}

/// Files that are made from something else.
pub(crate) fn sealed(facts: &Facts, size: &Size) -> Note {
    let Size { max, buckets, .. } = size;
    let (snippet, from) = if facts.distribution.family == Family::NixOs {
        let snippet = format!(
            "boot.kernelModules = [ \"nf_conntrack\" ];\n\
             boot.extraModprobeConfig = \"options nf_conntrack hashsize={buckets}\";\n\
             boot.kernel.sysctl.\"net.netfilter.nf_conntrack_max\" = {max};\n"
        );
        (snippet, "the configuration of NixOS")
    } else {
        let snippet = format!(
            "machine:\n  kernel:\n    modules:\n      - name: nf_conntrack\n        parameters:\n          \
             - hashsize={buckets}\n  sysctls:\n    net.netfilter.nf_conntrack_max: \"{max}\"\n"
        );
        (snippet, "the machine configuration of Talos")
    };
    Note {
        what: format!("add this to {from}; no file is changed here"),
        why: format!(
            "{} makes its files anew from a description, and a change in them would be lost",
            facts.distribution.name
        ),
        snippet,
    }
}

/// A kernel that has conntrack built in has no module options.
pub(crate) fn built_in(buckets: u64) -> Note {
    Note {
        what: "give the number of buckets on the kernel's command line".to_owned(),
        why: "conntrack is built into this kernel, or its option is on the command line, which \
              counts more than any file"
            .to_owned(),
        snippet: format!("nf_conntrack.hashsize={buckets}\n"),
    }
}

/// What others do that files cannot change.
pub(crate) fn advice(facts: &Facts, size: &Size) -> Vec<Note> {
    let mut notes: Vec<Note> = facts
        .writers
        .iter()
        .filter(|writer| {
            let sets = writer.sets.as_ref();
            writer.active && sets.is_some_and(|sets| !sets.reapplies && sets.max != Some(size.max))
        })
        .map(|writer| Note {
            what: format!("{} sets another limit: {}", writer.name, writer.knob),
            why: format!(
                "it {}; {}",
                writer.behaviour,
                writer
                    .sets
                    .as_ref()
                    .map_or_else(String::new, |sets| sets.source.to_string())
            ),
            snippet: String::new(),
        })
        .collect();
    notes.extend(
        facts
            .writers
            .iter()
            .filter(|writer| writer.active && writer.name == "firewalld")
            .map(|writer| Note {
                what: format!("firewalld: {}", writer.behaviour),
                why: format!(
                    "with the module's option the limit is then {}",
                    8 * size.buckets
                ),
                snippet: String::new(),
            }),
    );
    if let Some(install) = &facts.modules.install {
        notes.push(Note {
            what: format!("{install} has a command run in place of loading the module"),
            why: "what it does with options and limit is not known".to_owned(),
            snippet: String::new(),
        });
    }
    notes.extend(
        facts
            .modules
            .unknown_options
            .iter()
            .chain(&facts.modules.other_generation)
            .map(|source| Note {
                what: format!("{source} has no effect: {}", source.text),
                why: format!(
                    "module {} has no such option",
                    facts.kernel.generation.module()
                ),
                snippet: String::new(),
            }),
    );
    notes
}
