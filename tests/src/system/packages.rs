//! The packages under test: what `cargo xtask test` has made of the build.

use std::{env, fs, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::vm::{Content, architecture::Architecture};

/// The variable that says where they are.
const VARIABLE: &str = "CTDROP_PACKAGES";

/// The packages of Debian in a guest, two revisions of one version.
pub(super) const DEBS: [&str; 2] = ["/root/ctdrop-1.deb", "/root/ctdrop-2.deb"];

/// The image in a guest, named as in docs/install.md.
const IMAGE: &str = concat!("/srv/ctdrop-", env!("CARGO_PKG_VERSION"), "-amd64-oci.tar");

/// How the names of their files end.
fn ends() -> [String; 3] {
    let architecture = Architecture::HERE.debian();
    ["-1_ARCH.deb", "-2_ARCH.deb", "-ARCH-oci.tar"].map(|end| end.replace("ARCH", architecture))
}

/// Whether somebody has made them.
pub fn are_there() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Those of Debian and the image, as they are put onto a disk.
pub(super) fn files() -> Result<Vec<Content>> {
    let directory = env::var_os(VARIABLE).map(PathBuf::from);
    let directory = directory.with_context(|| format!("{VARIABLE} is not set"))?;
    let entries =
        fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let paths: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    let package = |(end, inside): (String, &str)| {
        let path = paths
            .iter()
            .find(|path| path.to_string_lossy().ends_with(&end));
        let path = path.with_context(|| format!("no *{end} in {}", directory.display()))?;
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((inside.to_owned(), content))
    };
    let inside = DEBS.into_iter().chain([IMAGE]);
    ends().into_iter().zip(inside).map(package).collect()
}
