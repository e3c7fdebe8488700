//! Loops that keep the memory busy, or the tile multiplier, to be timed.

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

/// Multiply-adds of a turn of [`multiply_tiles`].
pub const TILE_MACS: usize = 2 * 16 * 16 * 64;

/// So many turns of the tile multiplier of AMX.
///
/// # Panics
/// If the level is not [`Level::Amx`](crate::simd::Level::Amx).
#[cfg(target_arch = "x86_64")]
pub fn multiply_tiles(turns: usize) {
    use crate::isa::amx::{Configured, STEP};
    assert_eq!(crate::simd::level(), crate::simd::Level::Amx);
    let bytes = std::hint::black_box([[1u8; STEP]; 16]);
    let at = bytes.as_ptr().cast();
    // SAFETY: the level says that it is there.
    let multiplier = unsafe { Configured::new(STEP) };
    multiplier.begin();
    for _ in 0..turns {
        // SAFETY: sixteen rows of a step are there.
        unsafe { multiplier.step_wide((at, STEP), (at, at)) };
    }
}
