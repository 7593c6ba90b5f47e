//! A cache of the names of containers: ctdrop looks for namespaces often, and should read files
//! rarely. The number of names, their age, and the time to read them are bounded.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::kernel::container::{
    cgroup::Place,
    find::{self, Lists},
    tree::Tree,
};

/// The most containers in the cache.
const CONTAINERS: usize = 4096;

/// For how long a name is kept: `docker rename` changes it.
const NAMED: Duration = Duration::from_mins(1);

/// For how long it is kept that there is no name: files appear with the container, or a moment
/// later.
const UNNAMED: Duration = Duration::from_secs(5);

/// In each [`WINDOW`], no file is read after this much time was spent: counting must not wait.
const BUDGET: Duration = Duration::from_millis(200);
const WINDOW: Duration = Duration::from_secs(1);

/// The names of the containers of this host.
static OF_THIS_HOST: LazyLock<Mutex<Directory>> =
    LazyLock::new(|| Mutex::new(Directory::new(Tree::at("/"))));

/// The names that the files of this host have for a container.
pub(super) fn of(place: &Place) -> find::Known {
    let mut directory = OF_THIS_HOST.lock().unwrap_or_else(PoisonError::into_inner);
    directory.get(place, Instant::now())
}

/// The cache.
#[derive(Debug)]
pub(super) struct Directory {
    tree: Tree,
    lists: Lists,
    listed: Option<Instant>,
    known: HashMap<Place, (Instant, find::Known)>,
    window: Option<Instant>,
    spent: Duration,
}

impl Directory {
    /// An empty cache.
    pub(super) fn new(tree: Tree) -> Self {
        Self {
            tree,
            lists: Lists::default(),
            listed: None,
            known: HashMap::new(),
            window: None,
            spent: Duration::ZERO,
        }
    }

    /// The names of a container. Files are read if there is none in the cache, or an old one.
    pub(super) fn get(&mut self, place: &Place, now: Instant) -> find::Known {
        let known = self.known.get(place).cloned();
        let is_fresh = |(read, known): &(Instant, find::Known)| {
            let age = if known.names.is_some() {
                NAMED
            } else {
                UNNAMED
            };
            now.saturating_duration_since(*read) < age
        };
        match known {
            Some(known) if is_fresh(&known) => known.1,
            _ if self.may_read(now) => self.read(place, now),
            Some((_, stale)) => stale,
            None => find::Known {
                names: None,
                unread: Some("all files at once: there are too many containers".to_owned()),
            },
        }
    }

    fn read(&mut self, place: &Place, now: Instant) -> find::Known {
        let began = Instant::now();
        let old = |listed| now.saturating_duration_since(listed) >= UNNAMED;
        if self.listed.is_none_or(old) {
            self.lists = Lists::default();
            self.listed = Some(now);
        }
        let known = find::find(&self.tree, &mut self.lists, place);
        if self.known.len() >= CONTAINERS {
            self.known.clear();
        }
        self.known.insert(place.clone(), (now, known.clone()));
        self.spent += began.elapsed();
        known
    }

    fn may_read(&mut self, now: Instant) -> bool {
        let is_over = |begun| now.saturating_duration_since(begun) >= WINDOW;
        if self.window.is_none_or(is_over) {
            self.window = Some(now);
            self.spent = Duration::ZERO;
        }
        self.spent < BUDGET
    }
}
