//! Every order in which programs and user space can use the slots of flows.
//!
//! loom runs each test in all orders of the reads and writes that can matter. It lets a
//! read see each value that the memory model allows. A program that interrupts another on
//! its CPU is a thread here: one of the orders is that it ends before the other goes on.

use std::{array, collections::HashMap};

use conntrack_ebpf::{
    FlowKey, Reason,
    flow_slots::{self, Counted, Entry, Set, Slot, SlotKey, WAYS, Word},
};
use loom::{
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// A word. loom sees each access to it.
struct Modelled(AtomicU64);

impl Word for Modelled {
    fn acquire(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn set_high(&self, value: u32) {
        let high = u64::from(value) << 32;
        let replaced = |word| Some(word & u64::from(u32::MAX) | high);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, replaced)
            .expect("it always has a value");
    }

    fn claim(&self, value: u64) -> bool {
        self.0
            .compare_exchange(0, value, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    fn publish(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    fn set_bits(&self, bits: u64) {
        self.0.fetch_or(bits, Ordering::Relaxed);
    }
}

/// A table with one set, for one epoch.
struct Table {
    set: Set<Modelled>,
    /// Not 0 if a slot may be in use.
    used: Modelled,
    /// Packets that had no slot. They stand for the hash map and the totals, which the kernel
    /// keeps exact.
    elsewhere: AtomicU64,
}

impl Table {
    fn new() -> Self {
        let word = || Modelled(AtomicU64::new(0));
        Self {
            set: array::from_fn(|_| array::from_fn(|_| word())),
            used: word(),
            elsewhere: AtomicU64::new(0),
        }
    }

    /// What a program does.
    fn count(&self, flow: &FlowKey, now: u32) -> Counted {
        let key = SlotKey::from(flow);
        let counted = flow_slots::count(&self.set, &key, now, || self.used.set_bits(1));
        if counted == Counted::No {
            self.elsewhere.fetch_add(1, Ordering::Relaxed);
        }
        counted
    }

    /// What user space does when no program uses the table.
    fn take(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        if self.used.acquire() != 0 {
            entries.extend(self.set.iter().filter_map(|words| Slot(words).take()));
        }
        self.used.set(0);
        entries
    }

    /// Takes out all packets, by flow. None may be elsewhere.
    fn packets(&self) -> HashMap<FlowKey, u32> {
        assert_eq!(self.elsewhere.load(Ordering::Relaxed), 0);
        sums(self.take())
    }
}

fn sums(entries: impl IntoIterator<Item = Entry>) -> HashMap<FlowKey, u32> {
    let mut packets = HashMap::new();
    for entry in entries {
        *packets.entry(FlowKey::from(&entry.key)).or_default() += entry.packets;
    }
    packets
}

/// A flow. Every part of it has this number.
fn flow(number: u8) -> FlowKey {
    FlowKey {
        src: [number; 16],
        dst: [number; 16],
        netns: number.into(),
        sport: number.into(),
        dport: number.into(),
        zone: number.into(),
        family: number,
        protocol: number,
        reason: Reason::TableFull as u32,
        sender: number.into(),
    }
}

/// Runs a test in all orders with at most this many switches from a thread that could go on.
fn in_all_orders(switches: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(switches);
    model.check(test);
}

/// The packets of these flows, which programs count at the same time in a new table.
fn counted_at_once<const N: usize>(flows: [u8; N]) -> HashMap<FlowKey, u32> {
    let table = Arc::new(Table::new());
    let programs = flows.map(|number| {
        let table = Arc::clone(&table);
        thread::spawn(move || table.count(&flow(number), 1))
    });
    for program in programs {
        program.join().expect("a program ends");
    }
    table.packets()
}

#[test]
fn two_packets_of_a_new_flow_are_two() {
    in_all_orders(4, || {
        assert_eq!(counted_at_once([1, 1]), HashMap::from([(flow(1), 2)]));
    });
}

#[test]
fn packets_of_two_new_flows_are_not_mixed_up() {
    in_all_orders(4, || {
        let expected = HashMap::from([(flow(1), 1), (flow(2), 1)]);
        assert_eq!(counted_at_once([1, 2]), expected);
    });
}

#[test]
fn three_programs_lose_nothing() {
    in_all_orders(2, || {
        let expected = HashMap::from([(flow(1), 2), (flow(2), 1)]);
        assert_eq!(counted_at_once([1, 2, 1]), expected);
    });
}

#[test]
fn packets_of_a_flow_that_has_a_slot_are_added_up() {
    in_all_orders(4, || {
        let table = Arc::new(Table::new());
        assert_eq!(table.count(&flow(1), 1), Counted::First);
        let programs = [2, 2].map(|now| {
            let table = Arc::clone(&table);
            thread::spawn(move || table.count(&flow(1), now))
        });
        for program in programs {
            assert_eq!(program.join().expect("a program ends"), Counted::Again);
        }
        let entries = table.take();
        assert!(matches!(
            entries[..],
            [Entry {
                packets: 3,
                first: 1,
                last: 2,
                ..
            }]
        ));
    });
}

/// Two flows want the last slot of a set. One gets it. The other is counted elsewhere, also if
/// it finds the slot claimed and not published.
#[test]
fn the_last_slot_is_given_once() {
    in_all_orders(3, || {
        let table = Arc::new(Table::new());
        let others = u8::try_from(WAYS - 1).expect("few ways");
        for number in 10..10 + others {
            assert_eq!(table.count(&flow(number), 1), Counted::First);
        }
        let programs = [1, 2].map(|number| {
            let table = Arc::clone(&table);
            thread::spawn(move || table.count(&flow(number), 1))
        });
        let mut counted = programs.map(|program| program.join().expect("a program ends"));
        counted.sort_by_key(|&counted| counted == Counted::No);
        assert_eq!(counted, [Counted::First, Counted::No]);
        assert_eq!(table.elsewhere.load(Ordering::Relaxed), 1);
        assert_eq!(
            sums(table.take()).values().sum::<u32>(),
            1 + u32::from(others)
        );
    });
}

/// User space reads while programs count. It sees no flow that is only partly written, and no
/// more packets than there were.
#[test]
fn what_is_read_meanwhile_is_whole() {
    in_all_orders(3, || {
        let table = Arc::new(Table::new());
        let program = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                table.count(&flow(1), 1);
                table.count(&flow(1), 2);
            })
        };
        if table.used.acquire() != 0 {
            let seen = sums(table.set.iter().filter_map(|words| Slot(words).read()));
            for (key, packets) in seen {
                assert_eq!(key, flow(1));
                assert!(packets <= 2);
            }
        }
        program.join().expect("a program ends");
        assert_eq!(table.packets(), HashMap::from([(flow(1), 2)]));
    });
}

/// Each packet is in one of two epochs, also if the epoch changes while programs run.
///
/// A lock stands for the grace period of RCU. Several programs can hold it at the same time.
/// User space gets it when all programs that held it have released it.
#[test]
fn a_packet_is_in_one_epoch() {
    in_all_orders(3, || {
        let tables = Arc::new([Table::new(), Table::new()]);
        let epoch = Arc::new(AtomicU64::new(0));
        let grace = Arc::new(RwLock::new(()));
        let programs = [1, 2].map(|now| {
            let (tables, epoch, grace) =
                (Arc::clone(&tables), Arc::clone(&epoch), Arc::clone(&grace));
            thread::spawn(move || {
                let _running = grace.read().expect("no panic");
                let table = &tables[usize::from(epoch.load(Ordering::Relaxed) != 0)];
                table.count(&flow(1), now);
            })
        });
        epoch.store(1, Ordering::Relaxed);
        drop(grace.write().expect("no panic"));
        let mut entries = tables[0].take();
        for program in programs {
            program.join().expect("a program ends");
        }
        assert!(
            tables[0].take().is_empty(),
            "a packet came after the grace period"
        );
        entries.extend(tables[1].take());
        for table in tables.iter() {
            assert_eq!(table.elsewhere.load(Ordering::Relaxed), 0);
        }
        assert_eq!(sums(entries), HashMap::from([(flow(1), 2)]));
    });
}

/// After a slot was taken out, another flow can use it, and it keeps nothing of the first.
#[test]
fn a_slot_is_used_again() {
    in_all_orders(3, || {
        let table = Arc::new(Table::new());
        table.count(&flow(1), 1);
        assert_eq!(table.packets(), HashMap::from([(flow(1), 1)]));
        let programs = [2, 3].map(|number| {
            let table = Arc::clone(&table);
            thread::spawn(move || table.count(&flow(number), 7))
        });
        for program in programs {
            program.join().expect("a program ends");
        }
        let entries = table.take();
        assert!(
            entries
                .iter()
                .all(|entry| entry.first == 7 && entry.last == 7)
        );
        assert_eq!(sums(entries), HashMap::from([(flow(2), 1), (flow(3), 1)]));
    });
}
