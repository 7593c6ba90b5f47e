//! Metrics in the form of OTLP, from the same catalogue as `/metrics`.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{
        AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
        metric::Data, number_data_point,
    },
    resource::v1::Resource,
};

use crate::subscribers::{
    metrics::family::{Family, Kind, Sample, Value},
    otlp::attributes::{SCHEMA, named, scope, text},
};

/// When counters began, and when they were read, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) now: u64,
}

/// A request with all families that have samples, and how many points it has.
pub(super) fn request(
    families: &[Family],
    resource: &Resource,
    span: Span,
) -> (ExportMetricsServiceRequest, u64) {
    let with_samples = families.iter().filter(|family| !family.samples.is_empty());
    let metrics: Vec<Metric> = with_samples.map(|family| metric(family, span)).collect();
    let points = families.iter().map(|family| family.samples.len() as u64);
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource.clone()),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope()),
                metrics,
                schema_url: SCHEMA.to_owned(),
            }],
            schema_url: SCHEMA.to_owned(),
        }],
    };
    (request, points.sum())
}

fn metric(family: &Family, span: Span) -> Metric {
    let points = family.samples.iter();
    let data_points = points.map(|sample| point(sample, span)).collect();
    let data = match family.kind {
        Kind::Counter => Data::Sum(Sum {
            data_points,
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        }),
        Kind::Gauge => Data::Gauge(Gauge { data_points }),
    };
    Metric {
        name: family.name.to_owned(),
        description: format!("{}.", family.help),
        unit: family.ucum().to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn point(sample: &Sample, span: Span) -> NumberDataPoint {
    let labels = sample.labels.iter();
    let value = match sample.value {
        Value::Whole(value) => {
            number_data_point::Value::AsInt(i64::try_from(value).unwrap_or(i64::MAX))
        }
        Value::Real(value) => number_data_point::Value::AsDouble(value),
    };
    NumberDataPoint {
        attributes: labels
            .map(|(label, value)| named(label, text(value)))
            .collect(),
        start_time_unix_nano: span.start,
        time_unix_nano: span.now,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}
