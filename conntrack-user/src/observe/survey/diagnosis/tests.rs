mod lockdown;

use super::*;

/// A host without these capabilities.
fn without(gone: &[Capability]) -> Surroundings {
    let mut around = Surroundings::good();
    around.capabilities.retain(|it| !gone.contains(it));
    around
}

const LOAD: Step = Step::LoadProgram("alloc_exit");
const ATTACH: Step = Step::AttachProgram {
    program: "alloc_exit",
    target: "__nf_conntrack_alloc",
};

fn refused(step: Step, errno: i32) -> LoadFailure {
    LoadFailure::new(step, Cause::Errno(errno))
}

fn no_maps() -> LoadFailure {
    refused(Step::CreateMaps, libc::EPERM)
}

fn absent(cause: Cause) -> LoadFailure {
    LoadFailure::new(Step::FindTargets, cause)
}

const fn cap(capability: Capability) -> Obstacle {
    Obstacle::Capability(capability)
}

#[test]
fn each_missing_capability_is_named() {
    use Capability::{CapBpf, CapPerfmon, CapSysAdmin};
    let gone = without(&[CapBpf, CapSysAdmin]);
    assert_eq!(
        obstacles(Backend::Tracepoint, &no_maps(), &gone),
        [cap(CapBpf)]
    );
    let gone = without(&[CapPerfmon, CapSysAdmin]);
    let program = refused(LOAD, libc::EPERM);
    assert_eq!(
        obstacles(Backend::Tracepoint, &program, &gone),
        [cap(CapPerfmon)]
    );
    let gone = without(&[CapSysAdmin]);
    let types = refused(Step::OpenModuleBtf, libc::EPERM);
    assert_eq!(obstacles(Backend::Fexit, &types, &gone), [cap(CapSysAdmin)]);
    let nothing = without(&Capability::ALL);
    assert_eq!(
        obstacles(Backend::Fexit, &no_maps(), &nothing),
        [cap(CapBpf), cap(CapPerfmon), cap(CapSysAdmin)]
    );
    let built_in = Surroundings {
        module_btf: None,
        ..nothing
    };
    assert_eq!(
        obstacles(Backend::Fexit, &no_maps(), &built_in),
        [cap(CapBpf), cap(CapPerfmon)]
    );
}

#[test]
fn maps_that_are_invalid_for_lack_of_rights_are_told_by_these() {
    use Capability::{CapBpf, CapPerfmon};
    let invalid = refused(Step::CreateMaps, libc::EINVAL);
    let mut nobody = without(&Capability::ALL);
    nobody.unprivileged_bpf_disabled = Some(0);
    assert_eq!(
        obstacles(Backend::Tracepoint, &invalid, &nobody),
        [cap(CapBpf), cap(CapPerfmon)]
    );
    nobody.user_namespace = true;
    assert_eq!(
        obstacles(Backend::Tracepoint, &invalid, &nobody),
        [Obstacle::UserNamespace]
    );
    assert_eq!(
        obstacles(Backend::Tracepoint, &invalid, &Surroundings::good()),
        [Obstacle::Unknown]
    );
}

#[test]
fn kprobes_of_a_paranoid_kernel_are_for_admin() {
    let mut around = Surroundings::good();
    around.capabilities = vec![Capability::CapBpf, Capability::CapPerfmon];
    let failure = refused(ATTACH, libc::EACCES);
    assert_eq!(
        obstacles(Backend::Kprobe, &failure, &around),
        [Obstacle::Unknown]
    );
    around.perf_event_paranoid = Some(3);
    assert_eq!(
        obstacles(Backend::Kprobe, &failure, &around),
        [cap(Capability::CapSysAdmin)]
    );
}

#[test]
fn an_old_kernel_knows_one_capability() {
    let around = Surroundings {
        release: Some((5, 4)),
        has_cap_bpf: false,
        capabilities: Vec::new(),
        ..Surroundings::good()
    };
    assert_eq!(
        obstacles(Backend::Kprobe, &no_maps(), &around),
        [cap(Capability::CapSysAdmin)]
    );
}

#[test]
fn root_of_a_user_namespace_is_not_root() {
    let around = Surroundings {
        user_namespace: true,
        ..Surroundings::good()
    };
    for backend in Backend::PROGRAMS {
        assert_eq!(
            obstacles(backend, &no_maps(), &around),
            [Obstacle::UserNamespace]
        );
    }
}

#[test]
fn without_conntrack_there_is_nothing_to_observe() {
    let failure = LoadFailure::new(Step::FindConntrack, Cause::ConntrackNotLoaded);
    for backend in Backend::ALL {
        assert_eq!(
            obstacles(backend, &failure, &Surroundings::good()),
            [Obstacle::Conntrack]
        );
    }
}

#[test]
fn no_type_information_stops_every_backend_with_programs() {
    let failure = LoadFailure::new(Step::ReadBtf, Cause::NoBtf);
    for backend in Backend::PROGRAMS {
        assert_eq!(
            obstacles(backend, &failure, &Surroundings::good()),
            [Obstacle::Btf]
        );
    }
}

#[test]
fn a_module_without_type_information_stops_fexit() {
    let failure = absent(Cause::NoModuleBtf);
    assert_eq!(
        obstacles(Backend::Fexit, &failure, &Surroundings::good()),
        [Obstacle::ModuleBtf]
    );
    for cause in [
        Cause::ModuleBtfLeftOut,
        Cause::BadModuleBtf("a string has no end".to_owned()),
    ] {
        assert_eq!(
            obstacles(Backend::Fexit, &absent(cause), &Surroundings::good()),
            [Obstacle::ModuleBtf]
        );
    }
    let old = Surroundings {
        release: Some((5, 10)),
        ..Surroundings::good()
    };
    assert_eq!(
        obstacles(Backend::Fexit, &failure, &old),
        [Obstacle::Kernel]
    );
    let unknown = Surroundings {
        release: None,
        ..Surroundings::good()
    };
    assert_eq!(
        obstacles(Backend::Fexit, &failure, &unknown),
        [Obstacle::ModuleBtf]
    );
    let changed = Cause::FunctionChanged {
        function: "early_drop",
        variant: "early_drop.isra.0".to_owned(),
    };
    for cause in [
        Cause::NoFunction("early_drop"),
        Cause::NoFunctionType("early_drop"),
        changed,
    ] {
        assert_eq!(
            obstacles(Backend::Fexit, &absent(cause), &Surroundings::good()),
            [Obstacle::Function]
        );
    }
}

#[test]
fn a_function_with_other_arguments_is_named() {
    let failure = absent(Cause::PrototypeChanged {
        hook: "function early_drop".to_owned(),
        found: "has 3 parameters".to_owned(),
        expected: "2".to_owned(),
    });
    assert_eq!(
        failure.to_string(),
        "this kernel's function early_drop has 3 parameters, and ctdrop expects 2"
    );
    assert_eq!(
        obstacles(Backend::Fexit, &failure, &Surroundings::good()),
        [Obstacle::Prototype]
    );
}

#[test]
fn policies_answer_otherwise_than_capabilities() {
    let around = Surroundings {
        selinux: true,
        seccomp: true,
        ..Surroundings::good()
    };
    let maps = |errno| {
        let failure = refused(Step::CreateMaps, errno);
        obstacles(Backend::Tracepoint, &failure, &around)
    };
    assert_eq!(maps(libc::EACCES), [Obstacle::Selinux]);
    assert_eq!(maps(libc::EPERM), [Obstacle::Seccomp]);
    assert_eq!(maps(libc::ENOSYS), [Obstacle::Seccomp]);
}

#[test]
fn a_filter_that_lets_maps_pass_does_not_stop_programs() {
    let around = Surroundings {
        seccomp: true,
        ..Surroundings::good()
    };
    assert_eq!(
        obstacles(Backend::Fexit, &refused(LOAD, libc::EPERM), &around),
        [Obstacle::Tracing]
    );
    assert_eq!(
        obstacles(Backend::Kprobe, &refused(ATTACH, libc::EPERM), &around),
        [Obstacle::Seccomp],
        "perf_event_open can be filtered by itself"
    );
}

#[test]
fn little_memory_to_lock_stops_maps_before_5_11() {
    let around = Surroundings {
        release: Some((5, 10)),
        memory_lock_limited: true,
        ..Surroundings::good()
    };
    assert_eq!(
        obstacles(Backend::Kprobe, &no_maps(), &around),
        [Obstacle::LockedMemory]
    );
    let newer = Surroundings {
        release: Some((5, 11)),
        ..around
    };
    assert_eq!(
        obstacles(Backend::Kprobe, &no_maps(), &newer),
        [Obstacle::Unknown]
    );
}

#[test]
fn kprobes_absent_or_off() {
    for kprobes in [Kprobes::Absent, Kprobes::Off] {
        let around = Surroundings {
            kprobes,
            ..Surroundings::good()
        };
        let failure = absent(Cause::Kprobes(kprobes));
        assert_eq!(
            obstacles(Backend::Kprobe, &failure, &around),
            [Obstacle::Kprobes]
        );
        let nobody = Surroundings {
            capabilities: vec![Capability::CapPerfmon],
            ..around
        };
        assert_eq!(
            obstacles(Backend::Kprobe, &no_maps(), &nobody),
            [cap(Capability::CapBpf), Obstacle::Kprobes],
            "one would not do without the other"
        );
    }
    assert_eq!(
        obstacles(
            Backend::Kprobe,
            &refused(ATTACH, libc::ENOENT),
            &Surroundings::good()
        ),
        [Obstacle::Function]
    );
}

#[test]
fn a_kernel_too_old_for_the_tracepoint() {
    for cause in [Cause::NoDropReason, Cause::NoTracepoint("kfree_skb")] {
        assert_eq!(
            obstacles(Backend::Tracepoint, &absent(cause), &Surroundings::good()),
            [Obstacle::Kernel]
        );
    }
}

#[test]
fn trampolines_refused_for_no_visible_reason() {
    for errno in [libc::EPERM, libc::EINVAL, 524] {
        for step in [LOAD, ATTACH] {
            assert_eq!(
                obstacles(Backend::Fexit, &refused(step, errno), &Surroundings::good()),
                [Obstacle::Tracing]
            );
        }
    }
}

#[test]
fn what_the_verifier_rejects_is_no_matter_of_rights() {
    let rejected = Cause::Rejected {
        errno: libc::EACCES,
        log: "R1 invalid mem access 'scalar'".to_owned(),
    };
    let failure = LoadFailure::new(LOAD, rejected);
    for backend in Backend::PROGRAMS {
        assert_eq!(
            obstacles(backend, &failure, &without(&Capability::ALL)),
            [Obstacle::Verifier]
        );
    }
}

#[test]
fn a_failure_that_is_no_refusal_is_not_guessed_at() {
    let failure = LoadFailure::new(Step::CreateMaps, Cause::Other("no map".to_owned()));
    for backend in Backend::ALL {
        assert_eq!(
            obstacles(backend, &failure, &Surroundings::good()),
            [Obstacle::Unknown]
        );
    }
    let counters = LoadFailure::new(Step::ReadCounters, Cause::NoCounters);
    assert_eq!(
        obstacles(Backend::Counters, &counters, &Surroundings::good()),
        [Obstacle::Counters]
    );
}

#[test]
fn what_would_stand_in_the_way_is_told_without_trying() {
    use Capability::{CapBpf, CapPerfmon, CapSysAdmin};
    for backend in Backend::ALL {
        assert_eq!(expected(backend, true, &Surroundings::good()), []);
    }
    assert_eq!(
        expected(Backend::Fexit, false, &Surroundings::good()),
        [Obstacle::Tracing],
        "no direct calls"
    );
    assert_eq!(expected(Backend::Kprobe, false, &Surroundings::good()), []);
    let nobody = without(&Capability::ALL);
    assert_eq!(
        expected(Backend::Fexit, true, &nobody),
        [cap(CapBpf), cap(CapPerfmon), cap(CapSysAdmin)]
    );
    assert_eq!(expected(Backend::Counters, true, &nobody), []);
    let inside = Surroundings {
        user_namespace: true,
        ..nobody
    };
    assert_eq!(
        expected(Backend::Kprobe, true, &inside),
        [Obstacle::UserNamespace]
    );
    assert_eq!(
        expected(Backend::Counters, true, &inside),
        [],
        "counters are files"
    );
    let locked = Surroundings {
        lockdown: Some(Lockdown::Confidentiality),
        ..Surroundings::good()
    };
    assert_eq!(
        expected(Backend::Tracepoint, true, &locked),
        [Obstacle::Lockdown]
    );
    assert_eq!(expected(Backend::Counters, true, &locked), []);
}

#[test]
fn codes_are_stable() {
    let code = |obstacle| serde_json::to_value::<Obstacle>(obstacle).unwrap();
    for (obstacle, expected) in [
        (cap(Capability::CapBpf), "cap_bpf"),
        (cap(Capability::CapSysAdmin), "cap_sys_admin"),
        (cap(Capability::CapSyslog), "cap_syslog"),
        (cap(Capability::CapSysPtrace), "cap_sys_ptrace"),
        (cap(Capability::CapPerfmon), "cap_perfmon"),
        (Obstacle::ModuleBtf, "module_btf"),
        (Obstacle::Prototype, "prototype"),
        (Obstacle::UserNamespace, "user_namespace"),
        (Obstacle::LockedMemory, "locked_memory"),
        (Obstacle::Lockdown, "lockdown"),
        (Obstacle::Verifier, "verifier"),
    ] {
        assert_eq!(code(obstacle), expected);
    }
}
