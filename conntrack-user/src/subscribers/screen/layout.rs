//! What has room on a terminal: of little room, what matters most.

use crate::subscribers::{
    screen::{clip::clipped, terminal::Size},
    text::{report::Interval, table::TableText},
};

/// The last line.
const KEYS: &str = "Ctrl-C ends and prints the totals";

/// What there is to show.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// Where this runs.
    pub(super) header: Vec<String>,
    /// The limit, who comes closest to it, and who will reach it.
    pub(super) limit: Vec<String>,
    /// What has changed last.
    pub(super) changed: Vec<String>,
    /// The last report.
    pub(super) interval: Option<Interval>,
}

/// How many lines of each part have room.
#[derive(Clone, Copy, Debug, Default)]
struct Shares {
    /// Lines that are not given away yet.
    left: usize,
    keys: usize,
    headline: usize,
    columns: usize,
    rows: usize,
    more: usize,
    verdict: usize,
    limit: usize,
    changed: usize,
    namespaces: usize,
    header: usize,
    blank: usize,
}

impl Contents {
    /// The lines for a terminal of that size.
    pub(super) fn lines(&self, size: Size) -> Vec<String> {
        let lines = if let Some(interval) = &self.interval {
            self.with(interval, size)
        } else {
            let room = size.height.saturating_sub(1);
            let header = self.header.iter().chain(&self.limit).take(room).cloned();
            header.chain([KEYS.to_owned()]).collect()
        };
        let lines = lines.iter().take(size.height);
        lines
            .map(|line| clipped(line, size.width).into_owned())
            .collect()
    }

    fn with(&self, interval: &Interval, size: Size) -> Vec<String> {
        let shares = self.shares(interval, size.height);
        let mut lines: Vec<String> = self.header[..shares.header].to_vec();
        lines.extend(self.limit.iter().take(shares.limit).cloned());
        lines.extend_from_slice(&self.changed[..shares.changed]);
        if shares.blank > 0 {
            lines.push(String::new());
        }
        let headline = interval.headline_within(size.width);
        lines.extend(headline.into_iter().take(shares.headline));
        lines.extend(namespaces(&interval.namespaces, shares.namespaces));
        if let Some(table) = &interval.table {
            let mut table_lines = table.within(size.width).into_iter();
            let columns = table_lines.next();
            lines.extend(columns.filter(|_| shares.columns > 0));
            lines.extend(table_lines.take(shares.rows));
            let more = table.more(shares.rows);
            lines.extend(more.filter(|_| shares.more > 0));
        }
        lines.extend(interval.verdict.iter().take(shares.verdict).cloned());
        if shares.blank > 1 {
            lines.push(String::new());
        }
        lines.extend((shares.keys > 0).then(|| KEYS.to_owned()));
        lines
    }

    /// Gives the lines of a terminal away: first one of each part that must not be
    /// missing, then the rest of the parts, the header last.
    fn shares(&self, interval: &Interval, height: usize) -> Shares {
        let mut shares = Shares {
            left: height,
            ..Shares::default()
        };
        let rows = interval.table.as_ref().map_or(0, TableText::len);
        let omits = interval.table.as_ref().is_some_and(TableText::omits_rows);
        shares.headline = shares.take(1);
        shares.rows = shares.take(rows.min(1));
        shares.keys = shares.take(1);
        shares.verdict = shares.take(interval.verdict.iter().len());
        // Where one row is all there is, nothing more is to be said.
        shares.more = shares.take(usize::from(omits || rows > 1));
        shares.columns = shares.take(rows.min(1));
        shares.changed = shares.take(self.changed.len().min(1));
        shares.namespaces = shares.take(interval.namespaces.len().min(1));
        shares.limit = shares.take(self.limit.len());
        shares.rows += shares.take(rows.saturating_sub(1));
        if shares.rows == rows && !omits {
            shares.left += shares.more;
            shares.more = 0;
        } else if shares.rows + 1 == rows && !omits && shares.more > 0 {
            // The line that would name one row has room for it.
            shares.rows = rows;
            shares.more = 0;
        }
        shares.headline += shares.take(interval.headlines().saturating_sub(1));
        shares.changed += shares.take(self.changed.len().saturating_sub(1));
        shares.namespaces += shares.take(interval.namespaces.len().saturating_sub(1));
        shares.header = shares.take(self.header.len());
        shares.blank = shares.take(2);
        shares
    }
}

impl Shares {
    /// Takes as many lines of those that are left.
    fn take(&mut self, wanted: usize) -> usize {
        let taken = wanted.min(self.left);
        self.left -= taken;
        taken
    }
}

/// As many lines about namespaces; the last one says how many there is no room for.
fn namespaces(all: &[String], room: usize) -> Vec<String> {
    if all.len() <= room {
        return all.to_vec();
    }
    let Some(shown) = room.checked_sub(1) else {
        return Vec::new();
    };
    let left_out = all.len() - shown;
    let what = match (shown, left_out) {
        (0, _) => format!("  {left_out} network namespaces"),
        (_, more) => format!("  and {more} more network namespaces"),
    };
    all[..shown].iter().cloned().chain([what]).collect()
}
