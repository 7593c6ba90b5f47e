//! Tests on this host's namespaces; most need root, to make some of their own.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{self, Child, Command},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::kernel::{
    limits::Limits,
    netns::{Namespace, Namespaces, Unreadable, files},
    presence::Presence,
};

/// One test at a time makes namespaces: the kernel gives a dead one's number
/// to the next, and a test must not find another's where its own has gone.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A namespace made by `ip netns add`, deleted when dropped.
struct Made {
    name: String,
    _turn: MutexGuard<'static, ()>,
}

impl Made {
    /// Makes a namespace, or says why not.
    fn new(purpose: &str) -> Option<Self> {
        let turn = turn()?;
        let name = format!("ctdrop-{purpose}-{}", process::id());
        ip(&["netns", "add", &name]);
        Some(Made { name, _turn: turn })
    }

    fn delete(&self) {
        ip(&["netns", "delete", &self.name]);
    }

    fn discover(&self) -> Namespace {
        Namespaces::discover().unwrap().find(&self.name).unwrap()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if Path::new("/run/netns").join(&self.name).exists() {
            self.delete();
        }
    }
}

/// A process that is killed when dropped.
struct Running(Child);

impl Running {
    /// Starts `program`, and waits until it runs `sleep` in a namespace that is
    /// not ours.
    fn sleep_in_namespace(program: &mut Command) -> Self {
        let running = Running(program.args(["sleep", "60"]).spawn().unwrap());
        let comm = format!("/proc/{}/comm", running.pid());
        for _ in 0..500 {
            if fs::read_to_string(&comm).is_ok_and(|comm| comm == "sleep\n") {
                return running;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{program:?} did not come to run sleep");
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The turn to make namespaces; `None`, said aloud, if that is not possible.
fn turn() -> Option<MutexGuard<'static, ()>> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped: it needs root to make network namespaces");
        return None;
    }
    Some(ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}");
}

/// Asserts that a namespace with nothing in it has limits and empty counters.
#[track_caller]
fn assert_empty(namespace: &Namespace) {
    let limits = namespace.limits().unwrap();
    let counters = namespace.counters().unwrap();
    if Presence::read().unwrap() == Presence::Absent {
        assert_eq!(limits, Limits::default());
        assert_eq!(counters, None);
        return;
    }
    assert_eq!(limits.entries, Some(0));
    assert_eq!(
        limits.max,
        Limits::read().unwrap().max,
        "one limit for all namespaces"
    );
    let counters = counters.unwrap();
    assert_eq!(counters.entries, Some(0));
    assert_eq!(counters.totals().drop, Some(0));
}

#[test]
fn the_own_namespace_is_listed_and_readable_without_privilege() {
    let own = files::own_inode().unwrap();
    let all = Namespaces::discover().unwrap();
    let namespace = all.by_inode(own).unwrap();
    assert_eq!(all.find(&own.to_string()).unwrap().inode, own);
    assert_eq!(all.find(&format!("net:[{own}]")).unwrap().inode, own);
    assert_eq!(
        all.find(&format!("pid:{}", process::id())).unwrap().inode,
        own
    );
    assert_eq!(all.find("/proc/self/ns/net").unwrap().inode, own);
    assert_eq!(namespace.limits().unwrap().max, Limits::read().unwrap().max);
    assert!(all.list.iter().filter(|namespace| namespace.host).count() <= 1);
    assert!(
        all.list[1..].iter().all(|namespace| !namespace.host),
        "the host's is first"
    );
}

#[test]
fn what_cannot_be_found_is_named_with_what_can() {
    let all = Namespaces::discover().unwrap();
    let error = |wanted: &str| all.find(wanted).unwrap_err().to_string();
    let unknown = error("no-such-namespace");
    assert!(
        unknown.contains("\"no-such-namespace\"; known namespaces: "),
        "{unknown}"
    );
    assert!(unknown.contains(&all.list[0].name), "{unknown}");
    assert!(error("pid:x").contains("not a process number"));
    assert!(error("pid:4294967295").contains("there is no process"));
    assert!(error("/proc/self/status").contains("not the file of a network namespace"));
    assert!(error("/no/such/file").contains("no network namespace is called"));
}

#[test]
fn a_named_namespace_lives_and_goes() {
    let Some(made) = Made::new("named") else {
        return;
    };
    let namespace = made.discover();
    assert_eq!(namespace.name, made.name);
    assert!(!namespace.host);
    assert_eq!(namespace.pid, None);
    let path = PathBuf::from("/run/netns").join(&made.name);
    assert_eq!(namespace.mounts, [path]);
    assert_empty(&namespace);

    made.delete();
    assert!(matches!(namespace.limits(), Err(Unreadable::Gone { .. })));
    assert!(matches!(namespace.counters(), Err(Unreadable::Gone { .. })));
    assert!(Namespaces::discover().unwrap().find(&made.name).is_err());
}

#[test]
fn only_the_reading_thread_enters() {
    let Some(made) = Made::new("inside") else {
        return;
    };
    let namespace = made.discover();
    let link = || Ok(fs::read_link("/proc/thread-self/ns/net")?);
    let before = link().unwrap();
    let inside = namespace.inside(link).unwrap();
    assert_eq!(inside, PathBuf::from(format!("net:[{}]", namespace.inode)));
    assert_eq!(link().unwrap(), before);

    let failed = namespace.inside(|| -> anyhow::Result<()> { anyhow::bail!("no luck") });
    assert_eq!(failed.unwrap_err().to_string(), "no luck");
}

#[test]
fn a_namespace_of_a_process_ends_with_it() {
    let Some(_turn) = turn() else { return };
    let running = Running::sleep_in_namespace(Command::new("unshare").arg("--net"));
    let pid = running.pid();
    let all = Namespaces::discover().unwrap();
    let namespace = all.find(&format!("pid:{pid}")).unwrap();
    assert_eq!(namespace.pid, Some(pid));
    // On a host whose tests run in a container, the name is the container's.
    assert!(namespace.name == format!("sleep[{pid}]") || namespace.container.is_some());
    assert_empty(&namespace);

    drop(running);
    assert!(matches!(namespace.limits(), Err(Unreadable::Gone { .. })));
    assert!(matches!(namespace.counters(), Err(Unreadable::Gone { .. })));
}

#[test]
fn the_end_of_one_process_is_not_the_end_of_its_namespace() {
    let Some(made) = Made::new("moved") else {
        return;
    };
    let path = PathBuf::from("/run/netns").join(&made.name);
    let enter = || {
        let argument = format!("--net={}", path.display());
        Running::sleep_in_namespace(Command::new("nsenter").arg(argument))
    };
    let first = enter();
    let second = enter();
    let mut namespace = made.discover();
    // As if it was known by the first process only.
    namespace.mounts.clear();
    namespace.pid = Some(first.pid());
    drop(first);
    assert_empty(&namespace);
    // As if the number of the first process was given to one outside.
    namespace.pid = Some(process::id());
    assert_empty(&namespace);
    made.delete();
    assert_empty(&namespace);
    drop(second);
    assert!(matches!(namespace.counters(), Err(Unreadable::Gone { .. })));
}

#[test]
fn without_privilege_a_namespace_is_denied_not_gone() {
    let Some(made) = Made::new("denied") else {
        return;
    };
    let namespace = made.discover();
    let error = thread::spawn(move || {
        let none = CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, none).unwrap();
        namespace.limits().unwrap_err()
    });
    let error = error.join().unwrap();
    assert!(matches!(error, Unreadable::Denied { .. }), "{error}");
    // It is root that has been left without.
    let said = error.to_string();
    assert!(
        said.contains("CAP_SYS_ADMIN and CAP_SYS_PTRACE are missing")
            && !said.contains("run as root"),
        "{said}"
    );
}

#[test]
fn a_command_enters_by_name_process_or_mount() {
    let Some(made) = Made::new("entering") else {
        return;
    };
    let mut namespace = made.discover();
    let enters = |namespace: &Namespace| {
        let enter = namespace.entering().unwrap();
        let command = format!("{enter}readlink /proc/self/ns/net");
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        let link = String::from_utf8(output.stdout).unwrap();
        assert_eq!(link.trim_end(), format!("net:[{}]", namespace.inode));
        enter
    };
    assert_eq!(enters(&namespace), format!("ip netns exec {} ", made.name));
    let by_ip = format!("--net=/run/netns/{}", made.name);
    let inside = Running::sleep_in_namespace(Command::new("nsenter").arg(by_ip));
    namespace.pid = Some(inside.pid());
    let mounts = std::mem::take(&mut namespace.mounts);
    assert_eq!(
        enters(&namespace),
        format!("nsenter -t {} -n ", inside.pid())
    );
    namespace.pid = None;
    assert_eq!(namespace.entering(), None);
    // A shell would run what such a name says.
    namespace.mounts = vec!["/run/netns/a;reboot".into(), "/run/netns/-x".into()];
    let enter = namespace.entering().unwrap();
    assert_eq!(enter, "nsenter --net=/run/netns/-x ");
    namespace.mounts = mounts;
    namespace.inode = files::own_inode().unwrap();
    assert_eq!(namespace.entering().as_deref(), Some(""));
}
