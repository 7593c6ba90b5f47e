//! Fetches packages of any Debian suite from the archive that this machine
//! uses, without touching this machine's own package state.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{architecture::Architecture, cache, command};

/// Keys of the Debian archive, as the package debian-archive-keyring has them.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// How the names of the packages begin that a kernel is made of: up to 6.x the
/// image is everything, later there is a package for each part.
const PARTS: [&str; 4] = [
    "linux-image-",
    "linux-base-",
    "linux-binary-",
    "linux-modules-",
];

/// Lists one line for every package index that this machine's apt knows.
/// A field that apt does not know stays as it is.
const FORMAT: &str = "$(COMPONENT) $(ORIGIN) $(RELEASE) $(REPO_URI)";

/// Where this machine gets Debian from.
#[derive(Debug, PartialEq, Eq)]
struct Archive {
    /// Base URI of the suites themselves.
    main: String,
    /// Base URI of their security updates, if this machine has any.
    security: Option<String>,
}

/// A private view of the archive on one suite.
#[derive(Debug)]
pub(super) struct Apt {
    /// What its packages are for.
    architecture: Architecture,
    /// Holds sources, lists and caches of this view.
    directory: PathBuf,
    /// Keeps other processes from changing the lists while they are read.
    _lock: File,
}

impl Apt {
    /// Opens a view on `suite` for an architecture whose lists are as new as the archive's.
    pub(super) fn open(architecture: Architecture, suite: &str) -> Result<Self> {
        let name = if architecture == Architecture::HERE {
            suite.to_owned()
        } else {
            format!("{suite}-{}", architecture.debian())
        };
        let directory = cache::root()?.join("apt").join(name);
        for below in ["lists/partial", "cache/archives/partial"] {
            let path = directory.join(below);
            fs::create_dir_all(&path)
                .with_context(|| format!("cannot create {}", path.display()))?;
        }
        let lock = cache::lock(&directory.join("lock"))?;
        let list = directory.join("sources.list");
        fs::write(&list, sources(architecture, suite)?)
            .with_context(|| format!("cannot write {}", list.display()))?;
        let apt = Self {
            architecture,
            _lock: lock,
            directory,
        };
        command::output(apt.command("apt-get").args(["--quiet", "update"]))
            .with_context(|| format!("cannot read the package lists of Debian {suite}"))?;
        Ok(apt)
    }

    /// Downloads the newest kernel that the package `name` stands for, in as many
    /// packages as it is made of, into `directory`.
    pub(super) fn download(&self, name: &str, directory: &Path) -> Result<()> {
        let packages = self.parts(name)?;
        let mut apt_get = self.command("apt-get");
        apt_get
            .args(["--quiet", "download"])
            .args(&packages)
            .current_dir(directory);
        command::output(&mut apt_get).with_context(|| format!("cannot download {name}"))?;
        Ok(())
    }

    /// Downloads packages and all that they depend on into `directory`.
    pub(super) fn download_whole(&self, names: &[&str], directory: &Path) -> Result<()> {
        let partial = directory.join("partial");
        fs::create_dir_all(&partial)
            .with_context(|| format!("cannot create {}", partial.display()))?;
        let mut apt_get = self.command("apt-get");
        apt_get
            .args([
                "--quiet",
                "--yes",
                "--download-only",
                "--no-install-recommends",
            ])
            .args([
                "-o",
                &format!("Dir::Cache::archives={}", directory.display()),
            ])
            .arg("install")
            .args(names);
        let cannot = || format!("cannot download {}", names.join(" "));
        command::output(&mut apt_get).with_context(cannot)?;
        Ok(())
    }

    /// The package `name` and all parts of a kernel that it leads to.
    fn parts(&self, name: &str) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        let mut open = vec![name.to_owned()];
        while let Some(package) = open.pop() {
            let mut show = self.command("apt-cache");
            let about = command::output(show.args(["show", "--no-all-versions", &package]))?;
            if found.insert(package) {
                open.extend(kernel_dependencies(&about));
            }
        }
        Ok(found)
    }

    /// An apt command that sees nothing but this view.
    fn command(&self, program: &str) -> Command {
        let at = |below: &str| self.directory.join(below).display().to_string();
        let mut command = Command::new(program);
        for option in [
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=-".to_owned(),
            "Dir::Etc::preferences=-".to_owned(),
            "Dir::Etc::preferencesparts=-".to_owned(),
            format!("Dir::State::lists={}", at("lists")),
            "Dir::State::status=/dev/null".to_owned(),
            format!("Dir::Cache={}", at("cache")),
            format!("APT::Architecture={}", self.architecture.debian()),
            // The directory is the caller's, which a sandboxed user cannot write.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "APT::Update::Error-Mode=any".to_owned(),
            "Acquire::Retries=3".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }
}

/// Lines for a sources.list that lead to a suite of Debian.
pub(super) fn sources(architecture: Architecture, suite: &str) -> Result<String> {
    let signed_by = Path::new(KEYRING).exists().then_some(KEYRING);
    Ok(Archive::of_this_machine()?.sources(architecture, suite, signed_by))
}

impl Archive {
    /// Asks this machine's apt.
    fn of_this_machine() -> Result<Self> {
        let mut apt_get = Command::new("apt-get");
        apt_get.args(["indextargets", "--format", FORMAT, "Created-By: Packages"]);
        let targets = command::output(&mut apt_get)
            .context("test kernels are Debian packages: this needs a machine with apt")?;
        Self::among(&targets)
    }

    /// Picks Debian's own repositories among the lines of [`FORMAT`]. Before the
    /// first `apt-get update` no origin is known, and any repository passes.
    fn among(targets: &str) -> Result<Self> {
        let targets: Vec<[&str; 4]> = targets
            .lines()
            .filter_map(|line| line.split_whitespace().collect::<Vec<_>>().try_into().ok())
            .filter(|[component, ..]: &[&str; 4]| *component == "main")
            .collect();
        let uri = |security: bool| {
            let of = |wanted: &str| {
                targets.iter().find_map(|[_, origin, release, uri]| {
                    let fits = *origin == wanted && release.contains("-security") == security;
                    fits.then(|| (*uri).to_owned())
                })
            };
            of("Debian").or_else(|| of("$(ORIGIN)"))
        };
        let main = uri(false).context(
            "apt has no Debian archive among its sources, where the test kernels come from: \
             add one to /etc/apt/sources.list.d",
        )?;
        Ok(Self {
            main,
            security: uri(true),
        })
    }

    /// The sources of one suite: a stable one with its security updates; sid and
    /// the suites behind a hyphen (backports) have none of their own.
    fn sources(&self, architecture: Architecture, suite: &str, signed_by: Option<&str>) -> String {
        let architecture = architecture.debian();
        let signed_by = signed_by
            .map(|path| format!(" signed-by={path}"))
            .unwrap_or_default();
        let line = |uri: &str, suite: &str| {
            format!("deb [arch={architecture} target=Packages{signed_by}] {uri} {suite} main\n")
        };
        let mut sources = line(&self.main, suite);
        let stable = suite != "sid" && !suite.contains('-');
        if let (true, Some(security)) = (stable, &self.security) {
            sources += &line(security, &format!("{suite}-security"));
        }
        sources
    }
}

/// The parts of a kernel that a package depends on, by its stanza.
fn kernel_dependencies(stanza: &str) -> Vec<String> {
    let depends = stanza
        .lines()
        .find_map(|line| line.strip_prefix("Depends: "));
    let packages = depends.unwrap_or_default().split(", ");
    let names = packages.filter_map(|package| package.split(' ').next());
    let is_part = |name: &&str| PARTS.iter().any(|part| name.starts_with(part));
    names.filter(is_part).map(str::to_owned).collect()
}

/// The packages in a directory, in the order of their names.
pub(super) fn packages_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read {}", directory.display());
    let mut found = Vec::new();
    for entry in directory.read_dir().with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "\
main Example bookworm https://apt.example.com/
main Debian bookworm http://mirror.example.org/debian/
contrib Debian bookworm http://mirror.example.org/debian/
main Debian bookworm-updates http://mirror.example.org/debian/
main Debian bookworm-security http://mirror.example.org/security/
";

    #[test]
    fn debian_is_found_among_other_repositories() {
        let archive = Archive::among(TARGETS).unwrap();
        assert_eq!(archive.main, "http://mirror.example.org/debian/");
        assert_eq!(
            archive.security.as_deref(),
            Some("http://mirror.example.org/security/")
        );
    }

    #[test]
    fn debian_is_found_before_its_lists_are_there() {
        let targets = TARGETS.lines().skip(1).collect::<Vec<_>>().join("\n");
        let unknown = targets.replace(" Debian ", " $(ORIGIN) ");
        assert_eq!(
            Archive::among(&unknown).unwrap(),
            Archive::among(&targets).unwrap()
        );
    }

    #[test]
    fn another_distribution_is_refused_with_the_remedy() {
        let error =
            Archive::among("main Ubuntu noble http://mirror.example.org/ubuntu/").unwrap_err();
        assert!(error.to_string().contains("add one to /etc/apt"));
    }

    #[test]
    fn only_stable_suites_have_security_updates() {
        let archive = Archive::among(TARGETS).unwrap();
        assert_eq!(
            archive.sources(Architecture::X86_64, "trixie", Some("/keys.gpg")),
            "deb [arch=amd64 target=Packages signed-by=/keys.gpg] http://mirror.example.org/debian/ trixie main\n\
             deb [arch=amd64 target=Packages signed-by=/keys.gpg] http://mirror.example.org/security/ trixie-security main\n",
        );
        for suite in ["sid", "trixie-backports"] {
            let sources = archive.sources(Architecture::Arm64, suite, None);
            assert_eq!(sources.lines().count(), 1, "{suite}");
            assert!(sources.starts_with("deb [arch=arm64 "), "{sources}");
        }
    }

    #[test]
    fn a_package_leads_to_the_parts_of_its_kernel() {
        let meta =
            "Package: linux-image-amd64\nDepends: linux-image-6.1.0-56-amd64 (= 6.1.192-2)\n";
        assert_eq!(kernel_dependencies(meta), ["linux-image-6.1.0-56-amd64"]);
        let whole = "Package: linux-image-6.1.0-56-amd64\nDepends: kmod, linux-base (>= 4.3~)\n";
        assert!(kernel_dependencies(whole).is_empty());
        let split = "Depends: dracut | linux-initramfs-tool, linux-base (>= 4.3~), \
                     linux-binary-7.3.4 (= 7.3.4-1), linux-modules-7.3.4 (= 7.3.4-1)\n";
        assert_eq!(
            kernel_dependencies(split),
            ["linux-binary-7.3.4", "linux-modules-7.3.4"]
        );
    }
}
