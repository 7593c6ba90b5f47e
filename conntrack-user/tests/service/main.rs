//! The daemon as a service: with the capabilities of its unit, attacked by strangers, and
//! scraped by Prometheus.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attacked;
mod capabilities;
mod daemon;
mod exposure;
mod otlp;
mod prometheus;
