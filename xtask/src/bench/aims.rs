//! What observing may cost, and whether it keeps to that.

use std::fmt::Write as _;

use anyhow::Result;

use super::{figures::Figures, tables::added};

/// One aim.
struct Aim {
    what: String,
    /// The unit, behind the number.
    unit: &'static str,
    /// Digits behind the point.
    digits: usize,
    measured: f64,
    bound: Bound,
}

/// How far a figure may go.
#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Aim {
    fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtMost(bound) => self.measured <= bound,
            Bound::AtLeast(bound) => self.measured >= bound,
        }
    }

    /// The row of a table.
    fn row(&self) -> String {
        let Self { unit, digits, .. } = self;
        let (sign, bound) = match self.bound {
            Bound::AtMost(bound) => ('≤', bound),
            Bound::AtLeast(bound) => ('≥', bound),
        };
        let met = if self.is_met() {
            "yes".to_owned()
        } else {
            format!("missed by {:.digits$}{unit}", (self.measured - bound).abs())
        };
        format!(
            "| {} | {sign} {bound:.digits$}{unit} | {:.digits$}{unit} | {met} |",
            self.what, self.measured
        )
    }
}

/// All aims with what was measured.
pub(super) fn table(packets: &Figures, rates: &Figures, footprint: &Figures) -> Result<String> {
    let mut aims = instructions(packets)?;
    aims.extend(ratios(rates)?);
    aims.extend(takes(footprint)?);
    let mut table =
        "### Aims\n\n| what | aim | measured | met |\n| --- | --- | --- | --- |\n".to_owned();
    for aim in &aims {
        let _ = writeln!(table, "{}", aim.row());
    }
    Ok(table)
}

const BACKENDS: [&str; 3] = ["fexit", "kprobe", "tracepoint"];

fn instructions(packets: &Figures) -> Result<Vec<Aim>> {
    let mut aims = Vec::new();
    let mut aim = |what: String, share: f64, bound: f64| {
        aims.push(Aim {
            what,
            unit: " %",
            digits: 2,
            measured: share * 100.0,
            bound: Bound::AtMost(bound),
        });
    };
    for backend in BACKENDS {
        let more = added(
            packets,
            "established_instructions",
            &format!("ctdrop {backend} under pressure"),
        )?;
        aim(format!("{backend}: established flow"), more, 0.005);
    }
    for backend in ["fexit", "kprobe"] {
        let more = added(
            packets,
            "new_instructions",
            &format!("ctdrop {backend} at rest"),
        )?;
        aim(format!("{backend}: new flow at rest"), more, 0.1);
    }
    for backend in ["fexit", "kprobe"] {
        let armed = format!("ctdrop {backend} under pressure");
        let more = added(packets, "new_instructions", &armed)?;
        aim(format!("{backend}: new flow, armed by pressure"), more, 2.7);
    }
    for (backend, same_job) in [("fexit", 15.0), ("kprobe", 15.0), ("tracepoint", 10.0)] {
        let more = |who: &str| added(packets, "refused_again_instructions", who);
        let own = more(&format!("ctdrop {backend} under pressure"))?;
        for (script, who, bound) in [
            (
                "a bpftrace script that does the same",
                format!("bpftrace {backend}, same job"),
                same_job,
            ),
            (
                "a bpftrace script that counts by tuple alone",
                format!("bpftrace {backend}"),
                60.0,
            ),
        ] {
            let what =
                format!("{backend}: added instructions of a refused packet, relative to {script}");
            aim(what, own / more(&who)?, bound);
        }
    }
    Ok(aims)
}

fn ratios(rates: &Figures) -> Result<Vec<Aim>> {
    let aim = |(backend, bound): (&str, f64)| -> Result<Aim> {
        Ok(Aim {
            what: format!("{backend}: refused packets a second, 10,000 flows"),
            unit: "",
            digits: 2,
            measured: rates.get(
                "refused_rate_10000",
                &format!("ctdrop {backend} under pressure"),
            )?,
            bound: Bound::AtLeast(bound),
        })
    };
    [("fexit", 0.85), ("kprobe", 0.80), ("tracepoint", 0.90)]
        .into_iter()
        .map(aim)
        .collect()
}

fn takes(footprint: &Figures) -> Result<Vec<Aim>> {
    let aims = [
        ("start_ms", "start to attached", " ms", 0, 200.0),
        ("idle_percent", "idle, of a processor", " %", 2, 0.3),
        ("idle_mib", "idle, memory", " MiB", 1, 20.0),
        (
            "million_flows_cpu_s",
            "a million flows drained, processor",
            " s",
            2,
            0.35,
        ),
        (
            "million_flows_mib",
            "a million flows drained, memory",
            " MiB",
            1,
            128.0,
        ),
        ("binary_mib", "static binary", " MiB", 1, 12.0),
    ];
    let aim = |(figure, what, unit, digits, bound): (&str, &str, _, _, f64)| -> Result<Aim> {
        Ok(Aim {
            what: what.to_owned(),
            unit,
            digits,
            measured: footprint.get(figure, "tracepoint")?,
            bound: Bound::AtMost(bound),
        })
    };
    aims.into_iter().map(aim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_says_by_how_much() {
        let aim = |measured, bound| Aim {
            what: "x".to_owned(),
            unit: " s",
            digits: 2,
            measured,
            bound,
        };
        let missed = aim(1.33, Bound::AtMost(0.5));
        assert_eq!(missed.row(), "| x | ≤ 0.50 s | 1.33 s | missed by 0.83 s |");
        assert!(aim(0.91, Bound::AtLeast(0.9)).row().ends_with("| yes |"));
        assert!(!aim(0.89, Bound::AtLeast(0.9)).is_met());
    }
}
