//! Telling udev about changed rules. By itself it looks for changes at most every
//! three seconds (`src/udev/udevd.c`, systemd 252), so that a module loaded right
//! after a fix would still meet the old rules.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::apply::file::Tree;

/// Where the rules of a host are.
const RULES: &str = "/etc/udev/rules.d";

/// The socket of a udev that runs.
const CONTROL: &str = "/run/udev/control";

/// Makes the udev of this host read its rules again, if one of these files is one
/// of them. Errors do not matter: udev notices the change a few seconds later.
pub(crate) fn tell<'a>(tree: &Tree, mut changed: impl Iterator<Item = &'a Path>) {
    let is_own_rule = |path: &Path| path.starts_with(RULES) && tree.outside(path) == path;
    if !changed.any(is_own_rule) || !Path::new(CONTROL).exists() {
        return;
    }
    let _ = Command::new("udevadm")
        .args(["control", "--reload"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}
