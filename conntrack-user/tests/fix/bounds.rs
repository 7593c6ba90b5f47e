//! A fix leads to what it said, and not above; what the owner of a host has asked
//! for is not lowered; and what cannot happen is no failure.

use serde_json::Value;

use crate::tree::{Tree, texts};

const MAX: &str = "net.netfilter.nf_conntrack_max";

/// Runs `ctdrop fix` without a limit, and returns what was wanted and what each
/// event leads to.
fn fixed(tree: &Tree, arguments: &[&str]) -> (u64, Vec<(String, Option<u64>)>, Value) {
    let all = [&["--yes", "-o", "json"], arguments].concat();
    let output = tree.run("fix", &all);
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{err}\n{out}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let survival = tree.survival();
    let outcomes = survival.outcomes().into_iter();
    let leads = outcomes.map(|(event, outcome)| (event.to_string(), outcome.value));
    (
        report["target"]["max"].as_u64().unwrap(),
        leads.collect(),
        report,
    )
}

/// A host with Ubuntu 18.04 and a full table.
fn bionic(memory: u64) -> Tree {
    let tree = Tree::empty();
    tree.write(
        "/etc/os-release",
        "ID=ubuntu\nVERSION_ID=\"18.04\"\nPRETTY_NAME=\"Ubuntu 18.04.6 LTS\"\n",
    );
    tree.write("/lib/systemd/systemd", "");
    tree.write("/usr/bin/env", "");
    tree.write("/proc/sys/kernel/osrelease", "4.15.0-213-generic\n");
    tree.write("/proc/meminfo", &format!("MemTotal: {} kB\n", memory << 10));
    for (name, value) in [("max", 262_144), ("count", 262_144), ("buckets", 16_384)] {
        tree.write(
            &format!("/proc/sys/net/netfilter/nf_conntrack_{name}"),
            &format!("{value}\n"),
        );
    }
    tree
}

#[test]
fn a_boot_leads_to_what_was_said() {
    let tree = bionic(1_780);
    let (wanted, leads, _) = fixed(&tree, &[]);
    assert_eq!(wanted, 409_600, "a tenth of the memory");
    let conf = tree.text("/etc/sysctl.d/90-ctdrop.conf");
    assert!(conf.contains(&format!("{MAX} = 409600\n")), "{conf}");
    // A reload, too, as more would take a fifth of the memory.
    for (event, value) in leads {
        assert_eq!(value, Some(wanted), "{event}");
    }
}

/// With memory enough, a reload by hand leads to twice the limit; that is said.
#[test]
fn what_is_higher_is_said() {
    let tree = bionic(16_000);
    let (wanted, leads, report) = fixed(&tree, &[]);
    assert_eq!(wanted, 524_288);
    assert_eq!(leads[0], ("a boot".to_owned(), Some(wanted)));
    let reload = leads.last().unwrap();
    assert_eq!(reload.1, Some(2 * wanted), "{reload:?}");
    let warnings = report["warnings"].as_array().unwrap();
    let said = warnings.iter().find(|one| one["code"] == "limit_higher");
    let said = said.unwrap()["what"].as_str().unwrap();
    assert!(
        said.contains("a reload of the module") && said.contains("1,048,576"),
        "{said}"
    );
}

/// The service `ip6tables` without saved rules: whether its stop unloads conntrack is
/// read from its script.
#[test]
fn the_twin_leads_to_what_was_asked_for() {
    for (check, buckets) in [
        ("", 131_072),
        (
            "    [ ! -e \"$PROC_IPTABLES_NAMES\" ] && return 0\n",
            262_144,
        ),
    ] {
        let tree = Tree::copy_of("el7-iptables-18");
        let script = tree.text("/usr/libexec/iptables/iptables.init");
        let script = script.replace("stop() {\n", &format!("stop() {{\n{check}"));
        let twin = script
            .replace("iptables", "ip6tables")
            .replace("IPTABLES", "IP6TABLES")
            .replace("PROC_IP6TABLES_NAMES", "PROC_IPTABLES_NAMES");
        tree.write("/usr/libexec/iptables/ip6tables.init", &twin);
        let (wanted, leads, report) = fixed(&tree, &["--to", "1048576"]);
        assert_eq!(report["target"]["buckets"], buckets, "{check:?}");
        for (event, value) in leads.iter().filter(|(event, _)| !event.contains("reload")) {
            assert_eq!(*value, Some(wanted), "{check:?}: {event}");
        }
    }
}

/// A kernel that has conntrack built in is not reloaded.
#[test]
fn what_cannot_happen_is_no_failure() {
    let tree = Tree::copy_of("built-in");
    tree.write("/proc/sys/net/netfilter/nf_conntrack_max", "262144\n");
    tree.write("/proc/sys/net/netfilter/nf_conntrack_buckets", "65536\n");
    let out = tree.done("fix", &["--to", "1048576", "--yes"]);
    assert!(!out.contains("still leads to"), "{out}");
}

#[test]
fn what_a_script_asks_for_is_not_lowered() {
    let tree = Tree::copy_of("rc-local");
    let script = "#!/bin/sh\necho 524288 > /proc/sys/net/netfilter/nf_conntrack_max\n";
    tree.write("/etc/rc.d/rc.local", script);
    for (name, value) in [("max", 65_536), ("count", 65_536), ("buckets", 16_384)] {
        tree.write(
            &format!("/proc/sys/net/netfilter/nf_conntrack_{name}"),
            &format!("{value}\n"),
        );
    }
    let (_, err) = texts(&tree.run("fix", &["--yes"]));
    let out = tree.done("fix", &["--dry-run", "-o", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["target"]["max"], 524_288, "{err}");
    assert!(!out.contains("change or delete the line"), "{out}");
    // Where the memory is too small for that, it is said.
    tree.write("/proc/meminfo", "MemTotal: 500000 kB\n");
    let out = tree.done("fix", &["--dry-run", "-o", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["target"]["max"], 524_288);
    assert!(
        out.contains("can take more than 10 % of the memory"),
        "{out}"
    );
}

/// An EL7 kernel has no names of its predecessor: the line does nothing.
#[test]
fn a_name_that_the_kernel_lacks_is_not_believed() {
    let tree = Tree::copy_of("el7-iptables-18");
    let old = "net.ipv4.netfilter.ip_conntrack_max";
    tree.write("/etc/sysctl.conf", &format!("{old} = 655350\n"));
    std::fs::remove_file(tree.at("/etc/sysctl.d/90-conntrack.conf")).unwrap();
    assert_eq!(tree.survival().boot.value, Some(262_144));
    let output = tree.run("status", &["-o", "json"]);
    let (out, _) = texts(&output);
    assert!(out.contains("setting_ineffective"), "{out}");
    assert!(!out.contains("\"state\":\"ok\""), "{out}");
    tree.fix();
    let conf = tree.text("/etc/sysctl.conf");
    assert!(conf.contains(MAX) && !conf.contains(old), "{conf}");
    // Of a kernel that may have it, the limit is unknown until the name is replaced.
    let tree = Tree::copy_of("debian7-sysv");
    tree.write("/etc/sysctl.conf", &format!("{old} = 655350\n"));
    assert_eq!(tree.survival().boot.value, None);
    tree.fix();
    assert_eq!(tree.text("/etc/sysctl.conf"), format!("{MAX} = 1500000\n"));
    assert_eq!(tree.survival().boot.value, Some(1_500_000));
}

#[test]
fn a_module_that_is_kept_out_is_no_limit_that_lasts() {
    let tree = Tree::copy_of("debian12");
    tree.write(
        "/etc/modprobe.d/no.conf",
        "install nf_conntrack /bin/true\n",
    );
    let output = tree.run("status", &[]);
    let (out, _) = texts(&output);
    assert!(out.starts_with("WARNING"), "{out}");
    assert!(
        out.contains("keeps modprobe from loading conntrack"),
        "{out}"
    );
    assert!(!out.contains("and lasts"), "{out}");
    let output = tree.run("fix", &["--to", "1500000", "--yes"]);
    assert_eq!(output.status.code(), Some(1), "{:?}", texts(&output));
}

/// No option of the module can keep no limit.
#[test]
fn no_limit_is_no_number_of_buckets() {
    let tree = Tree::copy_of("debian12");
    tree.write("/proc/sys/net/netfilter/nf_conntrack_max", "0\n");
    let (out, _) = texts(&tree.run("status", &["-o", "json"]));
    assert!(
        out.contains("limit_lost_by_reload") && !out.contains("hashsize=0"),
        "{out}"
    );
}
