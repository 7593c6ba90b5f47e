//! A fix that is killed at any moment leaves each file whole, old or new, and
//! what comes after it brings all to a good end.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use conntrack_user::fix::{
    record::{Records, State},
    undo,
};

use crate::tree::{KEPT, Node, Snapshot, Tree};

/// The trees that are worked on, one for each thread.
const TREES: [&str; 2] = ["el7-iptables-24", "debian12"];

/// Kills for each of them.
const KILLS: u32 = 500;

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
    let place = Path::new("/dev/shm");
    let place = if place.is_dir() {
        place.to_owned()
    } else {
        std::env::temp_dir()
    };
    let threads = TREES.map(|name| {
        let place = place.clone();
        thread::spawn(move || killed(name, &place))
    });
    let mut sum = Tally::default();
    for thread in threads {
        let tally = thread.join().unwrap();
        sum.before += tally.before;
        sum.within += tally.within;
        sum.after += tally.after;
        sum.mixed += tally.mixed;
    }
    println!("{sum:?}");
    assert_eq!(sum.before + sum.within + sum.after, KILLS * 2);
    // Else nothing was tried.
    assert!(
        sum.within >= 20 && sum.mixed >= 5,
        "the kills missed: {sum:?}"
    );
}

fn killed(name: &str, place: &Path) -> Tally {
    let tree = Tree::copy_in(name, place);
    let old = tree.snapshot();
    let began = Instant::now();
    tree.fix();
    let whole = began.elapsed();
    let new = files(&tree.snapshot());
    tree.done("undo", &[]);
    assert_eq!(tree.snapshot(), old);

    let mut tally = Tally::default();
    // Where the fix is at work is found out as it goes.
    let (mut earliest, mut latest) = (Duration::ZERO, whole);
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for turn in 0..KILLS {
        fs::remove_dir_all(tree.at(KEPT)).unwrap();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let span = u64::try_from((latest.saturating_sub(earliest)).as_micros())
            .unwrap()
            .max(1);
        let delay = earliest + Duration::from_micros(random % span);
        kill_after(&tree, delay);
        check(&tree, &files(&old), &new, &mut tally);
        match state(&tree) {
            None => {
                tally.before += 1;
                earliest = (earliest * 7 + delay) / 8;
                latest = (latest * 31 + delay * 5 / 4) / 32;
                fs::create_dir_all(tree.at(KEPT)).unwrap();
                assert_eq!(tree.snapshot(), old, "turn {turn}");
                continue;
            }
            Some(State::Applied) => {
                tally.after += 1;
                latest = (latest * 7 + delay) / 8;
                earliest = earliest * 15 / 16;
            }
            Some(_) => tally.within += 1,
        }
        if turn % 8 == 0 {
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

fn kill_after(tree: &Tree, delay: Duration) {
    let mut child = tree
        .command("fix", &["--to", "1500000", "--yes"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    thread::sleep(delay);
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
            assert!(!name.ends_with(".conf"), "{name}");
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
