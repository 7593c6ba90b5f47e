//! Real programs that behave well and badly.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    Hook,
    command::{Command, Program},
    process::{Ran, run},
    runner::Times,
};
use crate::{
    incident::{Evidence, judge},
    store::incident::ClosedBy,
    subscribers::{
        Subscriber as _,
        hook_outcome::{End, Moment, Outcome},
        recording::{Recording, Told, What},
    },
};

/// What must not wait for anything may take this long on a busy host.
const SOON: Duration = Duration::from_secs(20);

/// A script and the directory that it is in.
struct Script {
    directory: TempDir,
    path: PathBuf,
}

impl Script {
    /// A script that finds its directory in `$D`.
    fn new(body: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hook");
        let text = format!("#!/bin/sh\nD={}\n{body}\n", directory.path().display());
        // Whoever forks meanwhile must not hold it open for writing when it is run.
        let draft = directory.path().join("draft");
        fs::write(&draft, text).unwrap();
        let copied = std::process::Command::new("cp")
            .arg(&draft)
            .arg(&path)
            .status();
        assert!(copied.unwrap().success());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory, path }
    }

    fn run(&self, input: &[u8], time: Duration) -> Ran {
        let program = Program {
            path: self.path.clone(),
            arguments: vec!["one".to_owned(), "t w o".to_owned()],
        };
        let until = Instant::now() + time;
        run(&program, input, &|| until)
    }

    fn has(&self, name: &str) -> bool {
        self.directory.path().join(name).exists()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap()
    }

    fn hook(&self, times: Times) -> (Hook, UnboundedReceiver<Recording>) {
        let command = Command::read(self.path.to_str().unwrap()).unwrap();
        Hook::with(&command, times).unwrap()
    }
}

/// Whether a process is there and no zombie.
fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z"))
}

#[track_caller]
fn assert_gone(pid: &str) {
    let began = Instant::now();
    while lives(pid) {
        assert!(began.elapsed() < SOON, "{pid} lives");
        thread::sleep(Duration::from_millis(20));
    }
}

fn told(id: i64, closed_by: Option<ClosedBy>) -> Box<Told> {
    Box::new(Told {
        id,
        refused: 5,
        incident: judge(&Evidence::default(), None),
        closed_by,
    })
}

fn open(hook: &mut Hook, id: i64) {
    let what = What::Opened(told(id, None));
    hook.recording(&Recording::now(what)).unwrap();
}

fn close(hook: &mut Hook, id: i64) {
    let what = What::Closed(told(id, Some(ClosedBy::Stopped)));
    hook.recording(&Recording::now(what)).unwrap();
}

/// What became of all runs; the hook is gone.
fn outcomes(mut news: UnboundedReceiver<Recording>) -> Vec<Outcome> {
    std::iter::from_fn(|| news.blocking_recv())
        .map(|recording| match recording.what {
            What::Hooked(outcome) => *outcome,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// The open files of this process that any child inherits: those that it was started with.
fn inherited() -> BTreeSet<String> {
    let names = fs::read_dir("/proc/self/fdinfo").unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_inherited = |name: &String| {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{name}")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.map(|flags| u64::from_str_radix(flags.trim(), 8).unwrap());
        flags.is_some_and(|flags| flags & 0o2_000_000 == 0)
    };
    names.filter(is_inherited).collect()
}

#[test]
fn it_gets_its_words_its_input_and_no_other_file() {
    let script = Script::new(
        "cat > $D/input; echo \"$1, $2\"; echo wrong >&2; ls /proc/self/fd > $D/fds; exit 3",
    );
    let ours = fs::File::open("/dev/null").unwrap();
    let ran = script.run(b"{\"a\":1}\n", SOON);
    drop(ours);
    assert_eq!(ran.end, End::Exited(3), "{ran:?}");
    assert_eq!(ran.output, ["one, t w o", "wrong"]);
    assert_eq!(script.text("input"), "{\"a\":1}\n");
    let inherited = inherited();
    let fds = script.text("fds");
    let of_ctdrop = fds.lines().filter(|&fd| !inherited.contains(fd));
    // The standard ones may be inherited. One more is the directory that ls reads.
    let of_ctdrop = of_ctdrop.filter(|fd| !["0", "1", "2"].contains(fd));
    assert_eq!(of_ctdrop.count(), 1, "{fds}");
}

#[test]
fn one_that_hangs_is_ended() {
    let script = Script::new("echo $$ > $D/pid; exec sleep 1000");
    let began = Instant::now();
    let ran = script.run(b"", Duration::from_millis(500));
    assert_eq!(ran.end, End::TimedOut);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_gone(&script.text("pid"));
}

#[test]
fn one_that_forks_and_hangs_is_ended_with_its_children() {
    let script = Script::new(
        "trap '' TERM; sleep 1000 & echo $! > $D/one
        sh -c 'trap \"\" TERM; sleep 1000' & echo $! > $D/two; wait; wait",
    );
    let ran = script.run(b"", Duration::from_millis(500));
    assert_eq!(ran.end, End::TimedOut);
    assert!(ran.took < SOON, "{:?}", ran.took);
    for child in ["one", "two"] {
        assert_gone(&script.text(child));
    }
}

#[test]
fn what_it_leaves_in_its_group_ends_with_it() {
    let script = Script::new("sleep 1000 & echo $! > $D/pid; exit 0");
    let ran = script.run(b"", Duration::from_mins(15));
    assert_eq!(ran.end, End::Exited(0));
    assert!(ran.took < SOON, "{:?}", ran.took);
    assert_gone(&script.text("pid"));
}

#[test]
fn one_that_does_not_read_is_not_waited_for() {
    let input = vec![b'x'; 1 << 20];
    let ran = Script::new("sleep 0.2; exit 0").run(&input, SOON);
    assert_eq!(ran.end, End::Exited(0));
    let ran = Script::new("exec <&-; sleep 0.2; exit 0").run(&input, SOON);
    assert_eq!(ran.end, End::Exited(0));
    let script = Script::new("sleep 0.2; wc -c > $D/bytes");
    assert_eq!(script.run(&input, SOON).end, End::Exited(0));
    assert_eq!(script.text("bytes").trim(), "1048576");
}

#[test]
fn what_it_says_is_bounded() {
    let ran = Script::new("yes | head -c 100000; yes no | head -c 100000 >&2").run(b"", SOON * 3);
    assert_eq!(ran.end, End::Exited(0));
    assert_eq!(ran.output.len(), 20);
    assert!((180_000..200_000).contains(&ran.cut), "{}", ran.cut);
}

#[test]
fn one_that_fails_or_cannot_be_run_is_told() {
    assert_eq!(Script::new("exit 7").run(b"", SOON).end, End::Exited(7));
    assert_eq!(
        Script::new("kill -9 $$").run(b"", SOON).end,
        End::Signalled(9)
    );
    let missing = Command::read("/nowhere/page x").unwrap();
    let error = Hook::prepare(&missing).unwrap_err().to_string();
    assert!(
        error.contains("the hook /nowhere/page is not there"),
        "{error}"
    );
    let script = Script::new("exit 0");
    let (mut hook, news) = script.hook(Times::default());
    fs::remove_file(&script.path).unwrap();
    open(&mut hook, 1);
    drop(hook);
    let [outcome] = &outcomes(news)[..] else {
        panic!()
    };
    let End::Failed(why) = &outcome.end else {
        panic!("{outcome:?}")
    };
    assert!(why.contains(script.path.to_str().unwrap()), "{why}");
}

#[test]
fn of_many_incidents_at_once_some_are_left_out_and_the_next_run_says_how_many() {
    let script = Script::new("cat >> $D/runs");
    let (mut hook, news) = script.hook(Times {
        last: SOON * 6,
        ..Times::default()
    });
    let began = Instant::now();
    for id in 1..=30 {
        open(&mut hook, id);
    }
    close(&mut hook, 30);
    close(&mut hook, 1);
    assert!(began.elapsed() < SOON, "nothing is waited for");
    drop(hook);
    let runs: Vec<Value> = script
        .text("runs")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let outcomes = outcomes(news);
    let skipped = outcomes
        .iter()
        .filter(|it| matches!(it.end, End::Skipped(_)));
    assert_eq!((runs.len(), skipped.count()), (21, 11), "{outcomes:?}");
    for (number, run) in (1..).zip(&runs[..20]) {
        assert_eq!(run["incident"], number);
        assert_eq!(run["action"], "opened");
        assert_eq!(run["skipped"], 0);
    }
    let last = &runs[20];
    assert_eq!(
        (&last["incident"], &last["skipped"]),
        (&1.into(), &11.into())
    );
    assert_eq!(last["type"], "incident");
    assert_eq!(
        (&last["action"], &last["closed_by"]),
        (&"closed".into(), &"stopped".into())
    );
    assert_eq!(last["version"], env!("CARGO_PKG_VERSION"));
    assert!(last["host"].is_string() && last["diagnosis"].is_object());
}

#[test]
fn at_the_end_the_closing_still_runs() {
    let script = Script::new("sleep 0.3; cat >> $D/runs");
    let (mut hook, news) = script.hook(Times {
        last: SOON * 3,
        ..Times::default()
    });
    open(&mut hook, 1);
    close(&mut hook, 1);
    drop(hook);
    let outcomes = outcomes(news);
    let moments: Vec<Moment> = outcomes.iter().map(|it| it.moment).collect();
    assert_eq!(moments, [Moment::Opened, Moment::Closed]);
    assert!(outcomes.iter().all(Outcome::is_success), "{outcomes:?}");
    assert_eq!(script.text("runs").lines().count(), 2);
}

#[test]
fn at_the_end_one_that_hangs_does_not_hold_ctdrop_up() {
    let script = Script::new("touch $D/runs; exec sleep 1000");
    let (mut hook, news) = script.hook(Times {
        last: Duration::from_millis(300),
        ..Times::default()
    });
    open(&mut hook, 1);
    let began = Instant::now();
    while !script.has("runs") {
        assert!(began.elapsed() < SOON);
        thread::sleep(Duration::from_millis(10));
    }
    close(&mut hook, 1);
    let began = Instant::now();
    drop(hook);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let ends: Vec<End> = outcomes(news).into_iter().map(|it| it.end).collect();
    assert_eq!(ends[0], End::TimedOut);
    assert!(matches!(ends[1], End::Skipped(_)), "{ends:?}");
}
