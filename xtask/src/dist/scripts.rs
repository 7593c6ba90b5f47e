//! The scripts that package managers run: those in `packaging/`, with the names of the
//! units filled in.

use anyhow::{Context as _, Result};

use crate::dist::{file::File, sources::Files};

/// What stands for the units in a script.
const UNITS: &str = "@UNITS@";

/// The unit that a package starts. All others are for administrators to start.
pub(crate) const SERVICE: &str = "ctdrop.service";

/// The scripts in a directory below `packaging/`, for these units.
pub(crate) fn filled(packaging: &Files, directory: &str) -> Result<Vec<File>> {
    let units = units(packaging);
    let scripts = packaging.iter().filter_map(|(path, bytes)| {
        let name = path.strip_prefix(directory)?.strip_prefix('/')?;
        Some((name, path, bytes))
    });
    scripts
        .map(|(name, path, bytes)| {
            let text = std::str::from_utf8(bytes);
            let text = text.with_context(|| format!("packaging/{path} is no text"))?;
            Ok(File::program(name, text.replace(UNITS, &units)))
        })
        .collect()
}

/// The names of all units. The service is among them even if it is missing, so that a
/// script names one at least.
fn units(packaging: &Files) -> String {
    let units = packaging
        .keys()
        .filter_map(|path| path.strip_prefix("systemd/"));
    let mut units: Vec<&str> = units.filter(|unit| !unit.contains('/')).collect();
    if !units.contains(&SERVICE) {
        units.push(SERVICE);
    }
    units.sort_unstable();
    units.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packaging(files: &[(&str, &str)]) -> Files {
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
        files.collect()
    }

    #[test]
    fn each_unit_is_named_and_the_scripts_of_others_are_not_taken() {
        let packaging = packaging(&[
            ("debian/prerm", "stop @UNITS@\n"),
            ("rpm/preun", "stop @UNITS@\n"),
            ("systemd/ctdrop.service", ""),
            ("systemd/ctdrop-fixer.service", ""),
            ("systemd/ctdrop.service.d/x.conf", ""),
        ]);
        let scripts = filled(&packaging, "debian").unwrap();
        let expected = File::program("prerm", "stop ctdrop-fixer.service ctdrop.service\n");
        assert_eq!(scripts, [expected]);
    }
}
