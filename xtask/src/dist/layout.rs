//! Which file goes where, in each kind of package.

use anyhow::Result;

use crate::dist::{
    archive::gzip,
    file::{File, Role},
    release::NAME,
    sources::{Files, Sources},
};

/// The name of the file with the licences of what is linked in.
pub(crate) const NOTICE: &str = "THIRD-PARTY-LICENSES.txt";

/// The parts of `packaging/` that have a place of their own. All others are examples
/// for administrators.
const PLACED: [&str; 5] = ["config.toml", "debian/", "openrc/", "rpm/", "systemd/"];

/// The files of the package of Debian.
pub(crate) fn debian(sources: &Sources) -> Result<Vec<File>> {
    let documents = format!("usr/share/doc/{NAME}");
    let mut files = installed(sources)?;
    files.extend(completions(sources, "usr/share/zsh/vendor-completions"));
    for file in documentation(sources, &documents) {
        // Debian's policy wants this name, and wants it compressed.
        if file.path.ends_with("/CHANGELOG.md") {
            let bytes = gzip(&file.bytes)?;
            files.push(File::new(
                format!("{documents}/changelog.gz"),
                Role::Doc,
                bytes,
            ));
        } else {
            files.push(file);
        }
    }
    let copyright = format!("{documents}/copyright");
    files.push(File::new(copyright, Role::Licence, copyright_text(sources)));
    let notice = format!("{documents}/{NOTICE}.gz");
    files.push(File::new(
        notice,
        Role::Licence,
        gzip(sources.notice.as_bytes())?,
    ));
    Ok(files)
}

/// The files of the package for rpm.
pub(crate) fn rpm(sources: &Sources) -> Result<Vec<File>> {
    let mut files = installed(sources)?;
    files.extend(completions(sources, "usr/share/zsh/site-functions"));
    files.extend(documentation(sources, &format!("usr/share/doc/{NAME}")));
    files.extend(licences(sources, &format!("usr/share/licenses/{NAME}")));
    Ok(files)
}

/// The files of the archive for those who install by hand, below this directory.
pub(crate) fn portable(sources: &Sources, top: &str) -> Vec<File> {
    let plain = |path: String, bytes: &Vec<u8>| File::new(path, Role::Plain, bytes.clone());
    let mut files = vec![File::program(
        format!("{top}/{NAME}"),
        sources.program.clone(),
    )];
    for (path, bytes) in &sources.packaging {
        if path.starts_with("openrc/") {
            files.push(File::program(format!("{top}/{path}"), bytes.clone()));
        } else if !path.starts_with("debian/") && !path.starts_with("rpm/") {
            files.push(plain(format!("{top}/{path}"), bytes));
        }
    }
    for (name, bytes) in &sources.man {
        files.push(plain(format!("{top}/man/{name}"), bytes));
    }
    for (shell, bytes) in &sources.completions {
        files.push(plain(format!("{top}/completions/{}", script(shell)), bytes));
    }
    files.extend(documentation(sources, top));
    files.extend(licences(sources, top));
    files
}

/// The files of the image for containers.
pub(crate) fn image(sources: &Sources) -> Vec<File> {
    let mut files = vec![File::program(
        format!("usr/bin/{NAME}"),
        sources.program.clone(),
    )];
    files.extend(settings(sources));
    files.extend(licences(sources, "licenses"));
    files
}

/// What every system has in the same place.
fn installed(sources: &Sources) -> Result<Vec<File>> {
    let mut files = vec![File::program(
        format!("usr/bin/{NAME}"),
        sources.program.clone(),
    )];
    files.extend(settings(sources));
    for (name, bytes) in &sources.man {
        let path = format!("usr/share/man/man1/{name}.gz");
        files.push(File::new(path, Role::Doc, gzip(bytes)?));
    }
    for (path, bytes) in &sources.packaging {
        if let Some(unit) = path.strip_prefix("systemd/") {
            let path = format!("usr/lib/systemd/system/{unit}");
            files.push(File::new(path, Role::Plain, bytes.clone()));
        } else if !PLACED.iter().any(|placed| path.starts_with(placed)) {
            let path = format!("usr/share/{NAME}/{path}");
            files.push(File::new(path, Role::Plain, bytes.clone()));
        }
    }
    Ok(files)
}

/// The settings of the service.
fn settings(sources: &Sources) -> Option<File> {
    let bytes = sources.packaging.get("config.toml")?.clone();
    let path = format!("etc/{NAME}/config.toml");
    Some(File::new(path, Role::Config, bytes))
}

/// The completions. Only zsh's place differs.
fn completions(sources: &Sources, zsh: &str) -> Vec<File> {
    let scripts = sources.completions.iter().map(|(shell, bytes)| {
        let directory = match shell.as_str() {
            "bash" => "usr/share/bash-completion/completions",
            "fish" => "usr/share/fish/vendor_completions.d",
            _ => zsh,
        };
        // bash finds a script by the name of the command alone.
        let name = if shell == "bash" {
            NAME.to_owned()
        } else {
            script(shell)
        };
        File::new(format!("{directory}/{name}"), Role::Plain, bytes.clone())
    });
    scripts.collect()
}

/// The name of the script of a shell.
fn script(shell: &str) -> String {
    match shell {
        "zsh" => format!("_{NAME}"),
        shell => format!("{NAME}.{shell}"),
    }
}

/// The documentation and the bill of materials, below this directory.
fn documentation(sources: &Sources, directory: &str) -> Vec<File> {
    let bill = (
        format!("{NAME}.cdx.json"),
        sources.bill.clone().into_bytes(),
    );
    let documents = sources.docs.clone().into_iter().chain([bill]);
    documents
        .map(|(path, bytes)| File::new(format!("{directory}/{path}"), Role::Doc, bytes))
        .collect()
}

/// The licences, below this directory.
fn licences(sources: &Sources, directory: &str) -> Vec<File> {
    let notice = (NOTICE.to_owned(), sources.notice.clone().into_bytes());
    let licences: Files = sources
        .licences
        .clone()
        .into_iter()
        .chain([notice])
        .collect();
    licences
        .into_iter()
        .map(|(name, bytes)| File::new(format!("{directory}/{name}"), Role::Licence, bytes))
        .collect()
}

/// What Debian's policy wants to know about licences, in one file.
fn copyright_text(sources: &Sources) -> String {
    let own = sources.licences.iter().map(|(name, bytes)| {
        let text = String::from_utf8_lossy(bytes);
        format!("\n{name}:\n\n{}\n", text.trim_end())
    });
    format!(
        "ctdrop is Copyright (c) The ctdrop authors. User space: MIT or Apache-2.0. The eBPF\n\
         programs: GPL-2.0 or MIT. On Debian systems, the GPL is also in\n\
         /usr/share/common-licenses/GPL-2, and the Apache licence in\n\
         /usr/share/common-licenses/Apache-2.0.\n\n\
         The static binary contains the software of others: their licences are in\n\
         /usr/share/doc/{NAME}/{NOTICE}.gz, and ctdrop.cdx.json there lists their versions.\n{}",
        own.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::archive::tests::gunzip;

    fn files(paths: &[&str]) -> Files {
        let files = paths
            .iter()
            .map(|path| ((*path).to_owned(), path.as_bytes().to_vec()));
        files.collect()
    }

    fn sources() -> Sources {
        Sources {
            program: b"program".to_vec(),
            packaging: files(&[
                "config.toml",
                "debian/postinst",
                "kubernetes/ctdrop.yaml",
                "openrc/ctdrop",
                "rpm/post",
                "systemd/ctdrop.service",
            ]),
            docs: files(&["README.md", "CHANGELOG.md", "docs/install.md"]),
            licences: files(&["LICENSE-MIT"]),
            man: files(&["ctdrop.1"]),
            completions: files(&["bash", "fish", "zsh"]),
            notice: "notice".to_owned(),
            bill: "{}".to_owned(),
        }
    }

    fn paths(files: &[File]) -> Vec<&str> {
        let mut paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
        paths.sort_unstable();
        paths
    }

    #[test]
    fn debian_finds_everything_where_its_policy_wants_it() {
        let files = debian(&sources()).unwrap();
        let expected = [
            "etc/ctdrop/config.toml",
            "usr/bin/ctdrop",
            "usr/lib/systemd/system/ctdrop.service",
            "usr/share/bash-completion/completions/ctdrop",
            "usr/share/ctdrop/kubernetes/ctdrop.yaml",
            "usr/share/doc/ctdrop/README.md",
            "usr/share/doc/ctdrop/THIRD-PARTY-LICENSES.txt.gz",
            "usr/share/doc/ctdrop/changelog.gz",
            "usr/share/doc/ctdrop/copyright",
            "usr/share/doc/ctdrop/ctdrop.cdx.json",
            "usr/share/doc/ctdrop/docs/install.md",
            "usr/share/fish/vendor_completions.d/ctdrop.fish",
            "usr/share/man/man1/ctdrop.1.gz",
            "usr/share/zsh/vendor-completions/_ctdrop",
        ];
        assert_eq!(paths(&files), expected);
        let page = files.iter().find(|file| file.path.ends_with("ctdrop.1.gz"));
        assert_eq!(gunzip(&page.unwrap().bytes), b"ctdrop.1");
        let settings: Vec<_> = files
            .iter()
            .filter(|file| file.role == Role::Config)
            .collect();
        assert_eq!(settings.len(), 1);
        let programs: Vec<_> = files.iter().filter(|file| file.mode == 0o755).collect();
        assert_eq!(programs.len(), 1);
    }

    #[test]
    fn rpm_has_its_licences_apart() {
        let files = rpm(&sources()).unwrap();
        let licence = "usr/share/licenses/ctdrop/THIRD-PARTY-LICENSES.txt";
        let file = files.iter().find(|file| file.path == licence);
        assert_eq!(file.unwrap().role, Role::Licence);
        assert!(paths(&files).contains(&"usr/share/zsh/site-functions/_ctdrop"));
        assert!(paths(&files).contains(&"usr/share/doc/ctdrop/CHANGELOG.md"));
    }

    #[test]
    fn who_installs_by_hand_gets_the_scripts_of_every_init_and_none_of_the_packages() {
        let files = portable(&sources(), "top");
        let expected = [
            "top/CHANGELOG.md",
            "top/LICENSE-MIT",
            "top/README.md",
            "top/THIRD-PARTY-LICENSES.txt",
            "top/completions/_ctdrop",
            "top/completions/ctdrop.bash",
            "top/completions/ctdrop.fish",
            "top/config.toml",
            "top/ctdrop",
            "top/ctdrop.cdx.json",
            "top/docs/install.md",
            "top/kubernetes/ctdrop.yaml",
            "top/man/ctdrop.1",
            "top/openrc/ctdrop",
            "top/systemd/ctdrop.service",
        ];
        assert_eq!(paths(&files), expected);
        let script = files.iter().find(|file| file.path == "top/openrc/ctdrop");
        assert_eq!(script.unwrap().mode, 0o755);
    }

    #[test]
    fn the_image_holds_no_more_than_the_program_its_settings_and_licences() {
        let expected = [
            "etc/ctdrop/config.toml",
            "licenses/LICENSE-MIT",
            "licenses/THIRD-PARTY-LICENSES.txt",
            "usr/bin/ctdrop",
        ];
        assert_eq!(paths(&image(&sources())), expected);
    }
}
