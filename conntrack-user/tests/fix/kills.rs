//! A fix that is killed at any moment leaves each file whole, old or new, and
//! what comes after it brings all to a good end.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use conntrack_user::apply::{
    record::{Records, State},
    undo::undo,
};

use crate::tree::{KEPT, Node, Snapshot, Tree};

/// The trees that are worked on, one for each thread.
const TREES: [&str; 4] = [
    "el6-iptables-16",
    "el7-iptables-24",
    "debian12",
    "ubuntu-ufw",
];

/// Kills for each of them.
const KILLS: u32 = 250;

/// What became of the fixes.
#[derive(Debug, Default)]
struct Tally {
    /// Nothing had been kept yet.
    before: u32,
    /// What was kept, and the mark that it is done not yet.
    within: u32,
    /// All was done.
    after: u32,
    /// Some files were old, some new.
    mixed: u32,
}

#[test]
fn every_file_is_whole() {
    let threads = TREES.map(|name| thread::spawn(move || killed(name)));
    let mut sum = Tally::default();
    for thread in threads {
        let tally = thread.join().unwrap();
        sum.before += tally.before;
        sum.within += tally.within;
        sum.after += tally.after;
        sum.mixed += tally.mixed;
    }
    println!("{sum:?}");
    assert_eq!(sum.before + sum.within + sum.after, KILLS * 4);
    // Else nothing was tried.
    assert!(
        sum.within >= 20 && sum.mixed >= 5,
        "the kills missed: {sum:?}"
    );
}

fn killed(name: &str) -> Tally {
    let tree = Tree::copy_of(name);
    let old = tree.snapshot();
    let (reading, writing) = phases(&tree);
    let new = files(&tree.snapshot());
    tree.done("undo", &[]);
    assert_eq!(tree.snapshot(), old);

    let mut tally = Tally::default();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for turn in 0..KILLS {
        fs::remove_dir_all(tree.at(KEPT)).unwrap();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let share = |time: Duration| {
            let micros = u64::try_from(time.as_micros()).unwrap() * 5 / 4;
            Duration::from_micros((random >> 8) % micros.max(1))
        };
        // Nearly all of them while it writes, which is the shorter time by far.
        if random.is_multiple_of(16) {
            kill(&tree, false, share(reading));
        } else {
            kill(&tree, true, share(writing));
        }
        check(&tree, &files(&old), &new, &mut tally);
        match state(&tree) {
            None => {
                tally.before += 1;
                fs::create_dir_all(tree.at(KEPT)).unwrap();
                assert_eq!(tree.snapshot(), old, "turn {turn}");
                continue;
            }
            Some(State::Applied) => tally.after += 1,
            Some(_) => tally.within += 1,
        }
        if turn % 12 == 0 {
            // The next one carries on, and one undo takes all back.
            tree.fix();
            assert_eq!(files(&tree.snapshot()), new, "turn {turn}");
        }
        let undone = undo(tree.path(), None).unwrap();
        assert!(undone.is_whole(), "turn {turn}: {undone:?}");
        assert_eq!(tree.snapshot(), old, "turn {turn}");
    }
    tally
}

/// Whether it has begun to write: the first thing it makes is its lock.
fn writes(tree: &Tree) -> bool {
    tree.at(KEPT).join("lock").exists()
}

fn start(tree: &Tree) -> Child {
    tree.command("fix", &["--to", "1500000", "--yes"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Whether it has written all, and goes on to look at it.
fn is_written(tree: &Tree) -> bool {
    let fixes = fs::read_dir(tree.at(KEPT));
    fixes.is_ok_and(|mut fixes| {
        fixes.any(|fix| fix.is_ok_and(|fix| fix.path().join("applied").exists()))
    })
}

/// How long it reads and plans, and how long it writes.
fn phases(tree: &Tree) -> (Duration, Duration) {
    let began = Instant::now();
    let mut child = start(tree);
    while !writes(tree) {
        thread::yield_now();
    }
    let reading = began.elapsed();
    while !is_written(tree) {
        thread::yield_now();
    }
    let writing = began.elapsed().saturating_sub(reading);
    assert!(child.wait().unwrap().success());
    (reading, writing)
}

/// Kills it some time after its start, or after it has begun to write.
fn kill(tree: &Tree, writing: bool, delay: Duration) {
    let mut child = start(tree);
    while writing && !writes(tree) && child.try_wait().unwrap().is_none() {
        thread::yield_now();
    }
    let began = Instant::now();
    while began.elapsed() < delay {
        // To sleep is too coarse for what takes some milliseconds.
        thread::yield_now();
    }
    // It may have ended by itself.
    child.kill().unwrap();
    child.wait().unwrap();
}

fn state(tree: &Tree) -> Option<State> {
    let records = Records::of(tree.path()).all().unwrap();
    assert!(records.len() <= 1);
    records.first().map(|record| record.state)
}

/// Each file is as before or as it should be; what else there is has a hidden
/// name of ours, and is no file that anything reads.
fn check(
    tree: &Tree,
    old: &BTreeMap<PathBuf, Vec<u8>>,
    new: &BTreeMap<PathBuf, Vec<u8>>,
    tally: &mut Tally,
) {
    let now = files(&tree.snapshot());
    let (mut olds, mut news) = (0, 0);
    for (path, content) in &now {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with(".ctdrop-") {
            assert!(name.strip_suffix(".conf").is_none(), "{name}");
            continue;
        }
        let (was, is) = (old.get(path), new.get(path));
        assert!(
            Some(content) == was || Some(content) == is,
            "{} is neither old nor new: {}",
            path.display(),
            String::from_utf8_lossy(content)
        );
        if was != is {
            olds += u32::from(Some(content) == was);
            news += u32::from(Some(content) == is);
        }
    }
    for path in old.keys() {
        assert!(now.contains_key(path), "{} is gone", path.display());
    }
    for path in new.keys().filter(|path| !old.contains_key(*path)) {
        olds += u32::from(!now.contains_key(path));
    }
    tally.mixed += u32::from(olds > 0 && news > 0);
}

fn files(snapshot: &Snapshot) -> BTreeMap<PathBuf, Vec<u8>> {
    snapshot
        .iter()
        .filter_map(|(path, node)| match node {
            Node::File { content, .. } => Some((path.clone(), content.clone())),
            Node::Link(_) | Node::Directory(_) => None,
        })
        .collect()
}
