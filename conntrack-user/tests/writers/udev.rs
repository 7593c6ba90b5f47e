//! udev rules that set the limit: when the module is loaded, or at a time that is not known.

use conntrack_user::{
    facts::{Facts, root::Root},
    survival::{Start, simulate},
};

use crate::host::{
    FILES, Host, KEY,
    Limit::{self, Is, UnknownBy},
};

const RULES: &str = "/etc/udev/rules.d/99-ct.rules";

const ON_LOAD: &str = "ACTION==\"add\", SUBSYSTEM==\"module\", KERNEL==\"nf_conntrack\"";

fn reload(host: &Host) -> Option<u64> {
    let facts = Facts::read(&Root::open(host.0.path()).unwrap()).unwrap();
    simulate(&facts, Start::AfterBoot).module_reload.value
}

#[test]
fn a_rule_that_sets_the_sysctl() {
    let set = |name: &str, value: &str| format!("SYSCTL{{{name}}}=\"{value}\"\n");
    let slashes = "net/netfilter/nf_conntrack_max";
    let cases: [(String, Limit, Option<u64>); 6] = [
        // Before or after systemd-sysctl.
        (
            format!("{ON_LOAD}, {}", set(KEY, "65536")),
            UnknownBy(1),
            Some(65_536),
        ),
        (
            format!("{ON_LOAD}, {}", set(slashes, "65536")),
            UnknownBy(1),
            Some(65_536),
        ),
        (
            format!("{ON_LOAD}, {}", set(KEY, &FILES.to_string())),
            Is(FILES),
            Some(FILES),
        ),
        (
            format!("{ON_LOAD}, {}", set(KEY, "$env{N}")),
            UnknownBy(1),
            None,
        ),
        (
            format!("{ON_LOAD}, TEST==\"/x\", {}", set(KEY, "65536")),
            UnknownBy(1),
            None,
        ),
        (
            format!(
                "SUBSYSTEM==\"net\", KERNEL==\"eth0\", {}",
                set(KEY, "65536")
            ),
            UnknownBy(1),
            Some(262_144),
        ),
    ];
    for (rule, boot, after_reload) in cases {
        let host = Host::with(RULES, &rule);
        assert_eq!(host.limit(), boot, "{rule}");
        assert_eq!(reload(&host), after_reload, "{rule}");
    }
}

#[test]
fn a_rule_comes_last_where_the_module_is_loaded_late() {
    let rule = format!("{ON_LOAD}, RUN+=\"/sbin/sysctl -p /etc/sysctl.d/90-ct.conf\"\n");
    for (release, boot) in [
        ("6.1.0-25-amd64\n", Is(FILES)),
        ("5.10.0-30-amd64\n", UnknownBy(1)),
    ] {
        let host = Host::with(RULES, &rule);
        std::fs::remove_dir_all(host.0.path().join("etc/modules-load.d")).unwrap();
        host.write("/proc/sys/kernel/osrelease", release);
        assert_eq!(host.limit(), boot, "{release}");
    }
}
