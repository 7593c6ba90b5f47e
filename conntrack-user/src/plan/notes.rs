//! What must be done elsewhere, with the text to put there.

use crate::{
    facts::{
        Facts,
        appliance::{Appliance, Keeps},
        distribution::Family,
        writers::{Timing, Writer},
    },
    plan::{knobs, model::Note, sizing::Size},
    say::number::{counted, number},
};

/// Writers that own the limit of their host: they override everything else.
const OWNERS: [&str; 5] = ["kube-proxy", "k3s", "rke2", "microk8s", "pve-firewall"];

/// Who owns the limit.
pub(crate) fn owner(facts: &Facts) -> Option<&Writer> {
    facts
        .writers
        .iter()
        .find(|writer| writer.active && writer.sets.is_some() && OWNERS.contains(&writer.name))
}

/// Which setting of an owner to change; none if it already sets as much.
pub(crate) fn knob(owner: &Writer, facts: &Facts, size: &Size) -> Option<Note> {
    let sets = owner.sets.as_ref()?;
    if sets.max.is_some_and(|max| max >= size.max) {
        return None;
    }
    let snippet = knobs::snippet(owner, size.max);
    let cpus = facts.kernel.cpus.map_or_else(String::new, |cpus| {
        format!("; this host has {}", counted(cpus.into(), "processor"))
    });
    Some(Note {
        what: owner.knob.clone(),
        why: format!(
            "{} {} ({}){cpus}; it overrides the files of this host, so none is changed",
            owner.name, owner.behaviour, sets.source
        ),
        snippet,
    })
}

/// A writer that resets a live value within seconds.
pub(crate) fn undone_at_once(facts: &Facts, size: &Size) -> Option<Note> {
    let owner = owner(facts)?;
    let sets = owner.sets.as_ref()?;
    let undone = sets.timing == Timing::Always && sets.max != Some(size.max);
    undone.then(|| Note {
        what: "the running kernel is not changed".to_owned(),
        why: format!("{} {}", owner.name, owner.behaviour),
        snippet: String::new(),
    })
}

/// A host with generated files.
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
             - hashsize={buckets}\n  sysctls:\n    net.netfilter.nf_conntrack_max: \"{max}\"\n{}",
            // kube-proxy would set another limit when it starts.
            knobs::talos(*max)
        );
        (snippet, "the machine configuration of Talos")
    };
    Note {
        what: format!("add this to {from}; no file is changed here"),
        why: format!(
            "{} generates its files from a description, so a change in them would be lost",
            facts.distribution.name
        ),
        snippet,
    }
}

/// A host on which nothing that is known applies files of settings, or none of them
/// lasts.
pub(crate) fn by_hand(facts: &Facts, size: &Size) -> Note {
    let kernel = &facts.kernel.generation;
    let script = format!(
        "modprobe {}\nsysctl -w {}={}\n",
        kernel.module(),
        kernel.max_sysctl(),
        size.max
    );
    if let Some(appliance) = facts.appliance {
        return on_appliance(appliance, script, size);
    }
    Note {
        what: format!("set the limit in {}", facts.init.start_script()),
        why: format!(
            "this host is started by {}; ctdrop does not know which settings it applies at boot, so \
             ctdrop changes no file and cannot predict the limit after a boot",
            facts.init.name()
        ),
        snippet: format!("#!/bin/sh\n{script}"),
    }
}

/// A system that makes `/etc` anew.
fn on_appliance(appliance: &Appliance, script: String, size: &Size) -> Note {
    let (what, snippet) = match appliance.keeps {
        Keeps::Configuration { place, text } => (
            format!("set the limit in {place}"),
            text.replace("NUMBER", &size.max.to_string())
                .replace("BUCKETS", &size.buckets.to_string()),
        ),
        Keeps::Script(file) => (format!("add these lines to {file}"), script),
        Keeps::Nowhere => (
            "set the limit after each boot; ctdrop knows no place where it lasts".to_owned(),
            script,
        ),
    };
    Note {
        what,
        why: format!(
            "{} makes /etc anew at each boot, so ctdrop changes no file and cannot predict the limit \
             after a boot",
            appliance.name
        ),
        snippet,
    }
}

/// A kernel that has conntrack built in has no module options.
pub(crate) fn built_in(buckets: u64) -> Note {
    Note {
        what: "set the number of buckets on the kernel's command line".to_owned(),
        why: "conntrack is built into this kernel, or its option is on the command line, which \
              overrides all files"
            .to_owned(),
        snippet: format!("nf_conntrack.hashsize={buckets}\n"),
    }
}

/// What other programs do that files of the host cannot change.
pub(crate) fn advice(facts: &Facts, size: &Size) -> Vec<Note> {
    let mut notes: Vec<Note> = facts
        .writers
        .iter()
        .filter(|writer| {
            let sets = writer.sets.as_ref();
            writer.active && sets.is_some_and(|sets| !sets.reapplies && !sets.sets_only(size.max))
        })
        .map(|writer| Note {
            what: format!("{} sets another limit: {}", writer.title(), writer.knob),
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
                what: writer.knob.clone(),
                why: format!(
                    "firewalld {}; without this, the module option sets the limit to {} then",
                    writer.behaviour,
                    number(8 * size.buckets)
                ),
                snippet: String::new(),
            }),
    );
    if let Some(install) = &facts.modules.install {
        notes.push(Note {
            what: format!("{install} runs a command instead of loading the module"),
            why: "its effect on options and limit is unknown".to_owned(),
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
