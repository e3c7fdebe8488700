//! Formats of one factor and few bits: Q1_0, Q2_0, and TQ1_0 and TQ2_0, whose weights are −1, 0 or 1.

use super::block::{Block, Columns, Factor, Format, Scales};
use super::k::{byte, pairs};

/// `d: f16, bits: [u8; 16]`, −1 where a bit is clear and 1 where it is set.
pub(crate) struct Q1_0;

impl Format for Q1_0 {
    type Like = Self;
    const LEN: usize = 128;
    const BYTES: usize = 18;
    const WORD: Option<usize> = Some(0);
    const D: Factor = Factor::Word;
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::None;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        let bits = C::spread(C::ints(block.column(g)), 4 * j as i32);
        C::plus(C::raise(bits, 1), -1)
    }
}

/// `d: f16, pairs: [u8; 16]`, four neighbours a byte, minus 1.
pub(crate) struct Q2_0;

impl Format for Q2_0 {
    type Like = Self;
    const LEN: usize = 64;
    const BYTES: usize = 18;
    const WORD: Option<usize> = Some(0);
    const D: Factor = Factor::Word;
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::None;
    const SUMS: usize = 1;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        C::gather(
            &NEIGHBOURS,
            byte::<C>(block.column(2 * g + j / 4), j, 0, 255),
        )
    }
}

/// The four weights that a byte of Q2_0 stands for, a byte each.
static NEIGHBOURS: [u32; 256] = {
    let (mut four, mut i) = ([0; 256], 0);
    while i < 4 * four.len() {
        let (byte, place) = (i / 4, i % 4);
        let weight = (byte >> (2 * place) & 3) as i8 - 1;
        four[byte] |= (weight as u8 as u32) << (8 * place);
        i += 1;
    }
    four
};

/// `digits in base three: [u8; 52], d: f16`, quants minus 1.
///
/// Bytes are fractions in base three, rounded up. The first 32 have five digits for weights
/// `32n + l`, the next 16 five for weights `160 + 16n + l`, the last 4 four for weights
/// `240 + 4n + l`; `n` counts digits, `l` bytes.
pub(crate) struct Tq1_0;

impl Format for Tq1_0 {
    type Like = Tq2_0;
    const SHARED: bool = true;
    const LEN: usize = 256;
    const BYTES: usize = 54;
    const WORD: Option<usize> = Some(52);
    const D: Factor = Factor::Word;
    const SIGNED: bool = false;
    const SCALES: Scales = Scales::None;
    const SUMS: usize = 8;
    const BIAS: i32 = 1;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        let (column, digit) = match (g, j) {
            (0..5, _) => (j, g),
            (7, 4..) => (12, j - 4),
            _ => (8 + j % 4, 2 * (g - 5) + j / 4),
        };
        C::trit(block.column(column), digit)
    }
}

/// `pairs: [u8; 64], d: f16`, quants minus 1.
pub(crate) struct Tq2_0;

impl Format for Tq2_0 {
    type Like = Self;
    const SHARED: bool = true;
    const LEN: usize = 256;
    const BYTES: usize = 66;
    const WORD: Option<usize> = Some(64);
    const D: Factor = Factor::Word;
    const SIGNED: bool = false;
    const SCALES: Scales = Scales::None;
    const SUMS: usize = 8;
    const BIAS: i32 = 1;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        pairs::<C>(block, 0, g, j)
    }
}
