//! A report as Markdown. Whatever a string from outside says, it is text.

use crate::{
    report::{
        fleet::Fleet,
        model::Report,
        outline::{self, Block, Section, Table, sentence, shown},
        sentences::{most_first, reason},
        timeline::coarser,
    },
    say::number::number,
};

/// How many points of time the table has at most.
const POINTS: i64 = 40;

/// Writes a report.
pub fn markdown(report: &Report) -> String {
    document(
        &outline::title(report),
        &outline::subtitle(report),
        outline::sections(report),
        report,
    )
}

/// Writes a report on several hosts.
pub fn fleet_markdown(fleet: &Fleet) -> String {
    document(
        outline::fleet::TITLE,
        &outline::fleet::subtitle(fleet),
        outline::fleet::sections(fleet),
        &fleet.as_report(),
    )
}

/// A document; `report` has its summary and its timeline.
fn document(title: &str, subtitle: &str, sections: Vec<Section>, report: &Report) -> String {
    let mut lines = vec![format!("# {}", text(title)), text(subtitle)];
    let summary = &report.summary;
    lines.extend([&summary.what, &summary.who, &summary.now].map(|it| long(it)));
    for section in sections {
        lines.push(format!("## {}", section.title));
        lines.extend(
            section
                .blocks
                .iter()
                .map(|block| self::block(block, report)),
        );
    }
    // One empty line between blocks.
    format!("{}\n", lines.join("\n\n"))
}

fn block(block: &Block, report: &Report) -> String {
    match block {
        Block::Text(it) => long(it),
        Block::Heading(it) => format!("### {}", text(it)),
        Block::List(items) => {
            let items = items.iter().map(|item| format!("- {}", long(item)));
            items.collect::<Vec<_>>().join("\n")
        }
        Block::Table(it) => table(it),
        Block::Code(caption, lines) => {
            let lines = lines.iter().map(|line| format!("    {}", shown(line)));
            let lines: Vec<String> = lines.collect();
            format!("{}\n\n{}", text(&format!("{caption}:")), lines.join("\n"))
        }
        Block::Timeline => timeline(report),
    }
}

/// The points, fewer of them, and all of it by reason.
fn timeline(report: &Report) -> String {
    let timeline = &report.timeline;
    let sums = most_first(&timeline.drops)
        .into_iter()
        .map(|(name, packets)| format!("- {}: {}", text(reason(name)), number(packets)));
    let sums: Vec<String> = sums.collect();
    let points = table(&outline::points(&coarser(timeline, POINTS)));
    let sums = if sums.is_empty() {
        "Nothing was refused in this time.".to_owned()
    } else {
        format!("Refused packets by reason:\n\n{}", sums.join("\n"))
    };
    // Sums of several hosts have no entries.
    let entries = timeline
        .netns_name
        .as_deref()
        .map_or_else(String::new, |of| {
            format!("Entries are those of network namespace {}.\n\n", text(of))
        });
    format!("{sums}\n\n{entries}{points}")
}

fn table(table: &Table) -> String {
    let row = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let heads = table.columns.iter().map(|column| text(&column.title));
    let rules = table.columns.iter().map(|column| {
        if column.numeric {
            "---:".to_owned()
        } else {
            "---".to_owned()
        }
    });
    let mut lines = vec![
        format!("{}:", text(&table.caption)),
        String::new(),
        row(heads.collect()),
        row(rules.collect()),
    ];
    let rows = table.rows.iter();
    lines.extend(rows.map(|cells| row(cells.iter().map(|cell| text(cell)).collect())));
    lines.join("\n")
}

/// Text of ours with text from outside in it.
fn text(text: &str) -> String {
    escaped(&shown(text))
}

/// The same, of sentences, which may be long.
fn long(text: &str) -> String {
    escaped(&sentence(text))
}

/// Text without anything that Markdown, or GitHub's, acts on.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let trimmed = text.trim();
    let begin = trimmed.trim_start_matches(|char: char| char.is_ascii_digit());
    for (place, char) in trimmed.char_indices() {
        let rest = &trimmed[place + char.len_utf8()..];
        let special = match char {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '!' | '~' | '&'
            | '@' | '$' | '^' => true,
            // What a line may begin with: a list, a rule, a heading.
            '-' | '+' | '=' => place == 0,
            '.' | ')' => {
                let numbers = place > 0 && trimmed.len() - begin.len() == place;
                numbers && rest.starts_with(' ') || trimmed[..place].ends_with("www")
            }
            // An address that would become a link.
            ':' => place == 0 || rest.starts_with("//"),
            _ => false,
        };
        match char {
            // Tables take a backslash before it for another one.
            '|' => out.push_str("&#124;"),
            _ if special => out.extend(['\\', char]),
            _ => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_only_text() {
        assert_eq!(text("a|b`c"), "a&#124;b\\`c");
        assert_eq!(text("1. one"), "1\\. one");
        assert_eq!(text("10.0.0.1 is up"), "10.0.0.1 is up");
        assert_eq!(text("- x\n# y"), "\\- x\u{fffd}\\# y");
        assert_eq!(text("<b>[x](http://y)"), "\\<b\\>\\[x\\](http\\://y)");
    }
}
