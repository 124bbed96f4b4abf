//! Chance that repeats itself: one small generator, and draws that use integers only.
//!
//! No crate and no floats, so that a seed gives the same stream on every machine and for ever.

/// Splitmix64's finaliser: a bijection that scatters its input, also used to derive what is fixed about a
/// person from a number.
pub(super) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Scales `value`, uniform over all 64 bits, to `0..bound`.
pub(super) const fn scale(value: u64, bound: u64) -> u64 {
    ((value as u128 * bound as u128) >> 64) as u64
}

/// Splitmix64 (Steele, Lea and Flood 2014): a counter that steps by the golden ratio, scattered.
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(1)))
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// Uniform in `0..bound`.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        scale(self.next(), bound)
    }

    /// Uniform in `0..bound`, for spans of time; 0 if there is no span.
    pub(super) fn millis(&mut self, bound: i64) -> i64 {
        self.below(u64::try_from(bound).unwrap_or(0)).cast_signed()
    }

    /// A whole number of seconds below `bound`, in milliseconds: the platform's clock has no finer hand.
    pub(super) fn seconds(&mut self, bound: i64) -> i64 {
        self.millis(bound) * 1000
    }

    /// True `share` times in a thousand.
    pub(super) const fn per_mille(&mut self, share: u16) -> bool {
        self.below(1000) < share as u64
    }

    /// One of `items`, which must not be empty.
    pub(super) fn pick<'i, T>(&mut self, items: &'i [T]) -> &'i T {
        &items[self.below(items.len() as u64) as usize]
    }
}

/// Zipf's law over ranks, its head flattened a little (Mandelbrot): rank `k` weighs `1 / (k + 9)`. Without
/// that the first contact alone would be a tenth of the traffic, which no person is.
pub(super) struct Popularity(Vec<Cell>);

/// A cell of Vose's alias table: its own rank below `keep`, another's from there on.
struct Cell {
    keep: u32,
    other: u32,
}

impl Popularity {
    pub(super) fn new(ranks: u32) -> Self {
        let weight = |rank: u32| (1_u64 << 40) / (u64::from(rank) + 9);
        let total: u128 = (0..ranks).map(|rank| u128::from(weight(rank))).sum();
        // Shares in units of 2^-32 of a cell, so that the mean share is 2^32.
        let share = |rank| ((u128::from(weight(rank)) * u128::from(ranks)) << 32) / total.max(1);
        let mut shares: Vec<u64> = (0..ranks).map(|rank| share(rank) as u64).collect();
        let mut cells: Vec<Cell> = (0..ranks).map(|rank| Cell { keep: u32::MAX, other: rank }).collect();
        let (mut poor, mut rich): (Vec<u32>, Vec<u32>) = (0..ranks).partition(|rank| shares[*rank as usize] < 1 << 32);
        while let Some(&giver) = rich.last() {
            let Some(taker) = poor.pop() else { break };
            let kept = shares[taker as usize];
            cells[taker as usize] = Cell { keep: kept as u32, other: giver };
            shares[giver as usize] -= (1 << 32) - kept;
            if shares[giver as usize] < 1 << 32 {
                rich.pop();
                poor.push(giver);
            }
        }
        Self(cells)
    }

    pub(super) fn draw(&self, random: &mut Random) -> u32 {
        let drawn = random.next();
        let at = ((drawn >> 32) * self.0.len() as u64) >> 32;
        let cell = &self.0[at as usize];
        if (drawn as u32) < cell.keep { at as u32 } else { cell.other }
    }
}
