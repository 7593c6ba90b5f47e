//! The files through which the running kernel shows and takes limit and buckets.

use std::path::PathBuf;

use crate::facts::host_kernel::HostKernel;

/// The files of limit and buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveFiles {
    /// For the number of buckets.
    pub buckets: PathBuf,
    /// For the limit.
    pub max: PathBuf,
}

impl LiveFiles {
    /// Those of a kernel. Buckets are a sysctl that can be written from 4.8 on,
    /// and a parameter of the module always (`nf_conntrack_core.c`).
    pub fn of(kernel: &HostKernel) -> Self {
        let by_sysctl = kernel
            .machine()
            .is_some_and(|machine| machine.buckets_are_writable());
        let buckets = if by_sysctl {
            "/proc/sys/net/netfilter/nf_conntrack_buckets".to_owned()
        } else {
            format!(
                "/sys/module/{}/parameters/hashsize",
                kernel.generation.module()
            )
        };
        Self {
            buckets: buckets.into(),
            max: kernel.generation.max_file().into(),
        }
    }
}
