use super::*;

/// Where a process and a softirq call `early_drop`, how far above the call their allocations
/// end, and how far below it victims die.
const PROCESS: u32 = 0x0001_3d00;
const SOFTIRQ: u32 = 0x8000_3e00;
const ABOVE: u32 = 320;
const BELOW: u32 = 400;

const NOW: u32 = 0xffff_fff0;

fn key(hash: u32) -> AllocationKey {
    AllocationKey {
        net: 0xffff_8880_1234_5600,
        net_low: 0x1234_5600,
        hash,
    }
}

/// All notes, as the programs use them.
struct Notes {
    places: Vec<Note>,
    now: u32,
}

impl Notes {
    fn new() -> Self {
        Self {
            places: vec![Note::default(); NOTES as usize],
            now: NOW,
        }
    }

    fn find<R>(
        &mut self,
        places: [u32; 2],
        mut change: impl FnMut(&mut Note) -> Option<R>,
    ) -> Option<R> {
        let [place, other] = places.map(|place| place as usize);
        change(&mut self.places[place]).or_else(|| change(&mut self.places[other]))
    }

    fn enter(&mut self, frame: u32, hash: u32) -> bool {
        let now = self.now;
        self.places[place_of(frame) as usize].enter(frame, &key(hash), now)
    }

    /// An allocation fails. Its call of `early_drop` is, or would be, at this frame.
    fn fail(&mut self, frame: u32, hash: u32) -> Option<Mark> {
        let (position, now) = (frame.wrapping_add(ABOVE), self.now);
        self.find(places_below(position), |note| {
            note.take(position, &key(hash), now)
        })
    }

    fn succeed(&mut self, frame: u32) {
        let position = frame.wrapping_add(ABOVE);
        self.find(places_below(position), |note| {
            note.end(position).then_some(())
        });
    }

    /// A call of `early_drop` ends. Gives the hash of the allocation that was noted.
    fn leave(&mut self, frame: u32, made_room: bool) -> Option<u32> {
        let note = &mut self.places[place_of(frame) as usize];
        let key = note.leave(frame, made_room, self.now)?;
        assert_eq!(
            key,
            self::key(key.hash),
            "the whole address of the namespace"
        );
        Some(key.hash)
    }

    /// An entry dies `below` bytes below this frame. Gives whether it is a victim.
    fn dies(&mut self, frame: u32, below: u32) -> bool {
        let (position, now) = (frame.wrapping_sub(below), self.now);
        let evicted = self.find(places_above(position), |note| {
            note.contains(position, now).then(|| note.evict())
        });
        evicted.is_some()
    }
}

#[test]
fn a_call_without_victim_is_a_full_table_for_its_allocation_alone() {
    let mut notes = Notes::new();
    assert!(notes.enter(PROCESS, 7));
    assert_eq!(notes.fail(PROCESS, 8), None, "of another flow");
    assert_eq!(notes.fail(SOFTIRQ, 7), None, "on another stack");
    assert_eq!(notes.fail(PROCESS - 2048, 7), None, "deeper on the same");
    assert_eq!(notes.fail(PROCESS + 2048, 7), None, "less deep");
    assert_eq!(notes.fail(PROCESS, 7), Some(Mark::Armed));
    assert_eq!(notes.fail(PROCESS, 7), None, "it is taken");
}

#[test]
fn calls_are_found_wherever_they_lie_on_their_pages() {
    let mut notes = Notes::new();
    for frame in (PROCESS - 8192..PROCESS).step_by(8) {
        notes.enter(frame, frame);
        assert!(notes.dies(frame, BELOW));
        assert_eq!(notes.fail(frame, frame), Some(Mark::Evicted));
    }
}

#[test]
fn an_allocation_that_fails_after_an_eviction_found_no_memory() {
    let mut notes = Notes::new();
    notes.enter(PROCESS, 7);
    assert!(notes.dies(PROCESS, BELOW));
    assert!(notes.dies(PROCESS, BELOW), "a second victim of one call");
    assert_eq!(notes.fail(PROCESS, 7), Some(Mark::Evicted));
}

#[test]
fn what_dies_after_an_eviction_is_no_victim() {
    let mut notes = Notes::new();
    notes.enter(PROCESS, 7);
    notes.dies(PROCESS, BELOW);
    notes.succeed(PROCESS);
    assert!(!notes.dies(PROCESS, BELOW));
    assert_eq!(notes.fail(PROCESS, 7), None, "nor is it still full");
    // The same if no program has seen the end.
    notes.enter(PROCESS, 7);
    notes.dies(PROCESS, BELOW);
    notes.now = notes.now.wrapping_add(VALID_FOR);
    assert!(!notes.dies(PROCESS, BELOW));
    assert_eq!(notes.fail(PROCESS, 7), None);
}

#[test]
fn what_dies_elsewhere_is_no_victim() {
    let mut notes = Notes::new();
    notes.enter(PROCESS, 7);
    assert!(!notes.dies(PROCESS, BELOW.wrapping_neg()), "its caller");
    assert!(!notes.dies(PROCESS, 4096), "far below");
    assert!(!notes.dies(SOFTIRQ, BELOW), "in a softirq inside of it");
    assert_eq!(notes.fail(PROCESS, 7), Some(Mark::Armed));
}

/// In each step of a call a softirq can do the same, with another flow or with the same
/// one.
#[test]
fn a_softirq_inside_a_call_has_a_note_of_its_own() {
    for hash in [7, 8] {
        for (evicts, expected) in [(false, Mark::Armed), (true, Mark::Evicted)] {
            for at in 0..3 {
                let mut notes = Notes::new();
                let softirq = |notes: &mut Notes, step| {
                    if step == at {
                        notes.enter(SOFTIRQ, hash);
                        if evicts {
                            assert!(notes.dies(SOFTIRQ, BELOW));
                        }
                        assert_eq!(notes.fail(SOFTIRQ, hash), Some(expected));
                    }
                };
                softirq(&mut notes, 0);
                notes.enter(PROCESS, 7);
                softirq(&mut notes, 1);
                assert!(notes.dies(PROCESS, BELOW));
                softirq(&mut notes, 2);
                assert_eq!(notes.fail(PROCESS, 7), Some(Mark::Evicted));
            }
        }
    }
}

/// Kernels without stacks for softirqs run them on the stack of the task, further down.
#[test]
fn on_one_stack_a_note_is_lost_but_never_that_of_another_call() {
    let mut notes = Notes::new();
    let nested = PROCESS - 1600;
    notes.enter(PROCESS, 7);
    notes.enter(nested, 8);
    assert!(notes.dies(nested, BELOW));
    assert_eq!(notes.fail(nested, 8), Some(Mark::Evicted));
    assert_ne!(notes.fail(PROCESS, 7), Some(Mark::Evicted));
}

#[test]
fn two_tasks_on_one_cpu_and_one_on_two_keep_their_notes() {
    // The second has preempted the first inside its call. The first goes on, on another CPU.
    let second = 0x0041_bd00;
    let mut notes = Notes::new();
    notes.enter(PROCESS, 7);
    notes.enter(second, 7);
    assert!(notes.dies(second, BELOW));
    assert_eq!(notes.fail(PROCESS, 7), Some(Mark::Armed));
    assert_eq!(notes.fail(second, 7), Some(Mark::Evicted));
}

#[test]
fn who_has_the_same_place_is_told() {
    let page = PROCESS >> PAGE;
    let other = (page + 1..page + (NOTES << 4))
        .find(|&other| place(other) == place(page))
        .map(|other| other << PAGE | 0xd00)
        .unwrap();
    let mut notes = Notes::new();
    assert!(notes.enter(PROCESS, 7));
    assert!(!notes.enter(other, 8), "it overwrites a note");
    assert_eq!(notes.fail(PROCESS, 7), None);
    assert_eq!(notes.fail(other, 8), Some(Mark::Armed));
    assert!(notes.enter(PROCESS, 7), "that one was taken");
    notes.now = notes.now.wrapping_add(VALID_FOR);
    assert!(notes.enter(other, 8), "that one is long over");
    notes.leave(other, false);
    assert!(notes.enter(PROCESS, 7), "that one has ended");
}

#[test]
fn a_call_whose_allocation_was_skipped_is_not_taken_for_a_later_one() {
    let mut notes = Notes::new();
    notes.enter(PROCESS, 7);
    // The note of the next call overwrites it, at any depth of the same page.
    assert!(notes.enter(PROCESS - 64, 7));
    assert!(notes.enter(PROCESS, 8));
    assert_eq!(notes.fail(PROCESS, 7), None);
    assert_eq!(notes.fail(PROCESS, 8), Some(Mark::Armed));
    // If no other call comes, its time ends.
    notes.enter(PROCESS, 7);
    notes.now = notes.now.wrapping_add(VALID_FOR);
    assert_eq!(notes.fail(PROCESS, 7), None);
}

#[test]
fn stacks_that_follow_one_another_have_places_of_their_own() {
    use std::collections::BTreeSet;

    for stride in [0x4000, 0x5000, 0x8000, 0x4_0000, 0x20_0000] {
        let places: BTreeSet<u32> = (0..128_u32)
            .map(|cpu| place_of(SOFTIRQ.wrapping_add(cpu * stride)))
            .collect();
        assert_eq!(places.len(), 128, "stacks {stride:#x} apart");
    }
}

/// If a program is at the exit of `early_drop`, none may be at the exit of the allocation.
#[test]
fn a_call_whose_end_is_seen_is_over() {
    for (made_room, mark) in [(false, None), (true, Some(Mark::Evicted))] {
        let mut notes = Notes::new();
        notes.enter(PROCESS, 7);
        assert!(notes.dies(PROCESS, BELOW));
        assert_eq!(notes.leave(PROCESS + 64, made_room), None, "another call");
        assert_eq!(notes.leave(PROCESS, made_room), Some(7));
        assert_eq!(notes.leave(PROCESS, made_room), None, "it is over");
        assert!(!notes.dies(PROCESS, BELOW), "what dies now is no victim");
        notes.enter(PROCESS, 7);
        notes.leave(PROCESS, made_room);
        assert_eq!(notes.fail(PROCESS, 7), mark);
        assert_eq!(notes.fail(PROCESS, 7), None);
    }
}

#[test]
fn a_call_of_long_ago_has_no_end() {
    let mut notes = Notes::new();
    notes.enter(PROCESS, 7);
    notes.now = notes.now.wrapping_add(VALID_FOR);
    assert_eq!(notes.leave(PROCESS, false), None);
}
