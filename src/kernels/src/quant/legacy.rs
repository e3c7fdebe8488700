//! Blocks of 32 with one scale: Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0.
//!
//! The 4- and 5-bit formats keep weight `j` in the low nibble and weight `j + 16` in
//! the high nibble of byte `j`; the fifth bit of weight `j` is bit `j` of a u32.

use super::block::{Block, Columns, Factor, Format, Offset, Scales};

/// The nibbles of weights `4 · j ..`, in columns from `first` on.
#[inline(always)]
pub(super) fn nibbles<C: Columns>(block: &impl Block<C>, first: usize, j: usize) -> C::B {
    C::field(block.column(first + j % 4), 4 * (j / 4) as i32, 15)
}

/// The nibbles with their fifth bits, which are in the column before.
#[inline(always)]
fn five_bits<C: Columns>(block: &impl Block<C>, fifth: usize, j: usize) -> C::B {
    let bits = C::spread(C::ints(block.column(fifth)), 4 * j as i32);
    C::or(nibbles::<C>(block, fifth + 1, j), C::raise(bits, 4))
}

/// `d: f16, q: [i8; 32]`.
pub(crate) struct Q8_0;

impl Format for Q8_0 {
    type Like = Self;
    const LEN: usize = 32;
    const BYTES: usize = 34;
    const WORD: Option<usize> = Some(0);
    const D: Factor = Factor::Word;
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::None;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, _: usize, j: usize) -> C::B {
        block.column(j)
    }
}

/// `d: f16, nibbles: [u8; 16]`, quants minus 8.
pub(crate) struct Q4_0;

impl Format for Q4_0 {
    type Like = super::Iq4Nl;
    const SHARED: bool = true;
    const LEN: usize = 32;
    const BYTES: usize = 18;
    const WORD: Option<usize> = Some(0);
    const D: Factor = Factor::Word;
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::None;
    const SUMS: usize = 1;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, _: usize, j: usize) -> C::B {
        C::plus(nibbles::<C>(block, 0, j), -8)
    }
}

/// `d: f16, m: f16, nibbles: [u8; 16]`.
pub(crate) struct Q4_1;

impl Format for Q4_1 {
    type Like = Self;
    const SHARED: bool = true;
    const LEN: usize = 32;
    const BYTES: usize = 20;
    const D: Factor = Factor::Low(0);
    const DMIN: Factor = Factor::High(0);
    const SIGNED: bool = false;
    const SCALES: Scales = Scales::None;
    const OFFSET: Offset = Offset::Added;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, _: usize, j: usize) -> C::B {
        nibbles::<C>(block, 1, j)
    }
}

/// `d: f16, fifth bits: u32, nibbles: [u8; 16]`, quants minus 16.
pub(crate) struct Q5_0;

impl Format for Q5_0 {
    type Like = Self;
    const LEN: usize = 32;
    const BYTES: usize = 22;
    const WORD: Option<usize> = Some(0);
    const D: Factor = Factor::Word;
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::None;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, _: usize, j: usize) -> C::B {
        C::plus(five_bits::<C>(block, 0, j), -16)
    }
}

/// `d: f16, m: f16, fifth bits: u32, nibbles: [u8; 16]`.
pub(crate) struct Q5_1;

impl Format for Q5_1 {
    type Like = Q4_1;
    const SHARED: bool = true;
    const LEN: usize = 32;
    const BYTES: usize = 24;
    const D: Factor = Factor::Low(0);
    const DMIN: Factor = Factor::High(0);
    const SIGNED: bool = false;
    const SCALES: Scales = Scales::None;
    const OFFSET: Offset = Offset::Added;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, _: usize, j: usize) -> C::B {
        five_bits::<C>(block, 1, j)
    }
}
