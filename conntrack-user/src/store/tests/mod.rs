//! The store without root: what goes in comes out, whatever happens to the file.

mod bounds;
mod faults;
mod round_trip;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::store::{
    Opened, Store,
    failure::Failure,
    interval::{Flow, FlowKey, Interval, Table},
    keep::Bounds,
    moment::Moment,
    record::{Boot, Namespace, Record},
};

/// A directory with a file that is not there yet.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("ctdrop.db")
    }

    /// The names of all files but those that belong to the database.
    fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<String> = names
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .filter(|name| !["ctdrop.db.lock", "ctdrop.db-wal", "ctdrop.db-shm"].contains(&&**name))
            .collect();
        names.sort();
        names
    }

    fn open(&self) -> Opened {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Opened, Failure> {
        Store::open(&self.path(), Bounds::default(), &boot("one"))
    }

    fn store(&self) -> Store {
        let store = self.open().store;
        store.without_sync();
        store
    }
}

fn boot(id: &str) -> Boot {
    Boot {
        boot_id: id.to_owned(),
        host: "gateway".to_owned(),
        kernel: "6.12.0".to_owned(),
        facts: "{}".to_owned(),
    }
}

fn moment(boot: i64, seconds: i64) -> Moment {
    Moment {
        boot,
        wall: 1_700_000_000_000 + seconds * 1000,
        mono: seconds * 1000,
    }
}

/// A second in which packets of `flows` flows were refused.
fn second(at: Moment, flows: u16) -> Interval {
    let flow = |port: u16| Flow {
        key: FlowKey {
            netns: 1,
            reason: "table_full".to_owned(),
            protocol: "udp".to_owned(),
            src: "10.0.0.1".to_owned(),
            sport: port,
            dst: "192.0.2.53".to_owned(),
            dport: 53,
            ..FlowKey::default()
        },
        packets: 5,
        total: 5,
        first: at.mono,
        last: at.mono,
    };
    let refused = u64::from(flows) * 5;
    let table = Table {
        entries: Some(1000),
        most: Some(1000),
        refused,
        evicted: 0,
    };
    Interval {
        at,
        length: 1000,
        refused,
        new_flows: flows.into(),
        limit: Some((1000, 512)),
        armed: true,
        drops: [((1, "table_full".to_owned()), refused)]
            .into_iter()
            .filter(|(_, packets)| *packets > 0)
            .collect(),
        tables: [(1, table)].into(),
        flows: (0..flows).map(flow).collect(),
        ..Interval::default()
    }
}

fn host(store: &Store) -> Record {
    Record {
        namespaces: vec![Namespace {
            netns: 1,
            inode: 4_026_531_840,
            name: "host".to_owned(),
            is_host: true,
            since: store.begun().at,
            ended: None,
        }],
        ..Record::default()
    }
}

/// A file of this boot with the entries of the host's own table: the time by the monotonic
/// clock, in milliseconds, the entries and the limit.
pub(crate) fn recorded_of_this_boot(
    minutes: impl Iterator<Item = (i64, u64, u64)>,
) -> (TempDir, PathBuf) {
    let place = Place::new();
    let id = crate::kernel::release::boot_id().unwrap();
    let opened = Store::open(&place.path(), Bounds::default(), &boot(&id)).unwrap();
    let mut store = opened.store;
    store.without_sync();
    let now = Moment::now(store.begun().at.boot);
    let intervals = minutes.map(|(mono, entries, max)| {
        let at = Moment {
            mono,
            wall: now.wall - (now.mono - mono),
            ..now
        };
        let mut interval = second(at, 0);
        interval.limit = Some((max, 512));
        interval.tables.values_mut().for_each(|table| {
            table.entries = Some(entries);
        });
        interval
    });
    let record = Record {
        intervals: intervals.collect(),
        ..host(&store)
    };
    store.write(&record).unwrap();
    let path = place.path();
    (place.directory, path)
}

/// A file of the host `gateway`: intervals that end so many seconds after the begin of a
/// test, and the packets that were refused in each second of them.
pub(crate) fn recorded_of_gateway(seconds: impl Iterator<Item = (i64, u16)>) -> (TempDir, PathBuf) {
    let place = Place::new();
    let mut store = place.store();
    let boot = store.begun().at.boot;
    let intervals = seconds.map(|(end, flows)| second(moment(boot, end), flows));
    let record = Record {
        intervals: intervals.collect(),
        ..host(&store)
    };
    store.write(&record).unwrap();
    let path = place.path();
    (place.directory, path)
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}
