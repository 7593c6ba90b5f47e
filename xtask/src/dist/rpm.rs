//! The package of Fedora, Enterprise Linux, SUSE and others.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use rpm::{BuildConfig, CompressionWithLevel, FileOptions, PackageBuilder};

use crate::dist::{
    file::{File, Role},
    release::{DESCRIPTION, HOME, LICENCE, MAINTAINER, NAME, Release, SUMMARY},
};

/// The name of the package's file.
pub(crate) fn name(release: &Release) -> String {
    let architecture = release.architecture.rust();
    format!("{NAME}-{}.{architecture}.rpm", release.full())
}

/// The package with these files. The scripts are named as a spec file names them. It is
/// compressed with gzip, which every rpm reads.
pub(crate) fn package(release: &Release, files: &[File], scripts: &[File]) -> Result<Vec<u8>> {
    let architecture = release.architecture.rust();
    let mut package = PackageBuilder::new(NAME, &release.version, LICENCE, architecture, SUMMARY);
    package
        .using_config(
            BuildConfig::v4()
                .source_date(release.time)
                .compression(CompressionWithLevel::Gzip(9)),
        )
        .release(release.revision.to_string())
        .url(HOME)
        .packager(MAINTAINER)
        .description(DESCRIPTION.join("\n"));
    let mut files: Vec<_> = files.iter().collect();
    files.sort_by_key(|file| &file.path);
    for directory in directories(&files) {
        package.with_dir_entry(FileOptions::dir(format!("/{directory}")))?;
    }
    for file in files {
        let added = package.with_file_contents(file.bytes.clone(), options(file)?);
        added.with_context(|| format!("cannot add {} to the package", file.path))?;
    }
    for script in scripts {
        add(&mut package, script)?;
    }
    let package = package.build().context("cannot build the package")?;
    let mut bytes = Vec::new();
    package
        .write(&mut bytes)
        .context("cannot write the package")?;
    Ok(bytes)
}

/// The directories that are the package's own; rpm removes them with it.
fn directories<'a>(files: &[&'a File]) -> BTreeSet<&'a str> {
    let own = format!("/{NAME}/");
    let mut directories = BTreeSet::new();
    for file in files {
        let Some(start) = file.path.find(&own) else {
            continue;
        };
        let ends = file.path.match_indices('/').map(|(end, _)| end);
        directories.extend(ends.filter(|end| *end > start).map(|end| &file.path[..end]));
    }
    directories
}

/// How rpm treats a file.
fn options(file: &File) -> Result<FileOptions> {
    let options = FileOptions::new(format!("/{}", file.path))
        .permissions(u16::try_from(file.mode)?)
        .user("root")
        .group("root");
    Ok(match file.role {
        Role::Plain => options,
        Role::Config => options.config().noreplace(),
        Role::Doc => options.doc(),
        Role::Licence => options.license(),
    }
    .into())
}

/// Adds a script under the name that a spec file gives it.
fn add(package: &mut PackageBuilder, script: &File) -> Result<()> {
    let text = String::from_utf8(script.bytes.clone())
        .with_context(|| format!("the script {} is no text", script.path))?;
    match &*script.path {
        "post" => package.post_install_script(text),
        "preun" => package.pre_uninstall_script(text),
        "postun" => package.post_uninstall_script(text),
        other => bail!("packaging/rpm/{other} is no script: post, preun and postun are"),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rpm::{FileFlags, Package};

    use super::*;
    use crate::dist::release::tests::release;

    #[test]
    fn the_package_is_whole_and_keeps_settings() {
        let files = [
            File::program("usr/bin/ctdrop", "program"),
            File::new("etc/ctdrop/config.toml", Role::Config, "x"),
            File::new("usr/share/doc/ctdrop/README.md", Role::Doc, "x"),
        ];
        let scripts = [File::new("post", Role::Plain, "systemctl --version\n")];
        let bytes = package(&release(), &files, &scripts).unwrap();
        let package = Package::parse(&mut &*bytes).unwrap();
        package.verify_digests().unwrap();
        let about = &package.metadata;
        assert_eq!(about.get_version().unwrap(), "1.2.3");
        assert_eq!(about.get_release().unwrap(), "4");
        assert_eq!(about.get_arch().unwrap(), "aarch64");
        assert_eq!(about.get_build_time().unwrap(), 1_700_000_000);
        let script = about.get_post_install_script().unwrap();
        assert_eq!(script.script, "systemctl --version\n");

        let entries = about.get_file_entries().unwrap();
        let entry = |path: &str| {
            let found = entries.iter().find(|entry| entry.path() == Path::new(path));
            found.unwrap()
        };
        let program = entry("/usr/bin/ctdrop");
        assert_eq!(program.mode().permissions(), 0o755);
        assert_eq!(entry("/etc/ctdrop").mode().permissions(), 0o755);
        assert_eq!(entry("/usr/share/doc/ctdrop").mode().permissions(), 0o755);
        let settings = entry("/etc/ctdrop/config.toml").flags();
        assert_eq!(settings, FileFlags::CONFIG | FileFlags::NOREPLACE);
    }

    #[test]
    fn directories_of_the_package_alone_go_with_it() {
        let files = [
            File::new("etc/ctdrop/config.toml", Role::Config, ""),
            File::new("usr/bin/ctdrop", Role::Plain, ""),
            File::new("usr/share/doc/ctdrop/docs/fix.md", Role::Doc, ""),
        ];
        let files: Vec<_> = files.iter().collect();
        let expected = [
            "etc/ctdrop",
            "usr/share/doc/ctdrop",
            "usr/share/doc/ctdrop/docs",
        ];
        assert_eq!(directories(&files), expected.into());
    }

    #[test]
    fn a_script_that_rpm_does_not_run_is_an_error() {
        let script = File::new("postinst", Role::Plain, "");
        let error = package(&release(), &[], &[script]).unwrap_err();
        assert!(error.to_string().contains("packaging/rpm/postinst"));
    }
}
