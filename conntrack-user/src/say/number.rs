//! Numbers as people read them.

use std::time::Duration;

/// `1,234,567`
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something that takes an `s` if they are several.
pub fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", number(count))
}

/// So many entries.
pub fn counted_entries(count: u64) -> String {
    let noun = if count == 1 { "entry" } else { "entries" };
    format!("{} {noun}", number(count))
}

/// A number that may not be known.
pub fn optional(value: Option<u64>) -> String {
    value.map_or_else(|| "unknown".to_owned(), number)
}

/// A limit, if it is known; 0 is none.
pub fn limit(max: Option<u64>) -> String {
    match max {
        Some(0) => "none".to_owned(),
        max => optional(max),
    }
}

/// A share in per cent, rounded down: `37 %`; less than one per cent, but something, is
/// `under 1 %`. So only what is full is `100 %`, and only nothing is `0 %`.
pub fn percent(share: f64) -> String {
    if share > 0.0 && share < 1.0 {
        return "under 1 %".to_owned();
    }
    format!("{:.0} %", share.floor())
}

/// A part of a whole as [`percent`] shows it; of nothing it is `0 %`.
#[expect(
    clippy::cast_precision_loss,
    reason = "a share, of numbers far below 2⁵²"
)]
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return percent(0.0);
    }
    percent(part as f64 * 100.0 / whole as f64)
}

/// A span of time to the last part: `5m`, `2h 4m`, `5 days`. Units that are whole words
/// stand apart from their number.
pub fn span(time: Duration) -> String {
    let text = humantime::format_duration(time).to_string();
    ["day", "month", "year"]
        .iter()
        .fold(text, |text, unit| text.replace(unit, &format!(" {unit}")))
}

/// A [`span`] of whole seconds.
pub fn seconds(seconds: u32) -> String {
    span(Duration::from_secs(seconds.into()))
}

/// `400 MiB`
#[expect(
    clippy::cast_precision_loss,
    reason = "shown with three digits at most"
)]
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = value as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit > 0 && size < 10.0 {
        format!("{size:.1} {}", UNITS[unit])
    } else {
        format!("{size:.0} {}", UNITS[unit])
    }
}

/// `1.0 s`, `30s`, `2h`, `5 days`: without parts too small to matter.
pub fn duration(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        return format!("{:.1} s", time.as_secs_f64());
    }
    let seconds = time.as_secs();
    let whole = match seconds {
        0..600 => seconds,
        600..86_400 => seconds / 60 * 60,
        _ => seconds / 3600 * 3600,
    };
    span(Duration::from_secs(whole))
}

/// An estimate in seconds with its bounds: `about 12 min (9 to 17 min)`.
pub fn about(seconds: f64, earliest: f64, latest: f64) -> String {
    const UNITS: [(&str, f64); 4] = [("days", 86_400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)];
    // Two of a unit are enough for its digits to say something.
    let unit = UNITS.iter().find(|(_, length)| seconds >= 2.0 * length);
    let Some((unit, length)) = unit else {
        return "a few seconds".to_owned();
    };
    let [about, earliest, latest] =
        [seconds, earliest, latest].map(|time| format!("{:.0}", time / length));
    if earliest == latest {
        return format!("about {about} {unit}");
    }
    format!("about {about} {unit} ({earliest} to {latest} {unit})")
}

/// The first of many names.
pub fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 3;
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text.push_str(" and others");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        let lines = [0, 1, 2, 1000].map(|count| counted(count, "line"));
        assert_eq!(lines, ["0 lines", "1 line", "2 lines", "1,000 lines"]);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(number),
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn shares_do_not_hide_what_is_there() {
        let shares = [(0, 0), (0, 5), (1, 1000), (1, 100), (999, 1000), (5, 5)];
        assert_eq!(
            shares.map(|(part, whole)| share(part, whole)),
            ["0 %", "0 %", "under 1 %", "1 %", "99 %", "100 %"]
        );
        let table = 1 << 31;
        assert_eq!(share(table - 1, table), "99 %");
        for part in 0..=1000 {
            let (shown, floor) = (share(part, 1000), part / 10);
            assert!(part == 0 || floor > 0 || shown == "under 1 %");
            assert!(part > 0 && floor == 0 || shown == format!("{floor} %"));
        }
    }

    #[test]
    fn numbers_as_people_read_them() {
        assert_eq!([0, 999, 1_234_567].map(number), ["0", "999", "1,234,567"]);
        assert_eq!(
            [0.0, 0.04, 9.94, 99.98, 111.1].map(percent),
            ["0 %", "under 1 %", "9 %", "99 %", "111 %"]
        );
        assert_eq!(
            [320, 2048, 419_430_400, 1 << 40].map(bytes),
            ["320 B", "2.0 KiB", "400 MiB", "1.0 TiB"]
        );
        let seconds = |seconds| duration(Duration::from_millis(seconds));
        assert_eq!(
            [1004, 30_000, 7_210_000, 97_200_000, 432_000_000].map(seconds),
            ["1.0 s", "30s", "2h", "1 day 3h", "5 days"]
        );
        assert_eq!(
            [0, 300, 7440, 86_400, 432_000, 40_000_000].map(super::seconds),
            [
                "0s",
                "5m",
                "2h 4m",
                "1 day",
                "5 days",
                "1 year 3 months 6 days 9h 25m 52s"
            ]
        );
    }

    #[test]
    fn an_estimate_has_its_bounds_in_the_same_unit() {
        assert_eq!(about(720.0, 540.0, 1020.0), "about 12 min (9 to 17 min)");
        assert_eq!(about(45.0, 44.8, 45.2), "about 45 s");
        assert_eq!(about(100.0, 60.0, 130.0), "about 100 s (60 to 130 s)");
        assert_eq!(about(7200.0, 7000.0, 11_000.0), "about 2 h (2 to 3 h)");
        assert_eq!(about(0.0, 0.0, 3.0), "a few seconds");
        assert_eq!(
            about(3.0 * 86_400.0, 2.0 * 86_400.0, 86_400.0 * 5.0),
            "about 3 days (2 to 5 days)"
        );
    }
}
