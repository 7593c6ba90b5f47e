//! Searches for two strings at once, as fast as memory is read.
//!
//! A searcher for one string needs most of the time that memory needs to
//! deliver; one after the other two need more, and searchers for several at once
//! are slower than that. So two or three bytes of each string are compared in
//! one pass, which the compiler turns into vector instructions, and only groups
//! with a match are looked at closer: one in some hundreds of an ordinary log.

use crate::kernel::message::{CONNTRACK, SUPPRESSED};

/// Bytes that are told apart from others as a whole.
const GROUP: usize = 256;

/// How far ahead of the search memory is asked for: a page.
const AHEAD: usize = 4096;

/// How far beyond its place a comparison looks, and what is searched for reaches.
const BEYOND: usize = 16;

/// Of `_conntrack` the ends are compared: `k` is 9 bytes after `_`.
const K: usize = CONNTRACK.len() - 1;

/// Of `s suppr` these are compared.
const PPR: &[u8; 3] = b"ppr";

/// Where they are in it.
const PPR_AT: usize = 4;

const _: () = assert!(
    CONNTRACK[0] == b'_'
        && CONNTRACK[K] == b'k'
        && SUPPRESSED[PPR_AT] == PPR[0]
        && SUPPRESSED[PPR_AT + 1] == PPR[1]
        && SUPPRESSED[PPR_AT + 2] == PPR[2]
        && K < BEYOND
        && CONNTRACK.len() < BEYOND
        && SUPPRESSED.len() < BEYOND
);

/// The fastest way that this processor has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefilter {
    #[cfg(target_arch = "x86_64")]
    avx2: bool,
}

impl Default for Prefilter {
    fn default() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            avx2: is_x86_feature_detected!("avx2"),
        }
    }
}

impl Prefilter {
    /// Calls `each` with the bounds of every group in which something may begin
    /// that is searched for; with room to the right for what begins there.
    pub(super) fn each(self, bytes: &[u8], mut each: impl FnMut(usize, usize)) {
        let mut at = 0;
        while let Some(group) = self.next(bytes, at) {
            at = group + GROUP;
            each(group, (at + BEYOND).min(bytes.len()));
        }
    }

    /// Where the next such group begins.
    fn next(self, bytes: &[u8], from: usize) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        if self.avx2 {
            // SAFETY: the processor has AVX2, as was found out before.
            return unsafe { next_avx2(bytes, from) };
        }
        next(bytes, from)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn next_avx2(bytes: &[u8], from: usize) -> Option<usize> {
    next(bytes, from)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "to be compiled for AVX2, too")]
fn next(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).step_by(GROUP).find(|&at| {
        if let Some(ahead) = bytes.get(at + AHEAD..at + AHEAD + GROUP) {
            prefetch(ahead);
        }
        // What is left at the very end is looked at anyway.
        bytes.get(at..at + GROUP + BEYOND).is_none_or(may)
    })
}

/// Whether a group has what two or three bytes are compared for.
#[inline(always)]
#[expect(clippy::inline_always, reason = "to be compiled for AVX2, too")]
fn may(group: &[u8]) -> bool {
    let (first, k) = (&group[..GROUP], &group[K..K + GROUP]);
    let (second, third) = (&group[1..=GROUP], &group[2..GROUP + 2]);
    let mut found = 0;
    for at in 0..GROUP {
        let conntrack = u8::from(first[at] == b'_') & u8::from(k[at] == b'k');
        let suppressed = u8::from(first[at] == PPR[0])
            & u8::from(second[at] == PPR[1])
            & u8::from(third[at] == PPR[2]);
        found |= conntrack | suppressed;
    }
    found != 0
}

/// Has bytes brought into the cache while others are searched: the processor
/// does so by itself only up to the end of a page.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a few instructions of a hot loop")]
fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(64) {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program can see, and faults
        // at no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both strings at every place of two groups.
    #[test]
    fn whatever_is_searched_for_is_in_a_group_that_is_looked_at() {
        for needle in [CONNTRACK, SUPPRESSED] {
            for place in 0..3 * GROUP {
                let mut bytes = vec![b'x'; place];
                bytes.extend(needle);
                bytes.extend([b'x'; 2 * GROUP]);
                let mut found = false;
                Prefilter::default().each(&bytes, |from, to| {
                    let from = from.saturating_sub(needle.len() - 1);
                    found |= memchr::memmem::find(&bytes[from..to], needle).is_some();
                });
                assert!(found, "{place}");
            }
        }
    }

    #[test]
    fn with_vectors_or_without_the_same_is_found() {
        let mut random = 1_u32;
        for _ in 0..2000 {
            let groups: Vec<u8> = (0..4 * GROUP)
                .map(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    b"_kprxyzabcdefghijlmnoqstuvw01234"[(random >> 27) as usize]
                })
                .collect();
            assert_eq!(Prefilter::default().next(&groups, 0), next(&groups, 0));
        }
    }
}
