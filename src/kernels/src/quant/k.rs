//! K-quants: blocks of 256 with small integer scales for sub-blocks of 16 or 32.

use super::block::{Block, Columns, Factor, Format, Offset, Scales};

/// Byte `i` of four in one integer, or some of its bits: `(x >> (8 · i + shift)) & mask`.
#[inline(always)]
pub(super) fn byte<C: Columns>(x: C::B, i: usize, shift: i32, mask: i32) -> C::I {
    C::bits(C::ints(x), 8 * (i % 4) as i32 + shift, mask)
}

/// Q2_K, Q3_K and TQ2_0: weight `128h + 32j + l` is the `j`-th pair of bits of byte `32h + l`.
#[inline(always)]
pub(super) fn pairs<C: Columns>(block: &impl Block<C>, first: usize, g: usize, j: usize) -> C::B {
    C::field(block.column(first + 8 * (g / 4) + j), 2 * (g % 4) as i32, 3)
}

/// Q4_K and Q5_K: weight `64j + l` is the low and weight `64j + 32 + l` the high nibble
/// of byte `32j + l`.
#[inline(always)]
fn nibbles<C: Columns>(block: &impl Block<C>, first: usize, g: usize, j: usize) -> C::B {
    C::field(
        block.column(first + 8 * (g / 2) + j),
        4 * (g % 2) as i32,
        15,
    )
}

/// Q4_K and Q5_K keep eight 6-bit scales and eight 6-bit minimums in columns 1 to 3: the first
/// four of each are the low 6 bits of columns 1 and 2. The others have their low 4 bits in the
/// nibbles of column 3, their upper 2 in the bits left over.
#[inline(always)]
fn six_bits<C: Columns>(low: C::B, nibbles: C::B, shift: i32, s: usize) -> C::I {
    match s {
        0..4 => byte::<C>(low, s, 0, 63),
        _ => C::plus_raised(byte::<C>(nibbles, s, shift, 15), byte::<C>(low, s, 6, 3), 4),
    }
}

/// `scales and mins (nibbles): [u8; 16], pairs: [u8; 64], d: f16, dmin: f16`.
pub(crate) struct Q2K;

impl Format for Q2K {
    type Like = Self;
    const LEN: usize = 256;
    const BYTES: usize = 84;
    const D: Factor = Factor::Low(20);
    const DMIN: Factor = Factor::High(20);
    const SIGNED: bool = false;
    const SCALES: Scales = Scales::Of16;
    const OFFSET: Offset = Offset::Mins;
    const SUMS: usize = 1;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        pairs::<C>(block, 4, g, j)
    }
    #[inline(always)]
    fn scale<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        byte::<C>(block.column(s / 4), s, 0, 15)
    }
    #[inline(always)]
    fn min<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        byte::<C>(block.column(s / 4), s, 4, 15)
    }
}

/// `third bits: [u8; 32], pairs: [u8; 64], 6-bit scales: [u8; 12], d: f16`; quants
/// minus 4, scales minus 32.
pub(crate) struct Q3K;

impl Format for Q3K {
    type Like = Self;
    const SHARED: bool = true;
    const LEN: usize = 256;
    const BYTES: usize = 110;
    const WORD: Option<usize> = Some(108);
    const D: Factor = Factor::Word;
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::Of16;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        let third = C::raise(C::field(block.column(j), g as i32, 1), 2);
        C::plus(C::or(pairs::<C>(block, 8, g, j), third), -4)
    }
    /// Scales 0–7 have their low 4 bits in the low nibbles of columns 24 and 25, scales 8–15 in
    /// the high ones; byte `i % 4` of column 26 holds the upper 2 bits of scales i, i+4, i+8, i+12.
    #[inline(always)]
    fn scale<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        let low = byte::<C>(block.column(24 + s / 4 % 2), s, 4 * (s / 8) as i32, 15);
        let high = byte::<C>(block.column(26), s, 2 * (s / 4) as i32, 3);
        C::plus_int(C::plus_raised(low, high, 4), -32)
    }
}

/// `d: f16, dmin: f16, 6-bit scales and mins: [u8; 12], nibbles: [u8; 128]`.
pub(crate) struct Q4K;

impl Format for Q4K {
    type Like = Self;
    const LEN: usize = 256;
    const BYTES: usize = 144;
    const D: Factor = Factor::Low(0);
    const DMIN: Factor = Factor::High(0);
    const SIGNED: bool = false;
    const SCALES: Scales = Scales::Of32;
    const OFFSET: Offset = Offset::Mins;
    const SUMS: usize = 1;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        nibbles::<C>(block, 4, g, j)
    }
    #[inline(always)]
    fn scale<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        six_bits::<C>(block.column(1), block.column(3), 0, s)
    }
    #[inline(always)]
    fn min<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        six_bits::<C>(block.column(2), block.column(3), 4, s)
    }
}

/// `d: f16, dmin: f16, 6-bit scales and mins: [u8; 12], fifth bits: [u8; 32],
/// nibbles: [u8; 128]`.
pub(crate) struct Q5K;

impl Format for Q5K {
    type Like = Self;
    const LEN: usize = 256;
    const BYTES: usize = 176;
    const D: Factor = Factor::Low(0);
    const DMIN: Factor = Factor::High(0);
    const SIGNED: bool = false;
    const SCALES: Scales = Scales::Of32;
    const OFFSET: Offset = Offset::Mins;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        let fifth = C::raise(C::field(block.column(4 + j), g as i32, 1), 4);
        C::or(nibbles::<C>(block, 12, g, j), fifth)
    }
    #[inline(always)]
    fn scale<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        Q4K::scale::<C>(block, s)
    }
    #[inline(always)]
    fn min<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        Q4K::min::<C>(block, s)
    }
}

/// `nibbles: [u8; 128], upper pairs: [u8; 64], scales: [i8; 16], d: f16`; quants minus 32.
pub(crate) struct Q6K;

impl Format for Q6K {
    type Like = Self;
    const LEN: usize = 256;
    const BYTES: usize = 210;
    const WORD: Option<usize> = Some(208);
    const D: Factor = Factor::Word;
    const SIGNED: bool = false;
    const SCALES: Scales = Scales::Of16;
    const SUMS: usize = 8;
    const BIAS: i32 = 32;

    /// Each half of 128 has 64 bytes of nibbles: weights 32j + l for j = 0, 1 are the low
    /// nibbles of bytes 32j + l, for j = 2, 3 the high ones.
    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        let (half, g) = (g / 4, g % 4);
        let low = C::field(
            block.column(16 * half + 8 * (g % 2) + j),
            4 * (g / 2) as i32,
            15,
        );
        let high = C::field(block.column(32 + 8 * half + j), 2 * g as i32, 3);
        C::or(low, C::raise(high, 4))
    }
    #[inline(always)]
    fn scale<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        C::signed_byte(C::ints(block.column(48 + s / 4)), (s % 4) as i32)
    }
}
