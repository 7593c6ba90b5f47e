//! What observing costs, as tables: ratios of numbers from one run.

use std::fmt::Write as _;

use anyhow::Result;

use super::figures::Figures;

/// Kinds of packets, as figures and as tables name them.
const PACKETS: [(&str, &str); 4] = [
    ("established_instructions", "established"),
    ("new_instructions", "new"),
    ("refused_again_instructions", "refused"),
    ("refused_first_instructions", "refused, first of its flow"),
];

/// By how much more instructions a packet takes, for each observer.
pub(super) fn packets(figures: &Figures) -> Result<String> {
    let mut table = "### Instructions of a packet\n\n| observer |".to_owned();
    for (_, packet) in PACKETS {
        let _ = write!(table, " {packet} |");
    }
    table += "\n| --- | --- | --- | --- | --- |\n| none, instructions |";
    for (what, _) in PACKETS {
        let _ = write!(table, " {:.0} |", figures.get(what, "none")?);
    }
    table += "\n";
    let (what, _) = PACKETS[0];
    for observer in figures
        .observers(what)
        .filter(|&observer| observer != "none")
    {
        let _ = write!(table, "| {observer} |");
        for (what, _) in PACKETS {
            let _ = write!(table, " {} |", percent(added(figures, what, observer)?));
        }
        table += "\n";
    }
    Ok(table)
}

/// How many more instructions a packet takes with an observer, as a share of those
/// that it takes without one.
pub(super) fn added(figures: &Figures, what: &str, observer: &str) -> Result<f64> {
    Ok(figures.get(what, observer)? / figures.get(what, "none")? - 1.0)
}

/// A share with a sign; one that would be shown as -0.00 is none.
pub(super) fn percent(share: f64) -> String {
    let hundredths = (share * 1e4).round();
    format!(
        "{:+.2} %",
        if hundredths == 0.0 {
            0.0
        } else {
            hundredths / 1e2
        }
    )
}

/// Instructions of the hooks with programs that do nothing, and with those of ctdrop.
pub(super) fn floor(figures: &Figures) -> Result<String> {
    let mut table = "### Programs that do nothing\n\n\
         Instructions that are added by ctdrop, armed by pressure, and by programs that do nothing \
         at the same functions.\n\n\
         | backend | new flow, empty | new flow, ctdrop | refused, empty | refused, ctdrop | ratio |\n\
         | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for backend in ["fexit", "kprobe", "tracepoint"] {
        let more = |what: &str, who: &str| -> Result<f64> {
            Ok(figures.get(what, who)? - figures.get(what, "none")?)
        };
        let (empty, own) = (
            format!("empty programs, {backend}"),
            format!("ctdrop {backend} under pressure"),
        );
        let (new, refused) = ("new_instructions", "refused_again_instructions");
        let (least, all) = (more(refused, &empty)?, more(refused, &own)?);
        let _ = writeln!(
            table,
            "| {backend} | {:.0} | {:.0} | {least:.0} | {all:.0} | {:.1} |",
            more(new, &empty)?,
            more(new, &own)?,
            all / least
        );
    }
    Ok(table)
}

/// How long each program runs.
pub(super) fn programs(figures: &Figures) -> String {
    let mut table = "### Instructions of a program's run\n\n\
         | program | for a new flow | for a refused packet |\n| --- | --- | --- |\n"
        .to_owned();
    let (new, refused) = ("new_program_instructions", "refused_program_instructions");
    let mut names: Vec<&str> = figures
        .observers(new)
        .chain(figures.observers(refused))
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let cell = |what| match figures.get(what, name) {
            Ok(value) => format!("{value:.0}"),
            Err(_) => "not run".to_owned(),
        };
        let _ = writeln!(table, "| {name} | {} | {} |", cell(new), cell(refused));
    }
    table
}

/// The number of flows that the refused packets belong to: in names of figures, and in tables.
const FLOWS: [(&str, &str); 3] = [
    ("100", "100 flows"),
    ("10000", "10,000 flows"),
    ("1000000", "1,000,000 flows"),
];

/// Refused packets a second, as ratios of those without an observer.
pub(super) fn rates(figures: &Figures) -> String {
    by_flows(
        "### Refused packets a second, received, virtual machine",
        "refused_rate",
        figures,
        |ratio| format!("{ratio:.2}"),
    )
}

/// How long the programs run for a refused packet on this machine.
pub(super) fn run_times(figures: &Figures) -> String {
    by_flows(
        "### Nanoseconds of programs for a refused packet, received, this machine",
        "run_time",
        figures,
        |time| format!("{time:.0}"),
    )
}

/// A figure for each observer, with a column for each number of flows.
fn by_flows(head: &str, what: &str, figures: &Figures, cell: impl Fn(f64) -> String) -> String {
    let mut table = format!("{head}\n\n| observer |");
    for (_, flows) in FLOWS {
        let _ = write!(table, " {flows} |");
    }
    table += "\n| --- | --- | --- | --- |\n";
    let (common, _) = FLOWS[1];
    for observer in figures.observers(&format!("{what}_{common}")) {
        let _ = write!(table, "| {observer} |");
        for (flows, _) in FLOWS {
            let _ = match figures.get(&format!("{what}_{flows}"), observer) {
                Ok(value) => write!(table, " {} |", cell(value)),
                Err(_) => write!(table, " not measured |"),
            };
        }
        table += "\n";
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_a_sign_and_no_negative_zero() {
        assert_eq!(percent(0.0504), "+5.04 %");
        assert_eq!(percent(-0.000_01), "+0.00 %");
        assert_eq!(percent(-0.01), "-1.00 %");
    }

    #[test]
    fn a_program_that_did_not_run_is_said_to_have_not() {
        let figures = [("refused_program_instructions", "fexit: x", 12.0)];
        let table = programs(&figures.into_iter().collect());
        assert!(table.ends_with("| fexit: x | not run | 12 |\n"), "{table}");
    }

    #[test]
    fn an_observer_that_was_not_measured_with_all_flows_is_in_the_table() {
        let figures = [
            ("refused_rate_100", "ctdrop", 0.5),
            ("refused_rate_10000", "ctdrop", 0.511),
            ("refused_rate_1000000", "ctdrop", 0.4),
            ("refused_rate_10000", "dropwatch", 0.9),
        ];
        let table = rates(&figures.into_iter().collect());
        let rows: Vec<&str> = table.lines().skip(4).collect();
        assert_eq!(
            rows,
            [
                "| ctdrop | 0.50 | 0.51 | 0.40 |",
                "| dropwatch | not measured | 0.90 | not measured |"
            ]
        );
    }
}
