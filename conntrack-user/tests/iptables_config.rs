//! What a restart of iptables leads to by what its configuration says, on the tree of
//! Enterprise Linux 5: the list is applied, or it is not, or that is not known.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, path::Path, process::Command};

use conntrack_user::{
    facts::{Facts, root::Root},
    survival::{Start, simulate},
};
use tempfile::TempDir;

/// What the restart leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restart {
    /// The module is unloaded, and the list sets the limit again.
    Listed,
    /// The module is unloaded, and nothing sets the limit.
    Lost,
    /// The module stays.
    Kept,
    /// Only the shell could tell, because of this line.
    Unknown(u32),
}

use Restart::{Kept, Listed, Lost, Unknown};

/// Configurations; `LIST` and `UNLOAD` stand for the variables.
const CONFIGS: [(&[u8], Restart); 40] = [
    (b"LIST=\".ip_conntrack\"\n", Listed),
    (b"LIST='.ip_conntrack'\n", Listed),
    (b"export LIST=.ip_conntrack\n", Listed),
    (b"LIST=$'.ip_conntrack'\n", Listed),
    (b"X=ip; LIST=\".${X}_conntrack\"\n", Listed),
    (b"LIST=.x\nLIST+=\" .ip_conntrack\"\n", Listed),
    (b"true && LIST=.ip_conntrack\n", Listed),
    (b"{ LIST=.ip_conntrack; }\n", Listed),
    (b"if [ a = a ]; then LIST=.ip_conntrack; fi\n", Listed),
    (b"f() { LIST=.ip_conntrack; }\nf\n", Listed),
    (b": ${LIST:=.ip_conntrack}\n", Listed),
    (b"LIST=${LIST:-.ip_conntrack}\n", Listed),
    (b"LIST=`echo .ip_conntrack`\n", Listed),
    (b"# caf\xe9\nLIST=.ip_conntrack\n", Listed),
    (b"LIST=.ip_conntrack\nreturn 0\nLIST=\n", Listed),
    // The carriage return is a part of the word, which no line has.
    (b"LIST=\".ip_conntrack\"\r\n", Lost),
    (b"LIST=.ip_conntrack\r\n", Lost),
    (b"", Lost),
    (b"cat > /dev/null <<EOF\nLIST=.ip_conntrack\nEOF\n", Lost),
    (b"return 0\nLIST=.ip_conntrack\n", Lost),
    (b"LIST=.ip_conntrack\nunset LIST\n", Lost),
    (b"if false; then LIST=.ip_conntrack; fi\n", Lost),
    (b"f() { LIST=.ip_conntrack; }\n", Lost),
    (b"LIST=\xe2\x80\x9d.x .ip_conntrack\xe2\x80\x9d\n", Lost),
    (b"UNLOAD=no\n", Kept),
    (b"UNLOAD=\"yes\"\r\n", Kept),
    (b"unset UNLOAD\n", Kept),
    (b"\nif then\nLIST=.ip_conntrack\n", Unknown(2)),
    (b"LIST=.ip_conntrack\n\0\n", Unknown(2)),
    (b"LIST=.ip_conntrack\neval LIST=\n", Unknown(2)),
    (b"LIST=.ip_conntrack\n. /etc/sysconfig/other\n", Unknown(2)),
    (b"LIST=.ip_conntrack\nexit 0\n", Unknown(2)),
    (b"LIST=.ip_conntrack\n[ -f /x ] && LIST=\n", Unknown(2)),
    (b"LIST=$(cat /etc/list)\n", Unknown(1)),
    (b"LIST=\"$OTHER\"\n", Unknown(1)),
    (b"LIST=.ip\xe9_conntrack\n", Unknown(1)),
    (b"UNLOAD=$(cat /etc/list)\n", Unknown(1)),
    (b"LIST=.ip_conntrack\nread LIST < /etc/list\n", Unknown(2)),
    (b"LIST=(.ip_conntrack)\n", Unknown(1)),
    (b"LIST=\".ip_conntrack\n", Unknown(1)),
];

struct Host(TempDir);

impl Host {
    fn with(config: &[u8]) -> Self {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees/el5");
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("box");
        let copied = Command::new("cp").arg("-a").args([&tree, &copy]).status();
        assert!(copied.unwrap().success());
        let mut text = Vec::new();
        for line in config.split_inclusive(|&byte| byte == b'\n') {
            text.extend(replaced(line));
        }
        fs::write(copy.join("etc/sysconfig/iptables-config"), text).unwrap();
        Self(directory)
    }

    fn facts(&self) -> Facts {
        Facts::read(&Root::open(&self.0.path().join("box")).unwrap()).unwrap()
    }

    fn restart(&self) -> Restart {
        let start = Start::Now {
            max: 99_999,
            buckets: None,
        };
        let restart = simulate(&self.facts(), start).service_restart;
        match restart.value {
            Some(1_048_576) => Listed,
            Some(65_536) => Lost,
            Some(99_999) => Kept,
            Some(other) => panic!("{other}"),
            None => Unknown(restart.origin.source().unwrap().line),
        }
    }
}

/// With the names of the variables.
fn replaced(line: &[u8]) -> Vec<u8> {
    let names: [(&[u8], &[u8]); 2] = [
        (b"LIST", b"IPTABLES_SYSCTL_LOAD_LIST"),
        (b"UNLOAD", b"IPTABLES_MODULES_UNLOAD"),
    ];
    let mut text = Vec::new();
    let mut rest = line;
    while let Some(&first) = rest.first() {
        if let Some((short, long)) = names.iter().find(|(short, _)| rest.starts_with(short)) {
            text.extend_from_slice(long);
            rest = &rest[short.len()..];
        } else {
            text.push(first);
            rest = &rest[1..];
        }
    }
    text
}

#[test]
fn each_configuration_leads_to_what_the_shell_makes_of_it() {
    for (config, expected) in CONFIGS {
        let shown = String::from_utf8_lossy(config);
        assert_eq!(Host::with(config).restart(), expected, "{shown:?}");
    }
}

#[test]
fn a_missing_configuration_is_none() {
    let host = Host::with(b"");
    fs::remove_file(host.0.path().join("box/etc/sysconfig/iptables-config")).unwrap();
    // The script's own default unloads.
    assert_eq!(host.restart(), Lost);
}

#[test]
fn fix_claims_no_success_over_what_only_the_shell_can_tell() {
    for config in [
        b"LIST=$(cat /etc/list)\n".as_slice(),
        b"eval \"$X\"\n",
        b"exit 0\n",
    ] {
        let host = Host::with(config);
        let output = Command::new(env!("CARGO_BIN_EXE_ctdrop"))
            .args(["fix", "--yes", "--to", "1500000", "--root"])
            .arg(host.0.path().join("box"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("unknown"), "{said}");
    }
}

/// A default that the script of Enterprise Linux 5 changes for its own reload only.
#[test]
fn what_a_function_sets_that_is_not_called_is_no_default() {
    let host = Host::with(b"");
    let script = host.0.path().join("box/etc/rc.d/init.d/iptables");
    let mut text = fs::read_to_string(&script).unwrap();
    text.push_str(
        "reload() {\n    IPTABLES_MODULES_UNLOAD=\"no\"\n    stop\n    start\n}\n\
         case \"$1\" in\n    start) start;;\n    reload) reload;;\nesac\nexit $?\n",
    );
    fs::write(&script, text).unwrap();
    assert_eq!(host.restart(), Lost);
}

/// On a tree of Enterprise Linux 7: the script looks for what uses a module in the way
/// of module-init-tools, and kmod answers otherwise, so that nothing is unloaded.
#[test]
fn a_script_that_asks_for_module_init_tools_unloads_nothing_with_kmod() {
    let leads_to = |line: &str| {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees/el7-iptables-18");
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("box");
        let copied = Command::new("cp").arg("-a").args([&tree, &copy]).status();
        assert!(copied.unwrap().success());
        let script = copy.join("usr/libexec/iptables/iptables.init");
        let text = fs::read_to_string(&script).unwrap();
        fs::write(
            &script,
            text.replace("rmmod_r() {\n", &format!("rmmod_r() {{\n{line}")),
        )
        .unwrap();
        let facts = Facts::read(&Root::open(&copy).unwrap()).unwrap();
        let start = Start::Now {
            max: 99_999,
            buckets: None,
        };
        simulate(&facts, start).service_restart.value
    };
    let asks = "    NEW_MODUTILS=$(modprobe --version 2>&1 | grep -c module-init-tools)\n";
    assert_eq!(leads_to(asks), Some(99_999));
    assert_eq!(leads_to(&format!("#{asks}")), Some(262_144));
}
