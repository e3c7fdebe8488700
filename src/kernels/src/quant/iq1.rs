//! Formats whose weights are points of a grid of −1, 0 and 1, moved by an eighth up or down: IQ1_S
//! and IQ1_M.
//!
//! Factors count in eighths, so that a quant is −8, 0 or 8. A scale is three bits `s` that stand
//! for `2s + 1`.

use super::block::{Block, Columns, Factor, Format, Offset, Scales};
use super::grid;
use super::iq23::odd;
use super::k::byte;

/// `d: f16, indices: [u8; 32], for each 32 weights four upper triples of indices, a scale and a bit
/// that is set if they move down: [u16; 8]`.
pub(crate) struct Iq1S;

/// The `u16` of 32 weights from `shift` on.
#[inline(always)]
fn part<C: Columns>(block: &impl Block<C>, g: usize, shift: usize, mask: i32) -> C::I {
    let two = C::ints(block.column(8 + g / 2));
    C::bits(two, (16 * (g % 2) + shift) as i32, mask)
}

impl Format for Iq1S {
    type Like = Self;
    const LEN: usize = 256;
    const BYTES: usize = 50;
    const WORD: Option<usize> = Some(0);
    const D: Factor = Factor::Word;
    const DMIN: Factor = Factor::Word;
    const UNIT: f32 = 0.125;
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::Of32;
    const OFFSET: Offset = Offset::Mins;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        let low = byte::<C>(block.column(g), j / 2, 0, 255);
        let upper = part::<C>(block, g, 3 * (j / 2), 7);
        C::gather(&grid::IQ1[j % 2], C::plus_raised(low, upper, 8))
    }
    #[inline(always)]
    fn scale<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        odd::<C>(part::<C>(block, s, 12, 7))
    }
    /// The scale where weights move down, its opposite where they move up.
    #[inline(always)]
    fn min<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        // −1 if they move up, else 0: what that leaves of a scale is the number below its opposite.
        let up = C::plus_int(part::<C>(block, s, 15, 1), -1);
        let flipped = C::xor(Self::scale::<C>(block, s), up);
        C::plus_raised(flipped, C::bits(up, 0, 1), 0)
    }
}

/// `indices: [u8; 32], for each 16 weights two upper triples of indices, each with a bit that is set
/// if their 8 weights move down: [u8; 16], for each 64 weights four scales of 16 and a nibble of d:
/// [u16; 4]`.
pub(crate) struct Iq1M;

impl Format for Iq1M {
    type Like = Self;
    const LEN: usize = 256;
    const BYTES: usize = 56;
    const D: Factor = Factor::Nibbles(12);
    const UNIT: f32 = 0.125;
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::Of16;
    const OFFSET: Offset = Offset::Deltas;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        let low = byte::<C>(block.column(g), j / 2, 0, 255);
        let four = byte::<C>(
            block.column(8 + g / 2),
            2 * (g % 2) + j / 4,
            (j / 2 % 2 * 4) as i32,
            15,
        );
        let point = C::gather(
            &grid::IQ1[j % 2],
            C::plus_raised(low, C::bits(four, 0, 7), 8),
        );
        // One less, and two more in all four where the bit is clear.
        let up = C::bits(C::plus_int(four, 8), 3, 1);
        let two = C::plus_raised(up, up, 1);
        let all = C::spread(C::plus_raised(two, two, 2), 0);
        C::plus(C::or(point, C::raise(all, 1)), -1)
    }
    #[inline(always)]
    fn scale<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        let shift = 16 * (s / 4 % 2) + 3 * (s % 4);
        odd::<C>(C::bits(C::ints(block.column(12 + s / 8)), shift as i32, 7))
    }
}
