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
    /// Whether text has what failed in the kernel.
    pub verbose: bool,
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
    /// At which step it failed, and what the kernel answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
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
            failed: unusable.as_ref().map(|it| it.failure.to_string()),
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
    say(&findings, *options).context("cannot write to standard output")?;
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

fn say(findings: &Findings, options: Options) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    match options.output {
        Output::Json => {
            serde_json::to_writer(&mut out, findings)?;
            writeln!(out)?;
        }
        Output::Text => {
            for line in lines(findings, options.verbose) {
                writeln!(out, "{line}")?;
            }
        }
    }
    out.flush()
}

fn lines(findings: &Findings, verbose: bool) -> Vec<String> {
    let mut lines = vec![
        format!("kernel     {}", findings.release),
        format!("conntrack  {}", findings.conntrack),
    ];
    for it in &findings.backends {
        let works = if it.sees_packets {
            "works"
        } else {
            "works, but sees no packets for watch --pcap"
        };
        let verdict = it.why.as_deref().unwrap_or(works);
        lines.push(format!("{:10} {verdict}", it.backend.to_string()));
        if verbose {
            let failed = it
                .failed
                .iter()
                .map(|step| format!("{:10} failed: {step}", ""));
            let log = it.verifier_log.iter().flat_map(|log| log.lines());
            lines.extend(failed);
            lines.extend(log.map(|line| format!("{:10} verifier: {line}", "")));
        }
    }
    for Unseen { missing, what } in &findings.unseen {
        let capability = capability_name(*missing);
        lines.push(format!("not seen   without {capability}: {what}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernel::surroundings::Lockdown,
        observe::failure::{Cause, LoadFailure, Step},
    };

    #[test]
    fn the_verifiers_log_is_only_in_a_verbose_answer() {
        let around = Arc::new(Surroundings {
            lockdown: Some(Lockdown::Confidentiality),
            ..Surroundings::good()
        });
        let rejected = Cause::Rejected {
            errno: libc::EINVAL,
            log: "R1=ctx()\nunknown func bpf_probe_read_kernel#113".to_owned(),
        };
        let failure = LoadFailure::new(Step::LoadProgram("alloc_exit"), rejected);
        let unusable = Unusable::new(Backend::Fexit, failure, &around);
        let findings = Findings {
            release: "6.12".to_owned(),
            conntrack: Presence::BuiltIn,
            backends: vec![
                Tried::new(Backend::Fexit, Some(unusable)),
                Tried::new(Backend::Counters, None),
            ],
            unseen: Vec::new(),
            surroundings: Surroundings::clone(&around),
        };
        let short = lines(&findings, false);
        assert_eq!(short.len(), 4, "one line for each backend: {short:?}");
        assert!(
            short[2].starts_with("fexit      the kernel is locked down"),
            "{short:?}"
        );
        let long = lines(&findings, true);
        let more = [
            "           failed: cannot load eBPF program alloc_exit: the verifier rejects it: Invalid \
             argument (os error 22)",
            "           verifier: R1=ctx()",
            "           verifier: unknown func bpf_probe_read_kernel#113",
        ];
        assert_eq!(long[3..6], more);
        assert_eq!(long.len(), short.len() + more.len());
    }

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
