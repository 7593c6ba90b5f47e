//! The capabilities of the unit are enough, and strangers reach none of them.

use std::{fs, path::Path};

use crate::daemon::{Daemon, field, is_root};

/// A user who owns nothing.
const NOBODY: u32 = 65_534;

/// The capabilities that the unit leaves, as `setpriv` names them: with a sign in front,
/// and a comma between them.
fn of_unit() -> String {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd/ctdrop.service");
    let unit = fs::read_to_string(unit).unwrap();
    let mut lines = unit.lines();
    let names = lines.find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let names = names.unwrap().split_whitespace();
    let names = names.map(|name| format!("+{}", name.trim_start_matches("CAP_").to_lowercase()));
    let each: Vec<String> = ["-all".to_owned()].into_iter().chain(names).collect();
    each.join(",")
}

/// Arguments of `setpriv` for the capabilities of the unit.
fn as_unit() -> Vec<String> {
    let these = of_unit();
    vec![
        "--no-new-privs".to_owned(),
        format!("--bounding-set={these}"),
        format!("--inh-caps={these}"),
    ]
}

/// The same for a user who is not root, to whom they must be handed.
fn as_unit_and_nobody() -> Vec<String> {
    let mut arguments = as_unit();
    arguments.push(format!("--ambient-caps={}", of_unit()));
    arguments.extend(["--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned));
    arguments
}

#[test]
fn the_backend_is_that_of_root_whoever_has_the_capabilities_of_the_unit() {
    if !is_root() {
        return;
    }
    let backend = |daemon: &Daemon| daemon.sample("ctdrop_observer_info{").unwrap();
    let of_root = backend(&Daemon::start(&["--no-new-privs".to_owned()], 0));
    for (setpriv, user) in [(as_unit(), 0), (as_unit_and_nobody(), NOBODY)] {
        let daemon = Daemon::start(&setpriv, user);
        assert_eq!(backend(&daemon), of_root, "user {user}");
        let mut servers = 0;
        for status in daemon.threads() {
            let effective = u64::from_str_radix(field(&status, "CapEff"), 16).unwrap();
            if field(&status, "Name") == "metrics-http" {
                servers += 1;
                assert_eq!(effective, 0, "{status}");
            } else {
                assert_eq!(effective.count_ones(), 7, "{status}");
            }
        }
        assert_eq!(servers, 1);
    }
}
