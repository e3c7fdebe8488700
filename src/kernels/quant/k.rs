//! K-quants: blocks of 256 with small integer scales for sub-blocks of 16 or 32.

use super::block::{Block, Format, Offset, at, half, part};
use crate::kernels::isa::Isa;

/// Four bytes at `at` as one integer, so that four small fields shift together.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*part(bytes, at))
}

/// Q2_K and Q3_K: weight `128h + 32j + l` is the `j`-th pair of bits of byte `32h + l`.
#[inline(always)]
fn pairs<I: Isa>(bytes: &[u8; 64], to: &mut Block<I>) {
    for h in 0..2 {
        let four = I::bytes(part(bytes, 32 * h));
        for j in 0..4 {
            to.q[4 * h + j] = I::field(four, 2 * j as i32, 3);
        }
    }
}

/// Q4_K and Q5_K: weight `64j + l` is the low and weight `64j + 32 + l` the high nibble
/// of byte `32j + l`.
#[inline(always)]
fn nibbles<I: Isa>(bytes: &[u8; 128], to: &mut Block<I>) {
    for j in 0..4 {
        let two = I::bytes(part(bytes, 32 * j));
        to.q[2 * j] = I::field(two, 0, 15);
        to.q[2 * j + 1] = I::field(two, 4, 15);
    }
}

/// Q4_K and Q5_K: eight 6-bit scales and eight 6-bit minimums in 12 bytes.
///
/// The first four of each are the low 6 bits of bytes 0–3 and 4–7. The others have
/// their low 4 bits in the nibbles of bytes 8–11, their upper 2 in the bits left over.
#[inline(always)]
fn scales_and_mins<I: Isa>(bytes: &[u8; 12], to: &mut Block<I>) {
    let (a, b, c) = (word(bytes, 0), word(bytes, 4), word(bytes, 8));
    let low = |x: u32| (x & 0x3f3f_3f3f).to_le_bytes();
    let high =
        |nibble: u32, x: u32| (nibble & 0x0f0f_0f0f | (x >> 6 & 0x0303_0303) << 4).to_le_bytes();
    let scales = [low(a), high(c, a)];
    let mins = [low(b), high(c >> 4, b)];
    for i in 0..16 {
        to.scale[i] = i16::from(scales[i / 4 % 2][i % 4]);
        to.min[i] = i16::from(mins[i / 4 % 2][i % 4]);
    }
}

/// `scales and mins (nibbles): [u8; 16], pairs: [u8; 64], d: f16, dmin: f16`.
pub(crate) struct Q2K;

impl Format for Q2K {
    const LEN: usize = 256;
    const BYTES: usize = 84;
    const SCALED: bool = true;
    const OFFSET: Offset = Offset::Mins;
    const SUMS: usize = 1;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block<I>) {
        for (s, byte) in part::<16>(bytes, 0).iter().enumerate() {
            to.scale[at(s)] = i16::from(byte & 15);
            to.min[at(s)] = i16::from(byte >> 4);
        }
        pairs(part(bytes, 16), to);
        to.d = half::<I>(bytes, 80);
        to.dmin = half::<I>(bytes, 82);
    }
}

/// `third bits: [u8; 32], pairs: [u8; 64], 6-bit scales: [u8; 12], d: f16`; quants
/// minus 4, scales minus 32.
pub(crate) struct Q3K;

impl Format for Q3K {
    const LEN: usize = 256;
    const BYTES: usize = 110;
    const SCALED: bool = true;
    const OFFSET: Offset = Offset::None;
    const SUMS: usize = 8;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block<I>) {
        pairs(part(bytes, 32), to);
        let third = I::bytes(part(bytes, 0));
        for (j, q) in to.q.iter_mut().enumerate() {
            let bit = I::raise(I::field(third, j as i32, 1), 2);
            *q = I::plus(I::or(*q, bit), -4);
        }
        // Scales 0–7 have their low 4 bits in the low nibbles of bytes 0–7, scales 8–15 in
        // the high ones; byte 8 + i % 4 holds the upper 2 bits of scales i, i+4, i+8, i+12.
        let upper = word(bytes, 104);
        for four in 0..4 {
            let low = word(bytes, 96 + 4 * (four % 2)) >> (4 * (four / 2)) & 0x0f0f_0f0f;
            let scale = low | (upper >> (2 * four) & 0x0303_0303) << 4;
            for (i, byte) in scale.to_le_bytes().into_iter().enumerate() {
                to.scale[at(4 * four + i)] = i16::from(byte) - 32;
            }
        }
        to.d = half::<I>(bytes, 108);
    }
}

/// `d: f16, dmin: f16, 6-bit scales and mins: [u8; 12], nibbles: [u8; 128]`.
pub(crate) struct Q4K;

impl Format for Q4K {
    const LEN: usize = 256;
    const BYTES: usize = 144;
    const SCALED: bool = true;
    const OFFSET: Offset = Offset::Mins;
    const SUMS: usize = 1;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block<I>) {
        to.d = half::<I>(bytes, 0);
        to.dmin = half::<I>(bytes, 2);
        scales_and_mins(part(bytes, 4), to);
        nibbles(part(bytes, 16), to);
    }
}

/// `d: f16, dmin: f16, 6-bit scales and mins: [u8; 12], fifth bits: [u8; 32],
/// nibbles: [u8; 128]`.
pub(crate) struct Q5K;

impl Format for Q5K {
    const LEN: usize = 256;
    const BYTES: usize = 176;
    const SCALED: bool = true;
    const OFFSET: Offset = Offset::Mins;
    const SUMS: usize = 8;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block<I>) {
        to.d = half::<I>(bytes, 0);
        to.dmin = half::<I>(bytes, 2);
        scales_and_mins(part(bytes, 4), to);
        nibbles(part(bytes, 48), to);
        let fifth = I::bytes(part(bytes, 16));
        for (j, q) in to.q.iter_mut().enumerate() {
            *q = I::or(*q, I::raise(I::field(fifth, j as i32, 1), 4));
        }
    }
}

/// `nibbles: [u8; 128], upper pairs: [u8; 64], scales: [i8; 16], d: f16`; quants minus 32.
pub(crate) struct Q6K;

impl Format for Q6K {
    const LEN: usize = 256;
    const BYTES: usize = 210;
    const SCALED: bool = true;
    const OFFSET: Offset = Offset::None;
    const SUMS: usize = 8;
    const BIASED: bool = true;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block<I>) {
        // Each half of 128 has 64 bytes of nibbles: weights 32j + l for j = 0, 1 are the low
        // nibbles of bytes 32j + l, for j = 2, 3 the high ones.
        for h in 0..2 {
            let upper = I::bytes(part(bytes, 128 + 32 * h));
            for j in 0..4 {
                let two = I::bytes(part(bytes, 64 * h + 32 * (j % 2)));
                let low = I::field(two, 4 * (j / 2) as i32, 15);
                let high = I::raise(I::field(upper, 2 * j as i32, 3), 4);
                to.q[4 * h + j] = I::plus(I::or(low, high), -32);
            }
        }
        for (s, byte) in part::<16>(bytes, 192).iter().enumerate() {
            to.scale[at(s)] = i16::from(*byte as i8);
        }
        to.d = half::<I>(bytes, 208);
    }
}
