//! Blocks of 32 with one scale: Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0.
//!
//! The 4- and 5-bit formats keep weight `j` in the low nibble and weight `j + 16` in
//! the high nibble of byte `j`; the fifth bit of weight `j` is bit `j` of a u32.

use super::block::{Block, Format, Offset, half, part};
use crate::kernels::isa::Isa;

/// The nibbles of 16 bytes and, at `fifth`, their fifth bits.
#[inline(always)]
fn five_bits<I: Isa>(bytes: &[u8], nibbles: usize, fifth: usize) -> I::B {
    let fifth = u32::from_le_bytes(*part(bytes, fifth));
    I::or(I::nibbles(part(bytes, nibbles)), I::sixteens(fifth))
}

/// `d: f16, q: [i8; 32]`.
pub(crate) struct Q8_0;

impl Format for Q8_0 {
    const LEN: usize = 32;
    const BYTES: usize = 34;
    const SCALED: bool = false;
    const OFFSET: Offset = Offset::None;
    const SUMS: usize = 8;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block<I>) {
        to.d = half::<I>(bytes, 0);
        to.q[0] = I::bytes(part(bytes, 2));
    }
}

/// `d: f16, nibbles: [u8; 16]`, quants minus 8.
pub(crate) struct Q4_0;

impl Format for Q4_0 {
    const LEN: usize = 32;
    const BYTES: usize = 18;
    const SCALED: bool = false;
    const OFFSET: Offset = Offset::None;
    const SUMS: usize = 1;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block<I>) {
        to.d = half::<I>(bytes, 0);
        to.q[0] = I::plus(I::nibbles(part(bytes, 2)), -8);
    }
}

/// `d: f16, m: f16, nibbles: [u8; 16]`.
pub(crate) struct Q4_1;

impl Format for Q4_1 {
    const LEN: usize = 32;
    const BYTES: usize = 20;
    const SCALED: bool = false;
    const OFFSET: Offset = Offset::Added;
    const SUMS: usize = 8;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block<I>) {
        to.d = half::<I>(bytes, 0);
        to.dmin = -half::<I>(bytes, 2);
        to.min = [1; 16];
        to.q[0] = I::nibbles(part(bytes, 4));
    }
}

/// `d: f16, fifth bits: u32, nibbles: [u8; 16]`, quants minus 16.
pub(crate) struct Q5_0;

impl Format for Q5_0 {
    const LEN: usize = 32;
    const BYTES: usize = 22;
    const SCALED: bool = false;
    const OFFSET: Offset = Offset::None;
    const SUMS: usize = 8;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block<I>) {
        to.d = half::<I>(bytes, 0);
        to.q[0] = I::plus(five_bits::<I>(bytes, 6, 2), -16);
    }
}

/// `d: f16, m: f16, fifth bits: u32, nibbles: [u8; 16]`.
pub(crate) struct Q5_1;

impl Format for Q5_1 {
    const LEN: usize = 32;
    const BYTES: usize = 24;
    const SCALED: bool = false;
    const OFFSET: Offset = Offset::Added;
    const SUMS: usize = 8;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block<I>) {
        to.d = half::<I>(bytes, 0);
        to.dmin = -half::<I>(bytes, 2);
        to.min = [1; 16];
        to.q[0] = five_bits::<I>(bytes, 8, 4);
    }
}
