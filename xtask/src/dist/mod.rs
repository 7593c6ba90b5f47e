//! Makes everything that is released, byte for byte the same each time: packages for
//! Debian and rpm, an image for containers, an archive, and what lists their contents.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use file::{File, Role};
use release::{NAME, Release};
use sources::Sources;

use crate::{
    architecture::Architecture,
    build, cargo,
    licences::{self, dependency, native, notice},
    needs::Purpose,
    setup,
};

mod archive;
mod deb;
mod file;
mod hash;
mod layout;
mod oci;
mod release;
mod rpm;
mod sbom;
mod scripts;
mod sources;

/// The file with the checksums of all others.
const SUMS: &str = "SHA256SUMS";

/// Options of `cargo xtask dist`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Where to put what is made; by default target/dist
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only for this target; may be repeated. By default for all, with --program for this machine
    #[arg(long = "target", value_name = "TRIPLE", value_parser = Architecture::parse)]
    targets: Vec<Architecture>,
    /// Pack this static ctdrop instead of building one
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// The revision of the packages of this version
    #[arg(long, value_name = "N", default_value = "1",
        value_parser = clap::value_parser!(u32).range(1..))]
    revision: u32,
}

/// Makes everything, and prints the paths.
pub(crate) fn dist(options: &Options) -> Result<()> {
    licences::of_dependencies()?;
    let mut made = Vec::new();
    for architecture in targets(options)? {
        let root = cargo::root()?;
        let release = Release::of(root, options.revision, architecture)?;
        let sources = gather(options, &release)?;
        eprintln!(
            "dist: {NAME} {} for {}, as of {}",
            release.full(),
            architecture.triple(),
            release.rfc3339()?
        );
        made.extend(all(&complete(sources, root, &release)?, &release)?);
    }
    made.sort_by(|one, other| one.path.cmp(&other.path));
    made.push(sums(&made));
    let out = options.out.clone().unwrap_or(cargo::target()?.join("dist"));
    for path in write(&out, &made)? {
        println!("{}", path.display());
    }
    Ok(())
}

/// What is packed for.
fn targets(options: &Options) -> Result<Vec<Architecture>> {
    match (&*options.targets, &options.program) {
        ([], None) => Ok(Architecture::ALL.to_vec()),
        ([], Some(_)) => Ok(vec![here()?]),
        (targets, None) | (targets @ [_], _) => Ok(targets.to_vec()),
        _ => bail!("--program is for one target"),
    }
}

/// This machine's architecture, which must be one that ctdrop is released for.
fn here() -> Result<Architecture> {
    Architecture::here().context("ctdrop is not released for this machine: name a --target")
}

/// What the packages of a release are made of.
fn gather(options: &Options, release: &Release) -> Result<Sources> {
    let other = release.architecture.if_other();
    let build = || {
        setup::setup_for(Purpose::Build, other)?;
        build::ctdrop_for(other)
    };
    let program = options.program.clone().map_or_else(build, Ok)?;
    if other.is_none() {
        return Sources::read(cargo::root()?, &program, &program);
    }
    setup::setup(Purpose::Build)?;
    Sources::read(cargo::root()?, &program, &build::ctdrop()?)
}

/// Makes what tests install: the packages with this program, in two revisions, and the image.
pub(crate) fn under_test(program: &Path, out: &Path) -> Result<()> {
    let (root, here) = (cargo::root()?, here()?);
    let release = Release::of(root, 1, here)?;
    let sources = complete(Sources::read(root, program, program)?, root, &release)?;
    for revision in [1, 2] {
        let release = Release::of(root, revision, here)?;
        write(
            out,
            &[debian(&sources, &release)?, rpm(&sources, &release)?],
        )?;
    }
    write(out, &[image(&sources, &release)?]).map(drop)
}

/// The sources with the lists of what is linked into the program.
fn complete(mut sources: Sources, root: &Path, release: &Release) -> Result<Sources> {
    let service = format!("systemd/{}", scripts::SERVICE);
    if !sources.packaging.contains_key(&service) {
        eprintln!("dist: packaging/{service} is missing: the packages start no service");
    }
    let graph = dependency::read(root, release.architecture.triple())?;
    let libraries = native::libraries(&graph, release.architecture)?;
    let program = hash::sha256(&sources.program);
    sources.bill = sbom::text(release, &program, &graph, &libraries)?;
    sources.notice = notice::text(&graph, &libraries)?;
    Ok(sources)
}

/// All that is made of the sources, but the sums.
fn all(sources: &Sources, release: &Release) -> Result<Vec<File>> {
    let architecture = release.architecture.rust();
    let top = format!("{NAME}-{}-{architecture}-linux", release.version);
    let portable = layout::portable(sources, &top);
    let portable = archive::gzip(&archive::tar(&portable, "", release.time)?)?;
    Ok(vec![
        debian(sources, release)?,
        named(format!("{top}.tar.gz"), portable),
        rpm(sources, release)?,
        image(sources, release)?,
        named(sbom::name(release), sources.bill.clone().into_bytes()),
    ])
}

/// The file with the checksums of these.
fn sums(files: &[File]) -> File {
    let sums = files
        .iter()
        .map(|file| format!("{}  {}\n", hash::sha256(&file.bytes), file.path));
    let sums: String = sums.collect();
    named(SUMS.to_owned(), sums.into_bytes())
}

/// The package of Debian.
fn debian(sources: &Sources, release: &Release) -> Result<File> {
    let scripts = scripts::filled(&sources.packaging, "debian")?;
    let package = deb::package(release, &layout::debian(sources)?, &scripts)?;
    Ok(named(deb::name(release), package))
}

/// The package for rpm.
fn rpm(sources: &Sources, release: &Release) -> Result<File> {
    let scripts = scripts::filled(&sources.packaging, "rpm")?;
    let package = rpm::package(release, &layout::rpm(sources)?, &scripts)?;
    Ok(named(rpm::name(release), package))
}

/// The image for engines of containers.
fn image(sources: &Sources, release: &Release) -> Result<File> {
    let archive = oci::archive(release, &layout::image(sources))?;
    Ok(named(oci::name(release), archive))
}

fn named(name: String, bytes: Vec<u8>) -> File {
    File::new(name, Role::Plain, bytes)
}

/// Writes the files, and returns their paths.
fn write(out: &Path, files: &[File]) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(out)
        .with_context(|| format!("cannot make the directory {}", out.display()))?;
    let written = files.iter().map(|file| {
        let path = out.join(&file.path);
        fs::write(&path, &file.bytes)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    });
    written.collect()
}
