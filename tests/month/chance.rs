//! Chance without a sequence: what happens depends on the seed and on what it is about, never on who asked before.
//!
//! So three policies meet the same month, although each of them asks at other times and in another order. Whole numbers
//! only: the same on every machine.

/// A stream of random numbers of its own for one thing.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// What is about `what` and these numbers under this seed.
    pub(crate) fn of(seed: u64, what: &str, numbers: &[u64]) -> Self {
        let bytes = what.bytes().map(u64::from);
        Self(bytes.chain(numbers.iter().copied()).fold(mixed(seed), |state, number| mixed(state ^ mixed(number))))
    }

    /// The next number.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// A number from `from` to `to`, both included.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, of_hundred: u64) -> bool {
        self.between(0, 99) < of_hundred
    }
}

/// The finaliser of splitmix64.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
