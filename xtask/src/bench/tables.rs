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

/// Refused packets a second, as ratios of those without an observer.
pub(super) fn rates(inside: &Figures, here: &Figures) -> Result<String> {
    let mut table = "### Refused packets a second\n\n\
         | where | observer | ratio | least and greatest ratio of a round |\n\
         | --- | --- | --- | --- |\n"
        .to_owned();
    for (place, figures) in [("virtual machine", inside), ("this machine", here)] {
        for observer in figures
            .observers("refused_rate")
            .filter(|&who| who != "none")
        {
            let ratio = figures.get("refused_rate", observer)?;
            let least = figures.get("refused_rate_least", observer)?;
            let most = figures.get("refused_rate_most", observer)?;
            let _ = writeln!(
                table,
                "| {place} | {observer} | {ratio:.2} | {least:.2} to {most:.2} |"
            );
        }
    }
    Ok(table)
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
}
