use super::*;

/// A machine that has only these files; a link is a file with its target.
fn resolve(present: &[(&str, &str)]) -> Surroundings {
    let text = |wanted: &str| {
        let file = present.iter().find(|(path, _)| *path == wanted);
        file.map(|(_, text)| (*text).to_owned())
    };
    Surroundings::resolve(&Files {
        text: &text,
        link: &text,
        exists: &|path| text(path).is_some(),
        identity: &|_| None,
        writable: &|path| text(path).is_some(),
    })
}

#[test]
fn a_bare_machine_has_nothing_and_forbids_nothing() {
    let bare = resolve(&[]);
    assert!(bare.capabilities.is_empty() && !bare.user_namespace && !bare.seccomp);
    assert!(!bare.btf && bare.module_btf.is_none() && bare.has_cap_bpf);
    assert_eq!((bare.lockdown, bare.kprobes), (None, Kprobes::Absent));
    assert_eq!(bare.container, None);
}

#[test]
fn capabilities_in_effect_are_read_bit_by_bit() {
    let with = |bits: &str| {
        let status = format!("Name:\tctdrop\nCapPrm:\tffffffffffffffff\nCapEff:\t{bits}\n");
        resolve(&[("/proc/self/status", &status)])
    };
    assert_eq!(with("000001fffeffffff").capabilities, Capability::ALL);
    let only = with("000000c000000000");
    assert_eq!(
        only.capabilities,
        [Capability::CapPerfmon, Capability::CapBpf]
    );
    assert!(only.may(Capability::CapBpf) && !only.may(Capability::CapSysAdmin));
    let admin = with("0000000000200000");
    assert!(admin.may(Capability::CapBpf) && admin.may(Capability::CapPerfmon));
    assert!(!admin.may(Capability::CapSyslog) && !admin.may(Capability::CapSysPtrace));
}

#[test]
fn what_root_could_have_is_read_besides() {
    let status =
        "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nCapBnd:\t000000c0a80425fb\n";
    let nobody = resolve(&[("/proc/self/status", status)]);
    assert!(!nobody.root && nobody.capabilities.is_empty());
    assert_eq!(
        nobody.bounding,
        [Capability::CapPerfmon, Capability::CapBpf]
    );
    let setuid = resolve(&[("/proc/self/status", "Uid:\t1000\t0\t0\t0\n")]);
    assert!(setuid.root && setuid.bounding.is_empty());
}

#[test]
fn a_kernel_before_5_8_splits_no_capabilities() {
    let last = |number| resolve(&[("/proc/sys/kernel/cap_last_cap", number)]).has_cap_bpf;
    assert!(!last("37\n"));
    assert!(last("39\n") && last("40\n"));
}

#[test]
fn filters_and_locks() {
    let around = resolve(&[
        ("/proc/self/status", "Seccomp:\t2\nSeccomp_filters:\t1\n"),
        (
            "/sys/kernel/security/lockdown",
            "none [integrity] confidentiality\n",
        ),
        ("/sys/fs/selinux/enforce", "1"),
        ("/sys/fs/selinux/class/bpf", ""),
        ("/proc/sys/kernel/unprivileged_bpf_disabled", "2\n"),
    ]);
    assert!(around.seccomp && around.selinux);
    assert_eq!(around.lockdown, Some(Lockdown::Integrity));
    assert_eq!(around.unprivileged_bpf_disabled, Some(2));
    let permissive = [
        ("/sys/fs/selinux/enforce", "0"),
        ("/sys/fs/selinux/class/bpf", ""),
    ];
    assert!(!resolve(&permissive).selinux);
    assert!(!resolve(&[("/proc/self/status", "Seccomp:\t0\n")]).seccomp);
    assert_eq!(
        lockdown("none integrity [confidentiality]"),
        Some(Lockdown::Confidentiality)
    );
    assert_eq!(
        lockdown("[none] integrity confidentiality"),
        Some(Lockdown::None)
    );
    assert_eq!(lockdown("[somewhat]"), None);
}

#[test]
fn user_namespaces() {
    let user = |link| resolve(&[("/proc/self/ns/user", link)]).user_namespace;
    assert!(!user(isolation::FIRST_USER_NAMESPACE));
    assert!(user("user:[4026532201]"));
}

#[test]
fn what_a_container_hides_is_said() {
    let other = ("/proc/self/ns/pid", "pid:[4026532301]");
    let mark = ("/.dockerenv", "");
    let said = |present: &[(&str, &str)]| resolve(present).container_note();
    assert_eq!(said(&[mark]), None);
    assert_eq!(
        said(&[other, mark]).unwrap(),
        "ctdrop runs in a container (docker) and reads only the container's files; the limit can \
         be changed only on the host"
    );
    let max = ("/proc/sys/net/netfilter/nf_conntrack_max", "262144");
    assert_eq!(
        said(&[other, max]).unwrap(),
        "ctdrop runs in a container and reads only the container's files; it can change the limit \
         of the host"
    );
    assert_eq!(
        resolve(&[other]).container_called().unwrap(),
        "the container"
    );
}

#[test]
fn kprobes_can_be_switched_off() {
    let device = ("/sys/bus/event_source/devices/kprobe", "");
    let switch = |text| ("/sys/kernel/debug/kprobes/enabled", text);
    assert_eq!(resolve(&[device]).kprobes, Kprobes::On);
    assert_eq!(resolve(&[device, switch("1\n")]).kprobes, Kprobes::On);
    assert_eq!(resolve(&[device, switch("0\n")]).kprobes, Kprobes::Off);
}

#[test]
fn type_information_of_kernel_and_module() {
    let module = ("/sys/module/nf_conntrack/initstate", "live\n");
    assert_eq!(resolve(&[module]).module_btf, Some(false));
    let shown = resolve(&[
        module,
        ("/sys/kernel/btf/vmlinux", ""),
        ("/sys/kernel/btf/nf_conntrack", ""),
    ]);
    assert!(shown.btf && !shown.other_module_btf);
    assert_eq!(shown.module_btf, Some(true));
    let left_out = resolve(&[module, ("/sys/kernel/btf/nf_defrag_ipv4", "")]);
    assert_eq!(
        (left_out.module_btf, left_out.other_module_btf),
        (Some(false), true)
    );
}

#[test]
fn this_machine_can_be_looked_at() {
    assert!(Surroundings::read().release.unwrap().0 >= 2);
}
