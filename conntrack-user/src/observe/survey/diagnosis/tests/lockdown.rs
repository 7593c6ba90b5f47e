//! The kernel is locked down against its own root.

use super::*;

#[test]
fn locked_down_against_reading_nothing_works() {
    let around = Surroundings {
        lockdown: Some(Lockdown::Confidentiality),
        ..Surroundings::good()
    };
    let rejected = Cause::Rejected {
        errno: libc::EINVAL,
        log: "unknown func bpf_probe_read_kernel#113".to_owned(),
    };
    let failures = [
        refused(LOAD, libc::EPERM),
        refused(LOAD, libc::EINVAL),
        LoadFailure::new(LOAD, rejected),
        absent(Cause::NoModuleBtf),
        absent(Cause::NoDropReason),
    ];
    for backend in Backend::PROGRAMS {
        for failure in &failures {
            assert_eq!(obstacles(backend, failure, &around), [Obstacle::Lockdown]);
        }
    }
}

#[test]
fn the_verifier_tells_of_lockdown_where_no_file_does() {
    let around = Surroundings {
        lockdown: None,
        ..Surroundings::good()
    };
    // Before 6.9, since, and as aya changes kprobes.
    for log in [
        "12: (85) call bpf_probe_read_kernel#113\nunknown func bpf_probe_read_kernel#113",
        "program of this type cannot use helper bpf_probe_read_kernel#113",
        "78: (85) call bpf_probe_read#4\nunknown func bpf_probe_read#4",
    ] {
        let log = log.to_owned();
        let failure = LoadFailure::new(
            LOAD,
            Cause::Rejected {
                errno: libc::EINVAL,
                log,
            },
        );
        assert_eq!(
            obstacles(Backend::Fexit, &failure, &around),
            [Obstacle::Lockdown]
        );
    }
    let called = "12: (85) call bpf_probe_read_kernel#113\nR1 type=scalar expected=fp";
    let log = called.to_owned();
    let failure = LoadFailure::new(
        LOAD,
        Cause::Rejected {
            errno: libc::EACCES,
            log,
        },
    );
    assert_eq!(
        obstacles(Backend::Fexit, &failure, &around),
        [Obstacle::Verifier]
    );
}

#[test]
fn integrity_is_suspected_only_when_nothing_else_is() {
    let around = Surroundings {
        lockdown: Some(Lockdown::Integrity),
        ..Surroundings::good()
    };
    let fexit = refused(LOAD, libc::EPERM);
    assert_eq!(
        obstacles(Backend::Fexit, &fexit, &around),
        [Obstacle::Lockdown]
    );
    let filtered = Surroundings {
        seccomp: true,
        ..around
    };
    assert_eq!(
        obstacles(Backend::Fexit, &no_maps(), &filtered),
        [Obstacle::Seccomp]
    );
}
