//! Formats whose weights are points of a grid with signs: IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S.
//!
//! A scale is a nibble `s` that stands for `2s + 1`; what a factor counts in makes up for that.
//! Where signs take seven bits for eight weights, there is an even number of negative ones.

use super::block::{Block, Columns, Factor, Format, Scales};
use super::grid;
use super::k::byte;

/// The scale that a nibble stands for.
#[inline(always)]
pub(super) fn odd<C: Columns>(nibble: C::I) -> C::I {
    C::plus_int(C::plus_raised(nibble, nibble, 0), 1)
}

/// Nibble `s` of the columns from `first` on.
#[inline(always)]
fn nibble<C: Columns>(block: &impl Block<C>, first: usize, s: usize) -> C::I {
    byte::<C>(block.column(first + s / 8), s / 2, 4 * (s % 2) as i32, 15)
}

/// Four magnitudes with their signs, which are the bits of `signs` from `shift` on.
#[inline(always)]
fn signed<C: Columns>(magnitudes: C::B, signs: C::I, shift: usize) -> C::B {
    C::negate(magnitudes, C::spread(signs, shift as i32))
}

/// Signs `7l ..` (seven), and an eighth that makes their number even.
#[inline(always)]
fn even<C: Columns>(signs: C::I, l: usize) -> C::I {
    let seven = C::bits(signs, 7 * l as i32, 127);
    let four = C::xor(seven, C::bits(seven, 4, 7));
    let two = C::xor(four, C::bits(four, 2, 3));
    let one = C::xor(two, C::bits(two, 1, 1));
    C::plus_raised(seven, C::bits(one, 0, 1), 7)
}

/// `d: f16, for each 32 weights: indices [u8; 4], 28 bits of signs and a scale: u32`.
pub(crate) struct Iq2Xxs;

impl Format for Iq2Xxs {
    type Like = super::Iq4Xs;
    const SHARED: bool = true;
    const LEN: usize = 256;
    const BYTES: usize = 66;
    const WORD: Option<usize> = Some(0);
    const D: Factor = Factor::Word;
    const UNIT: f32 = 0.125;
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::Of32;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        let index = byte::<C>(block.column(2 * g), j / 2, 0, 255);
        let signs = even::<C>(C::ints(block.column(2 * g + 1)), j / 2);
        signed::<C>(C::gather(&grid::IQ2_XXS[j % 2], index), signs, 4 * (j % 2))
    }
    #[inline(always)]
    fn scale<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        odd::<C>(C::bits(C::ints(block.column(2 * s + 1)), 28, 15))
    }
}

/// `d: f16, 9 bits of index and 7 of signs: [u16; 32], scales (nibbles): [u8; 8]`.
pub(crate) struct Iq2Xs;

impl Format for Iq2Xs {
    type Like = super::Q3K;
    const SHARED: bool = true;
    const LEN: usize = 256;
    const BYTES: usize = 74;
    const WORD: Option<usize> = Some(0);
    const D: Factor = Factor::Word;
    const UNIT: f32 = 0.125;
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::Of16;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        let two = C::ints(block.column(2 * g + j / 4));
        let one = C::bits(two, 16 * (j / 2 % 2) as i32, 0xffff);
        let signs = even::<C>(C::bits(one, 9, 127), 0);
        signed::<C>(C::gather(&grid::IQ2_XS[j % 2], one), signs, 4 * (j % 2))
    }
    #[inline(always)]
    fn scale<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        odd::<C>(nibble::<C>(block, 16, s))
    }
}

/// `d: f16, indices: [u8; 32], signs: [u8; 32], upper pairs of indices: [u8; 8], scales
/// (nibbles): [u8; 8]`.
pub(crate) struct Iq2S;

impl Format for Iq2S {
    type Like = super::Q3K;
    const SHARED: bool = true;
    const LEN: usize = 256;
    const BYTES: usize = 82;
    const WORD: Option<usize> = Some(0);
    const D: Factor = Factor::Word;
    const UNIT: f32 = 0.125;
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::Of16;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        let low = byte::<C>(block.column(g), j / 2, 0, 255);
        let upper = byte::<C>(block.column(16 + g / 4), g, 2 * (j / 2) as i32, 3);
        let index = C::plus_raised(low, upper, 8);
        let signs = C::ints(block.column(8 + g));
        signed::<C>(C::gather(&grid::IQ2_S[j % 2], index), signs, 4 * j)
    }
    #[inline(always)]
    fn scale<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        odd::<C>(nibble::<C>(block, 18, s))
    }
}

/// `d: f16, indices: [u8; 64], for each 32 weights 28 bits of signs and a scale: [u32; 8]`.
pub(crate) struct Iq3Xxs;

impl Format for Iq3Xxs {
    type Like = super::Iq4Xs;
    const SHARED: bool = true;
    const LEN: usize = 256;
    const BYTES: usize = 98;
    const WORD: Option<usize> = Some(0);
    const D: Factor = Factor::Word;
    const UNIT: f32 = 0.25;
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::Of32;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        let index = byte::<C>(block.column(2 * g + j / 4), j, 0, 255);
        let signs = even::<C>(C::ints(block.column(16 + g)), j / 2);
        signed::<C>(C::gather(&grid::IQ3_XXS, index), signs, 4 * (j % 2))
    }
    #[inline(always)]
    fn scale<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        odd::<C>(C::bits(C::ints(block.column(16 + s)), 28, 15))
    }
}

/// `d: f16, indices: [u8; 64], ninth bits of indices: [u8; 8], signs: [u8; 32], scales
/// (nibbles): [u8; 4]`.
pub(crate) struct Iq3S;

impl Format for Iq3S {
    type Like = super::Iq4Xs;
    const SHARED: bool = true;
    const LEN: usize = 256;
    const BYTES: usize = 110;
    const WORD: Option<usize> = Some(0);
    const D: Factor = Factor::Word;
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::Of32;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        let low = byte::<C>(block.column(2 * g + j / 4), j, 0, 255);
        let ninth = byte::<C>(block.column(16 + g / 4), g, j as i32, 1);
        let index = C::plus_raised(low, ninth, 8);
        let signs = C::ints(block.column(18 + g));
        signed::<C>(C::gather(&grid::IQ3_S, index), signs, 4 * j)
    }
    #[inline(always)]
    fn scale<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        odd::<C>(nibble::<C>(block, 26, s))
    }
}
