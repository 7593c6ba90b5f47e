//! Who else sets the limit at boot, by which command and in which file: what it
//! then is, or that it is not known.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cloud_init;
mod descriptions;
mod forms;
mod hooks;
mod host;
mod kubernetes;
mod lines;
mod places;
mod services;
mod start_scripts;
mod tuned;
mod udev;
mod ufw;
mod units;
