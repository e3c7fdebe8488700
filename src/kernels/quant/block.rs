//! The common shape to which every block format unpacks.

use crate::kernels::isa::{Isa, Scalar};

/// A block's integers and factors: weight `i`, of sub-block `s = i / 16`, is
/// `d · scale[at(s)] · q[i] − dmin · min[at(s)]`.
///
/// Only the first [`Format::LEN`] quants are meant. Scales and minimums of even sub-blocks
/// come first, then those of odd ones ([`at`]): formats with sub-blocks of 32 then hold one
/// sequence of eight twice.
pub(crate) struct Block<I: Isa> {
    /// Signed bytes, in order.
    pub q: [I::B; 8],
    pub scale: [i16; 16],
    pub min: [i16; 16],
    pub d: f32,
    /// For [`Offset::Added`] this is minus the block's offset, and `min` is 1.
    pub dmin: f32,
}

/// The place of sub-block `s`'s scale and minimum.
#[inline(always)]
pub(crate) fn at(s: usize) -> usize {
    s % 2 * 8 + s / 2
}

impl<I: Isa> Block<I> {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self {
            q: [I::bytes(&[0; 32]); 8],
            scale: [1; 16],
            min: [0; 16],
            d: 0.0,
            dmin: 0.0,
        }
    }
}

/// What is added to `d · scale · q`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offset {
    /// Nothing.
    None,
    /// Integer minimums of sub-blocks, subtracted (Q2_K, Q4_K, Q5_K).
    Mins,
    /// One float for the block, added (Q4_1, Q5_1).
    Added,
}

/// A block layout.
pub(crate) trait Format {
    /// Weights in a block: 32 or 256.
    const LEN: usize;
    /// Bytes in a block.
    const BYTES: usize;
    /// Whether sub-blocks have integer scales; else `scale` stays 1.
    const SCALED: bool;
    const OFFSET: Offset;
    /// Float sums that one row keeps, 1 or 8 (see `matmul`).
    const SUMS: usize;
    /// Whether quants meet activations with 32 added, which is taken back by sub-blocks: it
    /// decides in which of eight sums a part lands.
    const BIASED: bool = false;

    /// Reads the block in `bytes`, exactly [`Format::BYTES`] long.
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block<I>);
}

/// `N` bytes of a block from `at` on.
#[inline(always)]
pub(super) fn part<const N: usize>(bytes: &[u8], at: usize) -> &[u8; N] {
    bytes[at..at + N].try_into().expect("the range has N bytes")
}

/// The half-precision value at `at`.
#[inline(always)]
pub(super) fn half<I: Isa>(bytes: &[u8], at: usize) -> f32 {
    I::f16(u16::from_le_bytes(*part(bytes, at)))
}

/// A row in f32. The product `d · scale` is rounded before it meets the quant, as in ggml.
pub(super) fn dequantize<F: Format>(row: &[u8], out: &mut [f32]) {
    let mut block = Block::<Scalar>::new();
    for (bytes, out) in row.chunks_exact(F::BYTES).zip(out.chunks_exact_mut(F::LEN)) {
        F::unpack(bytes, &mut block);
        for (sub, out) in out.chunks_exact_mut(16).enumerate() {
            let scale = block.d * f32::from(block.scale[at(sub)]);
            let min = block.dmin * f32::from(block.min[at(sub)]);
            for (out, q) in out.iter_mut().zip(&block.q[sub / 2][sub % 2 * 16..]) {
                *out = scale * f32::from(*q as i8) - min;
            }
        }
    }
}
