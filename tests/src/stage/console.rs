//! What guest and host tell each other over the serial console.

use anyhow::Error;

/// The line by which a guest says that it waits for the name of a scenario.
pub const READY: &str = "ctdrop-ready";

/// Starts the one line by which a guest states how its scenario ended.
const RESULT: &str = "ctdrop-result: ";

/// Opens a passage that `demo` shows to the user.
pub const SHOW_BEGIN: &str = "ctdrop-show: begin";

/// Closes a passage that `demo` shows to the user.
pub const SHOW_END: &str = "ctdrop-show: end";

/// Texts by which a kernel says that it is broken. Every one of them is printed
/// at `KERN_ERR` or above, so that `quiet` does not hide it.
const TROUBLES: [&str; 9] = [
    "Kernel panic - not syncing",
    "watchdog: BUG: soft lockup",
    "detected stalls on CPU",
    "self-detected stall on CPU",
    "BUG: kernel NULL pointer",
    "BUG: unable to handle",
    "kernel BUG at",
    "general protection fault",
    "Out of memory: Killed process",
];

/// How a scenario ended, as the guest states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every assertion held.
    Ok,
    /// The reason in one line.
    Failed(String),
}

impl Verdict {
    /// The verdict on a scenario that returned `error`: its chain of causes in
    /// one line, because the console has only lines.
    pub fn of(error: &Error) -> Self {
        Self::failed(&format!("{error:#}"))
    }

    /// A failure for `reason`, folded into one line.
    pub fn failed(reason: &str) -> Self {
        let lines: Vec<_> = reason
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        Self::Failed(lines.join("; "))
    }

    /// The line that a guest writes.
    pub fn to_line(&self) -> String {
        match self {
            Self::Ok => format!("{RESULT}ok"),
            Self::Failed(reason) => format!("{RESULT}failed: {reason}"),
        }
    }

    /// The verdict that a console line holds. The marker may stand anywhere in
    /// the line: a kernel message can have been cut off in front of it.
    pub fn in_line(line: &str) -> Option<Self> {
        let (_, verdict) = line.split_once(RESULT)?;
        if verdict == "ok" {
            return Some(Self::Ok);
        }
        let reason = verdict.strip_prefix("failed: ")?;
        Some(Self::Failed(reason.to_owned()))
    }
}

/// The part of a console line that says that the kernel is broken.
pub fn trouble(line: &str) -> Option<&'static str> {
    TROUBLES.into_iter().find(|marker| line.contains(marker))
}

/// Picks out of a console what a guest wants its user to see.
#[derive(Debug, Default)]
pub struct Show {
    /// Inside a passage.
    open: bool,
}

impl Show {
    /// The line if it stands inside a passage and the kernel did not write it.
    pub fn pick<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        match line {
            SHOW_BEGIN => self.open = true,
            SHOW_END => self.open = false,
            _ if self.open && !is_kernel_message(line) => return Some(line),
            _ => {}
        }
        None
    }
}

/// Whether a line has the time stamp of printk, such as `[    3.141592] `.
fn is_kernel_message(line: &str) -> bool {
    let Some((stamp, _)) = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    else {
        return false;
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    stamp
        .trim_start()
        .split_once('.')
        .is_some_and(|(seconds, micros)| digits(seconds) && digits(micros) && micros.len() == 6)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_verdict_survives_the_console() {
        let failed = Verdict::of(&anyhow!("4 flows\n  expected 5\n").context("table_full"));
        assert_eq!(
            failed.to_line(),
            "ctdrop-result: failed: table_full: 4 flows; expected 5"
        );
        for verdict in [Verdict::Ok, failed] {
            assert_eq!(Verdict::in_line(&verdict.to_line()), Some(verdict));
        }
    }

    #[test]
    fn a_verdict_is_found_behind_a_cut_kernel_message() {
        let line = "[    2.000000] clocksource: ctdrop-result: ok";
        assert_eq!(Verdict::in_line(line), Some(Verdict::Ok));
    }

    #[test]
    fn anything_else_is_no_verdict() {
        for line in [
            "",
            "ok",
            "ctdrop-result: okay",
            "ctdrop-result: failed",
            "ctdrop-result:ok",
        ] {
            assert_eq!(Verdict::in_line(line), None, "{line}");
        }
    }

    #[test]
    fn a_broken_kernel_is_recognised() {
        let panic = "[    1.0] Kernel panic - not syncing: Attempted to kill init!";
        assert_eq!(trouble(panic), Some("Kernel panic - not syncing"));
        let lockup = "[   60.1] watchdog: BUG: soft lockup - CPU#1 stuck for 26s!";
        assert_eq!(trouble(lockup), Some("watchdog: BUG: soft lockup"));
        assert_eq!(trouble("nf_conntrack: table full, dropping packet"), None);
    }

    #[test]
    fn only_passages_without_kernel_messages_are_shown() {
        let console = [
            "before",
            SHOW_BEGIN,
            "shown",
            "[    3.141592] nf_conntrack: nf_conntrack: table full, dropping packet",
            "[new] shown too",
            SHOW_END,
            "after",
            SHOW_BEGIN,
            "again",
        ];
        let mut show = Show::default();
        let shown: Vec<_> = console
            .into_iter()
            .filter_map(|line| show.pick(line))
            .collect();
        assert_eq!(shown, ["shown", "[new] shown too", "again"]);
    }
}
