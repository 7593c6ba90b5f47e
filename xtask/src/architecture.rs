//! The architectures that ctdrop is released for, as Rust, Debian and others name them.

use std::env::consts::ARCH;

use anyhow::{Context as _, Result};

/// An architecture that ctdrop is released for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Architecture {
    /// x86-64.
    X86_64,
    /// arm64.
    Arm64,
}

impl Architecture {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::X86_64, Self::Arm64];

    /// This machine's, if ctdrop is released for it.
    pub(crate) fn here() -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.rust() == ARCH)
    }

    /// Those of them that are not this machine's.
    pub(crate) fn others() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter_map(Self::if_other)
    }

    /// This one, if it is not this machine's.
    pub(crate) fn if_other(self) -> Option<Self> {
        (Self::here() != Some(self)).then_some(self)
    }

    /// That of a target as the user names it.
    pub(crate) fn parse(triple: &str) -> Result<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|it| it.triple() == triple).with_context(|| {
            let known = Self::ALL.map(Self::triple);
            format!("no target of ctdrop: there are {}", known.join(" and "))
        })
    }

    /// That of the test kernel of this name, such as `6.12-arm64-kprobe`.
    pub(crate) fn of_kernel(name: &str) -> Self {
        if name.contains(Self::Arm64.debian()) {
            Self::Arm64
        } else {
            Self::X86_64
        }
    }

    /// Its target with Linux and the GNU C library.
    pub(crate) const fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// As Rust, rpm and `uname -m` name it.
    pub(crate) const fn rust(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// As Debian, OCI and Kubernetes name it.
    pub(crate) const fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The compiler of C for it on machines of another architecture.
    pub(crate) const fn compiler(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-linux-gnu-gcc",
            Self::Arm64 => "aarch64-linux-gnu-gcc",
        }
    }

    /// The Debian packages with that compiler and the C library for it.
    pub(crate) const fn compiler_packages(self) -> [&'static str; 2] {
        match self {
            Self::X86_64 => ["gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"],
            Self::Arm64 => ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_named_in_full() {
        let arm64 = Architecture::parse("aarch64-unknown-linux-gnu").unwrap();
        assert_eq!(arm64, Architecture::Arm64);
        let error = Architecture::parse("arm64").unwrap_err().to_string();
        assert!(error.ends_with("and aarch64-unknown-linux-gnu"), "{error}");
    }

    #[test]
    fn a_kernel_has_its_architecture_in_its_name() {
        let of = Architecture::of_kernel;
        assert_eq!(of("6.12-arm64-kprobe"), Architecture::Arm64);
        assert_eq!(of("6.12-kprobe"), Architecture::X86_64);
    }
}
