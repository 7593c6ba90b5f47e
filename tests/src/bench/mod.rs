//! What observing costs: figures that `cargo xtask bench observe` makes ratios of.
//!
//! A bench is a scenario that fits no backend, so that no test runs it; it states
//! each [`Figure`] in a line of its own.

use anyhow::Result;
use serde::Serialize;

mod batches;
pub mod daemon;
mod empty;
pub mod footprint;
pub mod limit_raised;
mod mounts;
mod observers;
pub mod packets;
mod programs;
pub mod rate;
pub mod run_time;
pub mod screen;
mod scripts;
mod used;

/// Starts the line of a figure.
const FIGURE: &str = "ctdrop-figure: ";

/// One number that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured, its unit at the end: `new_instructions`.
    pub what: String,
    /// What observed meanwhile: `fexit armed`.
    pub observer: String,
    /// The number.
    pub value: f64,
}

impl Figure {
    /// States it, for whoever reads this process or the console of this guest.
    pub fn state(what: &str, observer: &str, value: f64) -> Result<()> {
        let figure = Self {
            what: what.to_owned(),
            observer: observer.to_owned(),
            value,
        };
        println!("\n{FIGURE}{}", serde_json::to_string(&figure)?);
        Ok(())
    }

    /// Whether a line states a figure: as JSON, behind the mark.
    pub fn is_stated_in(line: &str) -> bool {
        line.contains(FIGURE)
    }
}

/// The middle of some numbers; the kernel's own work now and then disturbs a
/// few of them.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len() % 2 == 1 {
        numbers[middle]
    } else {
        f64::midpoint(numbers[middle - 1], numbers[middle])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_a_few() {
        assert!((median(vec![9000.0, 1.0, 3.0]) - 3.0).abs() < f64::EPSILON);
        assert!((median(vec![2.0, 9000.0, 1.0, 4.0]) - 3.0).abs() < f64::EPSILON);
    }
}
