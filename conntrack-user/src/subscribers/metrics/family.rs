//! Families of metrics and their text form.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::{MetricType, exemplar::Exemplar},
    registry::{Registry, Unit},
};

/// A number of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A whole one.
    Whole(u64),
    /// Another one.
    Real(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

/// The most characters of a name; what comes after is cut off.
const LONGEST: usize = 128;

/// A name as the value of a label.
pub(super) fn label(name: &str) -> String {
    name.chars().take(LONGEST).collect()
}

/// Labels of a sample.
pub type Labels = Vec<(&'static str, String)>;

/// A sample: labels and a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Labels.
    pub labels: Labels,
    /// The number.
    pub value: Value,
}

impl Sample {
    /// One without labels.
    pub fn plain(value: impl Into<Value>) -> Self {
        Self::with(Labels::new(), value)
    }

    /// One with one label.
    pub fn of(label: &'static str, name: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::with(vec![(label, name.into())], value)
    }

    /// One with these labels.
    pub fn with(labels: Labels, value: impl Into<Value>) -> Self {
        Self {
            labels,
            value: value.into(),
        }
    }
}

/// Whether a number only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the next start; its name ends with `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// Samples that share a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The name, with its unit and without `_total`.
    pub name: &'static str,
    /// What it says; a sentence without a full stop.
    pub help: &'static str,
    /// Whether it only grows.
    pub kind: Kind,
    /// The samples.
    pub samples: Vec<Sample>,
}

impl Family {
    /// The name of its samples.
    pub fn sample_name(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge => self.name.to_owned(),
        }
    }

    /// The unit as UCUM writes it, if it is one that OpenMetrics knows; else empty.
    pub fn ucum(&self) -> &'static str {
        match self.unit() {
            Some((_, Unit::Bytes)) => "By",
            Some((_, Unit::Seconds)) => "s",
            _ => "",
        }
    }

    /// The unit at the end of its name, if it is one that OpenMetrics knows.
    fn unit(&self) -> Option<(&'static str, Unit)> {
        let units = [("_bytes", Unit::Bytes), ("_seconds", Unit::Seconds)];
        units
            .into_iter()
            .find_map(|(end, unit)| Some((self.name.strip_suffix(end)?, unit)))
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
        };
        let unit = self.unit();
        let name = unit.as_ref().map_or(self.name, |(name, _)| *name);
        let unit = unit.as_ref().map(|(_, unit)| unit);
        let help = format!("{}.", self.help);
        let mut metric = encoder.encode_descriptor(name, &help, unit, kind)?;
        for sample in &self.samples {
            if sample.labels.is_empty() {
                encode(self.kind, sample.value, &mut metric)?;
            } else {
                let mut labelled = metric.encode_family(&sample.labels)?;
                encode(self.kind, sample.value, &mut labelled)?;
            }
        }
        Ok(())
    }
}

fn encode(kind: Kind, value: Value, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
    let none: Option<&Exemplar<NoLabelSet, f64>> = None;
    match (kind, value) {
        (Kind::Counter, Value::Whole(value)) => encoder.encode_counter(&value, none),
        (Kind::Counter, Value::Real(value)) => encoder.encode_counter(&value, none),
        (Kind::Gauge, Value::Whole(value)) => encoder.encode_gauge(&value),
        (Kind::Gauge, Value::Real(value)) => encoder.encode_gauge(&value),
    }
}

/// Families to be encoded.
#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = self.0.iter().filter(|family| !family.samples.is_empty());
        families.try_for_each(|family| family.encode(&mut encoder))
    }
}

/// In the text form of OpenMetrics; families without samples are left out.
pub fn openmetrics(families: Vec<Family>) -> String {
    let mut whole = classic(families);
    // Writing to a text cannot fail.
    let _ = text::encode_eof(&mut whole);
    whole
}

/// The same without its end: where all are gauges this is the older text form of
/// Prometheus, too, which the textfile collector of `node_exporter` reads.
pub fn classic(families: Vec<Family>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut whole = String::new();
    // Writing to a text cannot fail.
    let _ = text::encode_registry(&mut whole, &registry);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_label_stays_within_its_quotes() {
        let hostile = "a\"} 1\nctdrop_evil 2\\";
        let text = openmetrics(vec![
            Family {
                name: "ctdrop_seen_packets",
                help: "Packets",
                kind: Kind::Counter,
                samples: vec![Sample::of("netns", hostile, 7_u64)],
            },
            Family {
                name: "ctdrop_wait_seconds",
                help: "Time",
                kind: Kind::Gauge,
                samples: vec![Sample::plain(0.5)],
            },
            Family {
                name: "ctdrop_none",
                help: "Nothing",
                kind: Kind::Gauge,
                samples: Vec::new(),
            },
        ]);
        assert_eq!(
            text,
            "# HELP ctdrop_seen_packets Packets.\n\
             # TYPE ctdrop_seen_packets counter\n\
             ctdrop_seen_packets_total{netns=\"a\\\"} 1\\nctdrop_evil 2\\\\\"} 7\n\
             # HELP ctdrop_wait_seconds Time.\n\
             # TYPE ctdrop_wait_seconds gauge\n\
             # UNIT ctdrop_wait_seconds seconds\n\
             ctdrop_wait_seconds 0.5\n\
             # EOF\n"
        );
    }
}
