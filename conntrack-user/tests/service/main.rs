//! The daemon as a service: with the capabilities of its unit, and attacked by strangers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attacked;
mod capabilities;
mod daemon;
mod exposure;
mod otlp;
