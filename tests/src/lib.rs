//! Everything of ctdrop that needs a kernel: scenarios, and the virtual machines
//! and namespaces they run in.
//!
//! [`scenario`] has a file for each thing that is tried on a kernel, [`net`]
//! provokes refusals to the packet (floods, twins, full tables, long chains),
//! [`watch`] runs ctdrop and reads what it says. [`stage`] has what all of these share:
//! the machine, the scenario, and what guest and host agree on. [`vm`] boots stock
//! kernels under QEMU; [`guest`] is the first process in there.
//!
//! [`record`] runs `ctdrop daemon` and reads its evidence; [`scrape`] reads its metrics, as
//! Prometheus does and with a real one.
//!
//! `form` says what stays the same of output whose numbers change.
//!
//! [`capture`] reads the captures of `ctdrop watch --pcap`.
//!
//! [`sysctl`] runs the programs of several releases that apply files of sysctls, in a
//! directory of their own, where what they set are plain files.
//!
//! [`system`] tries whole Debian systems, because what becomes of a limit is decided
//! by a distribution's systemd, procps and kmod. Each gets a copy of a disk that is
//! made once and holds nothing of the build: the first process mounts it, puts the
//! programs under test into its /run, and becomes its init. There a service runs
//! [`agent`], which does what the host asks over a virtio port: run a program, write
//! or read a file, keep a firewall with a full table. A reboot starts QEMU again with
//! the same disk.

pub mod agent;
pub mod bench;
pub mod capture;
pub mod confine;
mod form;
pub mod guest;
pub mod host;
pub mod net;
pub mod record;
pub mod scenario;
pub mod scrape;
pub mod stage;
pub mod sysctl;
pub mod system;
pub mod vm;
pub mod watch;
