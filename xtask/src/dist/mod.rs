//! Makes everything that is released, byte for byte the same each time: packages for
//! Debian and rpm, an image for containers, an archive, and what lists their contents.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use file::{File, Role};
use release::{NAME, PROCESSOR, Release};
use sources::Sources;

use crate::{
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
    let root = cargo::root()?;
    let release = Release::of(root, options.revision)?;
    let triple = cargo::host_triple()?;
    ensure!(
        triple.starts_with(PROCESSOR),
        "there are packages for {PROCESSOR} alone, and this machine is {triple}"
    );
    licences::of_dependencies()?;
    let program = if let Some(program) = &options.program {
        program.clone()
    } else {
        setup::setup(Purpose::Build)?;
        build::ctdrop()?
    };
    eprintln!(
        "dist: {NAME} {}, as of {}",
        release.full(),
        release.rfc3339()?
    );
    let sources = complete(Sources::read(root, &program)?, root, &triple, &release)?;
    let out = options.out.clone().unwrap_or(cargo::target()?.join("dist"));
    for path in write(&out, &made(&sources, &release)?)? {
        println!("{}", path.display());
    }
    Ok(())
}

/// Makes what tests install: the packages with this program, in two revisions, and the image.
pub(crate) fn under_test(program: &Path, out: &Path) -> Result<()> {
    let root = cargo::root()?;
    let triple = cargo::host_triple()?;
    let sources = Sources::read(root, program)?;
    let sources = complete(sources, root, &triple, &Release::of(root, 1)?)?;
    for revision in [1, 2] {
        let release = Release::of(root, revision)?;
        write(
            out,
            &[debian(&sources, &release)?, rpm(&sources, &release)?],
        )?;
    }
    let release = Release::of(root, 1)?;
    write(out, &[image(&sources, &release)?]).map(drop)
}

/// The sources with the lists of what is linked into the program.
fn complete(mut sources: Sources, root: &Path, triple: &str, release: &Release) -> Result<Sources> {
    let service = format!("systemd/{}", scripts::SERVICE);
    if !sources.packaging.contains_key(&service) {
        eprintln!("dist: packaging/{service} is missing: the packages start no service");
    }
    let graph = dependency::read(root, triple)?;
    let program = hash::sha256(&sources.program);
    sources.bill = sbom::text(release, &program, &graph, &native::libraries(&graph)?)?;
    sources.notice = notice::text(&graph)?;
    Ok(sources)
}

/// All that is made of the sources, by the name of its file.
fn made(sources: &Sources, release: &Release) -> Result<Vec<File>> {
    let top = format!("{NAME}-{}-{PROCESSOR}-linux", release.version);
    let portable = layout::portable(sources, &top);
    let portable = archive::gzip(&archive::tar(&portable, "", release.time)?)?;
    let mut made = vec![
        debian(sources, release)?,
        named(format!("{top}.tar.gz"), portable),
        rpm(sources, release)?,
        image(sources, release)?,
        named(sbom::name(release), sources.bill.clone().into_bytes()),
    ];
    made.sort_by(|one, other| one.path.cmp(&other.path));
    let sums = made
        .iter()
        .map(|file| format!("{}  {}\n", hash::sha256(&file.bytes), file.path));
    let sums: String = sums.collect();
    made.push(named(SUMS.to_owned(), sums.into_bytes()));
    Ok(made)
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
