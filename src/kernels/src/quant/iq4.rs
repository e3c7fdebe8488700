//! Formats whose nibbles index a table of unevenly spaced values: IQ4_NL, IQ4_XS, MXFP4
//! and NVFP4.

use super::block::{Block, Columns, Factor, Format, Scales};
use super::k::byte;
use super::legacy::nibbles;

/// The values which the nibbles stand for (`kvalues_iq4nl` in ggml).
const VALUES: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/// Twice the values of the float format E2M1 (`kvalues_fp4` in ggml).
const E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// `d: f16, nibbles: [u8; 16]`.
pub(crate) struct Iq4Nl;

impl Format for Iq4Nl {
    type Like = Self;
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
        C::lookup(&VALUES, nibbles::<C>(block, 0, j))
    }
}

/// `exponent: u8, nibbles: [u8; 16]`; OCP Microscaling Formats 1.0, MXFP4.
pub(crate) struct MxFp4;

impl Format for MxFp4 {
    type Like = Iq4Nl;
    const SHARED: bool = true;
    const LEN: usize = 32;
    const BYTES: usize = 17;
    const WORD: Option<usize> = Some(0);
    const D: Factor = Factor::Exponent;
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::None;
    const SUMS: usize = 1;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, _: usize, j: usize) -> C::B {
        C::lookup(&E2M1, nibbles::<C>(block, 0, j))
    }
}

/// `scales of 16 weights, in UE4M3: [u8; 4], nibbles: [u8; 32]`, of 16 weights the first 8 low.
pub(crate) struct NvFp4;

impl Format for NvFp4 {
    type Like = Self;
    const LEN: usize = 64;
    const BYTES: usize = 36;
    const D: Factor = Factor::One;
    const UNIT: f32 = 1.0 / 1024.0;
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::Of16;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        let column = block.column(1 + 4 * g + 2 * (j / 4) + j % 2);
        C::lookup(&E2M1, C::field(column, 4 * (j / 2 % 2) as i32, 15))
    }
    #[inline(always)]
    fn scale<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        C::ints(C::gather(&UE4M3, byte::<C>(block.column(0), s, 0, 255)))
    }
}

/// 512 times the values of the float format E4M3 without its sign; NaN is 0, as in ggml.
static UE4M3: [u32; 256] = {
    let (mut values, mut bits) = ([0; 256], 0);
    while bits < values.len() {
        let (exponent, mantissa) = (bits as u32 >> 3 & 15, bits as u32 & 7);
        values[bits] = match exponent {
            0 => mantissa,
            _ => (8 + mantissa) << (exponent - 1),
        };
        bits += 1;
    }
    values[0x7f] = 0;
    values
};

/// `d: f16, upper 2 bits of 8 scales: u16, lower 4 bits: [u8; 4], nibbles: [u8; 128]`,
/// scales minus 32.
pub(crate) struct Iq4Xs;

impl Format for Iq4Xs {
    type Like = Self;
    const SHARED: bool = true;
    const LEN: usize = 256;
    const BYTES: usize = 136;
    const D: Factor = Factor::Low(0);
    const SIGNED: bool = true;
    const SCALES: Scales = Scales::Of32;
    const SUMS: usize = 8;

    #[inline(always)]
    fn quants<C: Columns>(block: &impl Block<C>, g: usize, j: usize) -> C::B {
        C::lookup(&VALUES, nibbles::<C>(block, 2 + 4 * g, j))
    }
    #[inline(always)]
    fn scale<C: Columns>(block: &impl Block<C>, s: usize) -> C::I {
        let high = C::bits(C::ints(block.column(0)), 16 + 2 * s as i32, 3);
        let low = C::bits(C::ints(block.column(1)), 4 * s as i32, 15);
        C::plus_int(C::plus_raised(low, high, 4), -32)
    }
}
