//! Loops that keep the memory busy, to be timed.

use crate::isa::Isa;
use crate::simd::multiversion;

/// Sums that are taken side by side, so that reading does not wait for adding.
const LANES: usize = 64;
/// Bytes that are read at once.
pub const LINE: usize = 8 * LANES;

multiversion! {
    /// The wrapping sum of all 64-bit words.
    pub fn sum_words(lines: &[[u8; LINE]]) -> u64 = sum_words_of;
}

#[inline(always)]
fn sum_words_of<I: Isa>(lines: &[[u8; LINE]]) -> u64 {
    let mut sums = [0u64; LANES];
    for line in lines {
        let (words, _) = line.as_chunks::<8>();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    sums.iter().fold(0, |a, b| a.wrapping_add(*b))
}
