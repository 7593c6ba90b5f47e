//! Finding types by name: a chained hash table over all types of one BTF.

/// From a name's hash to the types that may bear it.
///
/// Two flat arrays whatever the number of types, as one allocation for each
/// name would cost more than all the look-ups together.
pub(super) struct Names {
    /// For each bucket the first type, as index + 1; 0 ends a chain.
    first: Vec<u32>,
    /// For each type the next one of its bucket, as index + 1.
    next: Vec<u32>,
}

impl Names {
    /// Indexes types by their names in the order given; `None` leaves a type out.
    pub(super) fn index<'a>(
        names: impl DoubleEndedIterator<Item = Option<&'a [u8]>> + ExactSizeIterator,
    ) -> Self {
        let buckets = names.len().next_power_of_two();
        let mut first = vec![0; buckets];
        let mut next = vec![0; names.len()];
        // From the last to the first, so that a chain ascends.
        for (index, name) in names.enumerate().rev() {
            if let Some(name) = name {
                let bucket = &mut first[hash(name) as usize % buckets];
                next[index] = *bucket;
                *bucket = link(index);
            }
        }
        Names { first, next }
    }

    /// Indexes of the types that may bear `name`, ascending; the caller
    /// compares the names themselves.
    pub(super) fn candidates(&self, name: &str) -> impl Iterator<Item = usize> {
        let bucket = hash(name.as_bytes()) as usize % self.first.len();
        let follow = |link: u32| (link as usize).checked_sub(1);
        std::iter::successors(follow(self.first[bucket]), move |&index| {
            follow(self.next[index])
        })
    }
}

/// The link to a type.
fn link(index: usize) -> u32 {
    u32::try_from(index + 1).expect("a BTF of less than 4 GiB holds fewer types than a u32 counts")
}

/// FNV-1a. Names come from the kernel: nobody gains by making them collide.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
