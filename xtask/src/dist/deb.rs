//! The package of Debian and its derivatives.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use ar::{Builder, Header};
use md5::{Digest as _, Md5};

use crate::dist::{
    archive,
    file::{File, Role},
    hash::hex,
    release::{DESCRIPTION, HOME, MAINTAINER, NAME, Release, SUMMARY},
};

/// The name of the package's file.
pub(crate) fn name(release: &Release) -> String {
    let architecture = release.architecture.debian();
    format!("{NAME}_{}_{architecture}.deb", release.full())
}

/// The package with these files. The scripts have the names that dpkg gives them.
pub(crate) fn package(release: &Release, files: &[File], scripts: &[File]) -> Result<Vec<u8>> {
    let mut control = scripts.to_vec();
    let mut member = |name: &str, text: String| control.push(File::new(name, Role::Plain, text));
    member("control", fields(release, files));
    member("md5sums", sums(files));
    member("conffiles", settings(files));
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", compressed(&control, release)?),
        ("data.tar.gz", compressed(files, release)?),
    ];
    let mut package = Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = Header::new(name.into(), u64::try_from(bytes.len())?);
        header.set_mtime(release.time.into());
        header.set_mode(0o100_644);
        let appended = package.append(&header, &*bytes);
        appended.with_context(|| format!("cannot add {name} to the package"))?;
    }
    package.into_inner().context("cannot end the package")
}

fn compressed(files: &[File], release: &Release) -> Result<Vec<u8>> {
    archive::gzip(&archive::tar(files, "./", release.time)?)
}

/// What dpkg has to know.
fn fields(release: &Release, files: &[File]) -> String {
    let kibibytes: usize = files
        .iter()
        .map(|file| file.bytes.len().div_ceil(1024))
        .sum();
    format!(
        "Package: {NAME}\n\
         Version: {}\n\
         Section: net\n\
         Priority: optional\n\
         Architecture: {}\n\
         Maintainer: {MAINTAINER}\n\
         Installed-Size: {kibibytes}\n\
         Homepage: {HOME}\n\
         Description: {SUMMARY}\n {}\n",
        release.full(),
        release.architecture.debian(),
        DESCRIPTION.join("\n ")
    )
}

/// The checksums by which `dpkg --verify` finds damaged files; dpkg keeps those of
/// settings itself.
fn sums(files: &[File]) -> String {
    let mut files: Vec<_> = files
        .iter()
        .filter(|file| file.role != Role::Config)
        .collect();
    files.sort_by_key(|file| &file.path);
    files.iter().fold(String::new(), |mut sums, file| {
        let _ = writeln!(sums, "{}  {}", hex(&Md5::digest(&file.bytes)), file.path);
        sums
    })
}

/// The files that an upgrade leaves as the administrator has changed them.
fn settings(files: &[File]) -> String {
    let files = files.iter().filter(|file| file.role == Role::Config);
    files.flat_map(|file| ["/", &file.path, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::dist::{
        archive::tests::{gunzip, listed},
        release::tests::release,
    };

    /// The members of a package.
    fn members(package: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut members = Vec::new();
        let mut package = ar::Archive::new(package);
        while let Some(entry) = package.next_entry() {
            let mut entry = entry.unwrap();
            let name = String::from_utf8(entry.header().identifier().to_vec()).unwrap();
            assert_eq!(entry.header().mtime(), 7);
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            members.push((name, bytes));
        }
        members
    }

    #[test]
    fn the_members_are_in_the_order_that_dpkg_demands() {
        let release = Release {
            time: 7,
            ..release()
        };
        let files = [
            File::program("usr/bin/ctdrop", [0; 1025]),
            File::new("etc/ctdrop/config.toml", Role::Config, "x"),
        ];
        let scripts = [File::program("postinst", "#!/bin/sh\n")];
        let package = package(&release, &files, &scripts).unwrap();
        let members = members(&package);
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["debian-binary", "control.tar.gz", "data.tar.gz"]);

        let control = listed(&gunzip(&members[1].1));
        let text = |name: &str| {
            let file = control.iter().find(|(path, ..)| path == name).unwrap();
            String::from_utf8(file.2.clone()).unwrap()
        };
        let fields = text("./control");
        assert!(fields.contains("Version: 1.2.3-4\n"), "{fields}");
        assert!(fields.contains("Architecture: arm64\n"), "{fields}");
        assert!(fields.contains("Installed-Size: 3\n"), "{fields}");
        assert_eq!(text("./conffiles"), "/etc/ctdrop/config.toml\n");
        // md5sum of 1,025 zero bytes.
        assert_eq!(
            text("./md5sums"),
            "0ad4cf7b35f62b8ff9c73f481594fbdd  usr/bin/ctdrop\n"
        );
        assert!(
            control
                .iter()
                .any(|one| (one.0.as_str(), one.1) == ("./postinst", 0o755))
        );

        let data = listed(&gunzip(&members[2].1));
        assert!(
            data.iter()
                .any(|one| (one.0.as_str(), one.1) == ("./usr/bin/ctdrop", 0o755))
        );
    }
}
