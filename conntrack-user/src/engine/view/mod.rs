//! What somebody looks at while it is observed: which rows, of which flows, in which
//! order. It can change at any time.

pub mod filter;
pub mod listing;

use std::cmp::Ordering;

use crate::engine::{by::By, rows::Row, view::filter::Filter};

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What the rows are.
    pub by: By,
    /// Their order.
    pub sort: Sort,
    /// Whether the order is reversed.
    pub reversed: bool,
    /// The flows that count.
    pub filter: Filter,
    /// How many rows.
    pub rows: usize,
}

/// The order of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// The most packets of the last interval first.
    #[default]
    Rate,
    /// The most packets since the start first.
    Total,
    /// Those that were refused for the first time last.
    First,
    /// Those that were refused last.
    Last,
}

impl Default for View {
    fn default() -> Self {
        Self {
            by: By::Flow,
            sort: Sort::Rate,
            reversed: false,
            filter: Filter::default(),
            rows: 1000,
        }
    }
}

impl Sort {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Rate, Self::Total, Self::First, Self::Last];

    /// Name of the column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Total => "total",
            Self::First => "first",
            Self::Last => "last",
        }
    }
}

impl View {
    /// The order of two rows.
    fn order(&self, one: &Row, other: &Row) -> Ordering {
        let rate = |row: &Row| row.count.packets;
        let by_total = || other.total.cmp(&one.total);
        let order = match self.sort {
            Sort::Rate => rate(other).cmp(&rate(one)).then_with(by_total),
            Sort::Total => by_total(),
            Sort::First => other.count.first.cmp(&one.count.first),
            Sort::Last => other.count.last.cmp(&one.count.last),
        };
        let order = if self.reversed {
            order.reverse()
        } else {
            order
        };
        order.then_with(|| one.count.first.cmp(&other.count.first))
    }
}
