//! `ctdrop probe`: which ways to observe this host offers, by trying each, and
//! what the others lack.

use std::io::{self, Write as _};

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
        survey::{
            diagnosis::{Missing, capability_name},
            ladder::{self, NotUsed},
        },
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
    /// Each rung, top first.
    backends: Vec<Finding>,
    /// What no rung sees from here.
    unseen: Vec<Unseen>,
    /// What all this was told from.
    surroundings: Surroundings,
}

/// A rung.
#[derive(Debug, Serialize)]
struct Finding {
    backend: Backend,
    works: bool,
    /// What stands in the way, and the remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// The same as codes.
    missing: Vec<Missing>,
}

/// Something that is not seen for want of a capability.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Unseen {
    missing: Capability,
    what: &'static str,
}

/// Tries every rung and says what is missing for those that do not hold. Fails
/// if none does.
pub fn run(options: &Options) -> Result<()> {
    let surroundings = Surroundings::read()?;
    let findings = Findings {
        release: Release::running()?.text,
        conntrack: Presence::read()?,
        backends: Backend::LADDER.into_iter().map(try_out).collect(),
        unseen: unseen(&surroundings),
        surroundings,
    };
    say(&findings, options.output).context("cannot write to standard output")?;
    if findings.backends.iter().all(|finding| !finding.works) {
        bail!("no backend works on this host");
    }
    Ok(())
}

fn try_out(backend: Backend) -> Finding {
    match ladder::try_out(backend) {
        Ok(()) => Finding {
            backend,
            works: true,
            why: None,
            missing: Vec::new(),
        },
        Err(error) => {
            let NotUsed { why, missing, .. } = NotUsed::because(backend, &error);
            Finding {
                backend,
                works: false,
                why: Some(why),
                missing,
            }
        }
    }
}

/// What the capabilities in effect leave in the dark, whatever the rung.
fn unseen(around: &Surroundings) -> Vec<Unseen> {
    let all = [
        (
            Capability::CapSysPtrace,
            "network namespaces of other users' processes are not found",
        ),
        (
            Capability::CapSysAdmin,
            "other network namespaces cannot be entered for their limits, and those without a \
             process not for their counters",
        ),
        (
            Capability::CapSyslog,
            "the kernel log may be closed to the counters backend, and stale_extension is taken \
             for chain_too_long",
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
            for Finding { backend, why, .. } in &findings.backends {
                let verdict = why.as_deref().unwrap_or("works");
                writeln!(out, "{:10} {verdict}", backend.to_string())?;
            }
            for Unseen { missing, what } in &findings.unseen {
                writeln!(
                    out,
                    "unseen     without {}: {what}",
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
    fn what_is_left_in_the_dark_is_said() {
        use Capability::{CapBpf, CapPerfmon, CapSysAdmin, CapSysPtrace, CapSyslog};
        let around = |capabilities: &[Capability]| {
            let mut around = Surroundings::read().unwrap();
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
