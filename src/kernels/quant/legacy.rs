//! Blocks of 32 with one scale: Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0.
//!
//! The 4- and 5-bit formats keep weight `j` in the low nibble and weight `j + 16` in
//! the high nibble of byte `j`; the fifth bit of weight `j` is bit `j` of a u32.

use super::block::{Block, Format, Offset, field, half};
use crate::kernels::isa::Isa;

/// The nibbles of 16 bytes plus `add` as 32 quants.
#[inline(always)]
fn nibbles(bytes: &[u8; 16], add: i8, q: &mut [i8; 256]) {
    for (j, byte) in bytes.iter().enumerate() {
        q[j] = (byte & 15) as i8 + add;
        q[j + 16] = (byte >> 4) as i8 + add;
    }
}

/// Adds 16 to each quant whose bit is set in `bits`.
#[inline(always)]
fn fifth_bits(bits: &[u8; 4], q: &mut [i8; 256]) {
    let bits = u32::from_le_bytes(*bits);
    for (j, q) in q[..32].iter_mut().enumerate() {
        *q += ((bits >> j & 1) << 4) as i8;
    }
}

/// `d: f16, q: [i8; 32]`.
pub(crate) struct Q8_0;

impl Format for Q8_0 {
    const LEN: usize = 32;
    const BYTES: usize = 34;
    const SCALED: bool = false;
    const OFFSET: Offset = Offset::None;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block) {
        to.d = half::<I>(bytes, 0);
        for (q, byte) in to.q.iter_mut().zip(field::<32>(bytes, 2)) {
            *q = *byte as i8;
        }
    }
}

/// `d: f16, nibbles: [u8; 16]`, quants minus 8.
pub(crate) struct Q4_0;

impl Format for Q4_0 {
    const LEN: usize = 32;
    const BYTES: usize = 18;
    const SCALED: bool = false;
    const OFFSET: Offset = Offset::None;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block) {
        to.d = half::<I>(bytes, 0);
        nibbles(field(bytes, 2), -8, &mut to.q);
    }
}

/// `d: f16, m: f16, nibbles: [u8; 16]`.
pub(crate) struct Q4_1;

impl Format for Q4_1 {
    const LEN: usize = 32;
    const BYTES: usize = 20;
    const SCALED: bool = false;
    const OFFSET: Offset = Offset::Added;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block) {
        to.d = half::<I>(bytes, 0);
        to.dmin = -half::<I>(bytes, 2);
        to.min = [1; 16];
        nibbles(field(bytes, 4), 0, &mut to.q);
    }
}

/// `d: f16, fifth bits: u32, nibbles: [u8; 16]`, quants minus 16.
pub(crate) struct Q5_0;

impl Format for Q5_0 {
    const LEN: usize = 32;
    const BYTES: usize = 22;
    const SCALED: bool = false;
    const OFFSET: Offset = Offset::None;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block) {
        to.d = half::<I>(bytes, 0);
        nibbles(field(bytes, 6), -16, &mut to.q);
        fifth_bits(field(bytes, 2), &mut to.q);
    }
}

/// `d: f16, m: f16, fifth bits: u32, nibbles: [u8; 16]`.
pub(crate) struct Q5_1;

impl Format for Q5_1 {
    const LEN: usize = 32;
    const BYTES: usize = 24;
    const SCALED: bool = false;
    const OFFSET: Offset = Offset::Added;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block) {
        to.d = half::<I>(bytes, 0);
        to.dmin = -half::<I>(bytes, 2);
        to.min = [1; 16];
        nibbles(field(bytes, 8), 0, &mut to.q);
        fifth_bits(field(bytes, 4), &mut to.q);
    }
}
