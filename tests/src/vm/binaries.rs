//! The programs that are put into a guest.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::{architecture::Architecture, elf::Elf};

/// The two static programs of a guest.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The program under test.
    pub ctdrop: PathBuf,
    /// The program of this crate, which is the guest's `/init`.
    pub init: PathBuf,
}

impl Binaries {
    /// Those for guests of an architecture. If it is not this machine's, they are where cargo
    /// puts them: in the directory of that target.
    pub(super) fn of(&self, architecture: Architecture) -> Result<Self> {
        let found = Self {
            ctdrop: built_for(architecture, &self.ctdrop),
            init: built_for(architecture, &self.init),
        };
        ensure_fit(&found.ctdrop, architecture)?;
        ensure_fit(&found.init, architecture)?;
        Ok(found)
    }
}

/// The path of the same program, built for an architecture.
fn built_for(architecture: Architecture, program: &Path) -> PathBuf {
    let parts = program.components().map(|part| {
        if part.as_os_str() == Architecture::HERE.triple() {
            architecture.triple().as_ref()
        } else {
            part.as_os_str()
        }
    });
    parts.collect()
}

/// Demands that a program runs in a guest, without any file beside it.
fn ensure_fit(program: &Path, architecture: Architecture) -> Result<()> {
    let triple = architecture.triple();
    ensure!(
        program.exists(),
        "{} does not exist: cargo xtask build --target {triple}",
        program.display()
    );
    let elf = Elf::read(program)?;
    ensure!(
        elf.machine == architecture.machine(),
        "{} is not built for {triple}",
        program.display()
    );
    ensure!(
        elf.loader.is_none(),
        "{} is not linked statically, so that it cannot run in a guest: cargo xtask test",
        program.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_another_architecture_are_in_the_directory_of_its_target() {
        let here = PathBuf::from(format!("/w/target/{}/trial/x", Architecture::HERE.triple()));
        let (x86, arm) = (Architecture::X86_64, Architecture::Arm64);
        let expected = ["x86_64", "aarch64"]
            .map(|name| PathBuf::from(format!("/w/target/{name}-unknown-linux-gnu/trial/x")));
        assert_eq!([x86, arm].map(|it| built_for(it, &here)), expected);
        assert_eq!(built_for(arm, &expected[1]), expected[1]);
    }

    #[test]
    fn a_program_that_cannot_run_in_a_guest_is_refused() {
        let error = |program: &Path, architecture| {
            ensure_fit(program, architecture).unwrap_err().to_string()
        };
        let here = std::env::current_exe().unwrap();
        let other = match Architecture::HERE {
            Architecture::X86_64 => Architecture::Arm64,
            Architecture::Arm64 => Architecture::X86_64,
        };
        assert!(error(&here, Architecture::HERE).contains("not linked statically"));
        assert!(error(&here, other).contains("not built for"));
        assert!(error(Path::new("/nowhere"), other).contains("cargo xtask build --target"));
    }
}
