//! `ctdrop probe`: which backends work on this host, by trying each, and what stands
//! in the way of the others.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::{
    kernel::{
        presence::Presence,
        release::Release,
        surroundings::{Capability, Surroundings},
    },
    observe::{
        backend::Backend,
        obstacle::Obstacle,
        survey::{self, remedy::capability_name, unusable::Unusable},
    },
    say::output::Output,
};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Form of the output.
    pub output: Output,
}

/// What was found.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "probe")]
struct Findings {
    /// Release of the kernel.
    release: String,
    /// Whether it has conntrack now.
    conntrack: Presence,
    /// Each backend, the best first.
    backends: Vec<Tried>,
    /// What no backend sees from here.
    unseen: Vec<Unseen>,
    /// What all this was told from.
    surroundings: Surroundings,
}

/// A backend.
#[derive(Debug, Serialize)]
struct Tried {
    backend: Backend,
    works: bool,
    /// Whether it sees refused packets, so that `watch --pcap` can write them.
    sees_packets: bool,
    /// What stands in the way, and the remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// The same as codes.
    missing: Vec<Obstacle>,
    /// The end of the verifier's log, if it rejected a program.
    #[serde(skip_serializing_if = "Option::is_none")]
    verifier_log: Option<String>,
}

impl Tried {
    fn new(backend: Backend, unusable: Option<Unusable>) -> Self {
        Self {
            backend,
            works: unusable.is_none(),
            sees_packets: backend.has_packets(),
            why: unusable.as_ref().map(Unusable::why),
            verifier_log: unusable
                .as_ref()
                .and_then(Unusable::verifier_log)
                .map(ToOwned::to_owned),
            missing: unusable.map_or_else(Vec::new, |it| it.obstacles),
        }
    }
}

/// Something that is not seen for want of a capability.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Unseen {
    missing: Capability,
    what: &'static str,
}

/// Tries every backend and says what stands in the way of those that do not work.
/// Fails if none does.
pub fn run(options: &Options) -> Result<()> {
    let surroundings = Arc::new(Surroundings::read());
    let tried = survey::try_all(&surroundings).into_iter();
    let findings = Findings {
        release: Release::running()?.text,
        conntrack: Presence::read()?,
        backends: tried
            .map(|(backend, unusable)| Tried::new(backend, unusable))
            .collect(),
        unseen: unseen(&surroundings),
        surroundings: Surroundings::clone(&surroundings),
    };
    say(&findings, options.output).context("cannot write to standard output")?;
    if findings.backends.iter().all(|finding| !finding.works) {
        bail!("no backend works on this host");
    }
    Ok(())
}

/// What is not seen without the capabilities that are missing, whatever the backend.
fn unseen(around: &Surroundings) -> Vec<Unseen> {
    let all = [
        (
            Capability::CapSysPtrace,
            "network namespaces of other users' processes are not found",
        ),
        (
            Capability::CapSysAdmin,
            "limits of other network namespaces cannot be read; counters of namespaces without a \
             process cannot be read either",
        ),
        (
            Capability::CapSyslog,
            "the counters backend may not be able to read the kernel log, and packets lost to \
             stale_extension are counted as chain_too_long",
        ),
    ];
    all.into_iter()
        .filter(|&(capability, _)| !around.may(capability))
        .map(|(missing, what)| Unseen { missing, what })
        .collect()
}

fn say(findings: &Findings, output: Output) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    match output {
        Output::Json => {
            serde_json::to_writer(&mut out, findings)?;
            writeln!(out)?;
        }
        Output::Text => {
            writeln!(out, "kernel     {}", findings.release)?;
            writeln!(out, "conntrack  {}", findings.conntrack)?;
            for it in &findings.backends {
                let works = if it.sees_packets {
                    "works"
                } else {
                    "works, but sees no packets for watch --pcap"
                };
                let verdict = it.why.as_deref().unwrap_or(works);
                writeln!(out, "{:10} {verdict}", it.backend.to_string())?;
                for line in it.verifier_log.iter().flat_map(|log| log.lines()) {
                    writeln!(out, "{:10} verifier: {line}", "")?;
                }
            }
            for Unseen { missing, what } in &findings.unseen {
                writeln!(
                    out,
                    "not seen   without {}: {what}",
                    capability_name(*missing)
                )?;
            }
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_said() {
        use Capability::{CapBpf, CapPerfmon, CapSysAdmin, CapSysPtrace, CapSyslog};
        let around = |capabilities: &[Capability]| {
            let mut around = Surroundings::read();
            around.capabilities = capabilities.to_vec();
            let unseen = unseen(&around);
            unseen.iter().map(|it| it.missing).collect::<Vec<_>>()
        };
        assert_eq!(around(&Capability::ALL), []);
        assert_eq!(
            around(&[CapBpf, CapPerfmon]),
            [CapSysPtrace, CapSysAdmin, CapSyslog]
        );
        assert_eq!(around(&[CapSysPtrace, CapSyslog]), [CapSysAdmin]);
    }
}
