//! Caches of blocks: 32 values in integers with a factor.
//!
//! Before they are rounded, keys and values are turned: an orthogonal transform, that of Hadamard,
//! spreads what is large over many values, so that a block loses less. Queries are turned as the keys
//! they meet, which leaves the products as they are; results are turned as the values they are made
//! of, which turns them back. llama.cpp does so where heads are whole turns of 64, with keys turned as
//! far as the head allows.

use half::f16;

use super::score::Scores;
use super::{CacheRows, CacheType, Side};
use crate::activation::{ActivationType, quantize_row};
use crate::isa::reduce::Reduce;
use crate::isa::{Cache, Isa, prefetch};
use crate::simd::multiversion;

/// Values of a block.
pub(super) const BLOCK: usize = 32;
/// Values of the shortest turn.
const TURN: usize = 64;

/// How many values of a head of `dim` are turned together; 0 if they are not.
pub(super) fn turn_len(side: Side, dim: usize) -> usize {
    match (dim.is_multiple_of(TURN), side) {
        (false, _) => 0,
        (true, Side::Keys) => 1 << dim.trailing_zeros(),
        (true, Side::Values) => TURN,
    }
}

/// Turns each `n` values, `n` being a power of two; nothing for 0. Twice is not at all, but for
/// rounding.
pub(super) fn turn(x: &mut [f32], n: usize) {
    if n > 0 {
        turn_all(x, n);
    }
}

multiversion! { fn turn_all(x: &mut [f32], n: usize) = turn_body; }

#[inline(always)]
fn turn_body<I: Isa>(x: &mut [f32], n: usize) {
    let scale = 1.0 / (n as f32).sqrt();
    for x in x.chunks_exact_mut(n) {
        x.iter_mut().for_each(|x| *x *= scale);
        let mut half = 1;
        while half < n {
            for x in x.chunks_exact_mut(2 * half) {
                let (low, high) = x.split_at_mut(half);
                for (a, b) in low.iter_mut().zip(high) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            half *= 2;
        }
    }
}

/// Rounds a row into blocks.
pub(super) fn round(ty: CacheType, x: &[f32], out: &mut [u8]) {
    match ty {
        CacheType::Q8_0 => quantize_row(ActivationType::Q8_0, x, out),
        _ => round_to_nibbles(x, out),
    }
}

multiversion! { fn round_to_nibbles(x: &[f32], out: &mut [u8]) = nibbles; }

/// As ggml's `quantize_row_q4_0`: the value of the largest size becomes −8, the others, with one
/// rounding, `x · (−8 / max) + 8.5` cut off.
#[inline(always)]
fn nibbles<I: Isa>(x: &[f32], out: &mut [u8]) {
    let (x, out) = (x.as_chunks::<BLOCK>().0, out.as_chunks_mut::<18>().0);
    for (x, out) in x.iter().zip(out) {
        let largest = x.iter().fold(
            0.0f32,
            |most, x| {
                if x.abs() > most.abs() { *x } else { most }
            },
        );
        let d = largest / -8.0;
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        let [d0, d1, pairs @ ..] = out;
        [*d0, *d1] = f16::from_f32(d).to_le_bytes();
        let nibble = |x: f32| (x.mul_add(inverse, 8.5) as i8).min(15) as u8;
        for (j, pair) in pairs.iter_mut().enumerate() {
            *pair = nibble(x[j]) | nibble(x[j + 16]) << 4;
        }
    }
}

/// A block as it is stored.
pub(super) trait Blocks {
    /// Its bytes.
    const BYTES: usize;
    /// Its integers.
    fn quants(block: &[u8]) -> [i8; BLOCK];
}

/// `d: f16, q: [i8; 32]`.
pub(super) struct Bytes;

impl Blocks for Bytes {
    const BYTES: usize = 34;

    #[inline(always)]
    fn quants(block: &[u8]) -> [i8; BLOCK] {
        let bytes: &[u8; BLOCK] = block[2..34].try_into().expect("32 bytes");
        bytes.map(|byte| byte as i8)
    }
}

/// `d: f16, nibbles: [u8; 16]`, less 8, the first half low.
pub(super) struct Nibbles;

impl Blocks for Nibbles {
    const BYTES: usize = 18;

    #[inline(always)]
    fn quants(block: &[u8]) -> [i8; BLOCK] {
        let pairs: &[u8; 16] = block[2..18].try_into().expect("16 bytes");
        let mut quants = [0; BLOCK];
        for j in 0..16 {
            quants[j] = (pairs[j] & 15) as i8 - 8;
            quants[j + 16] = (pairs[j] >> 4) as i8 - 8;
        }
        quants
    }
}

/// The values of a row in blocks, as they lie there.
pub(super) fn values<B: Blocks>(row: &[u8], out: &mut [f32]) {
    let (out, _) = out.as_chunks_mut::<BLOCK>();
    for (block, out) in row.chunks_exact(B::BYTES).zip(out) {
        let d = factor::<crate::isa::Scalar>(block);
        *out = B::quants(block).map(|q| f32::from(q) * d);
    }
}

/// The factor of a block.
#[inline(always)]
fn factor<I: Isa>(block: &[u8]) -> f32 {
    I::f16(u16::from_le_bytes([block[0], block[1]]))
}

/// 32 values of a query, rounded to Q8_0.
pub(super) struct QueryBlock {
    d: f32,
    quants: [i8; BLOCK],
}

/// Rounds queries to Q8_0, as they meet keys in blocks.
pub(super) fn round_queries(q: &[f32], rounded: &mut Vec<QueryBlock>) {
    rounded.clear();
    let mut block = [0; 34];
    for x in q.as_chunks::<BLOCK>().0 {
        quantize_row(ActivationType::Q8_0, x, &mut block);
        rounded.push(QueryBlock {
            d: factor::<crate::isa::Scalar>(&block),
            quants: Bytes::quants(&block),
        });
    }
}

multiversion! {
    /// `scores[p][r] = (k[p] · q[r]) · scale` for queries of `dim` values, in the order of ggml's
    /// products of Q8_0: eight sums over the blocks, sum `j` of values `4j ..` (four) of each; at the
    /// end `j` with `j + 4`, then `j + 2`, then `j + 1`.
    ///
    /// Asks for the keys of the next tile.
    pub(super) fn score_blocks<K: Blocks>(
        q: &[QueryBlock], dim: usize, k: CacheRows<'_>, scale: f32, scores: Scores<'_>,
    ) = score_body;
}

#[inline(always)]
fn score_body<I: Reduce, K: Blocks>(
    q: &[QueryBlock],
    dim: usize,
    k: CacheRows<'_>,
    scale: f32,
    scores: Scores<'_>,
) {
    let Scores { values, stride } = scores;
    let (positions, bytes) = (values.len() / stride, dim / BLOCK * K::BYTES);
    for (p, scores) in values.chunks_exact_mut(stride).enumerate() {
        let row = &k.bytes[p * k.stride..][..bytes];
        let next = row.as_ptr().wrapping_add(positions * k.stride);
        for line in 0..bytes.div_ceil(64) {
            prefetch(next.wrapping_add(64 * line), Cache::L1);
        }
        for (score, q) in scores.iter_mut().zip(q.chunks_exact(dim / BLOCK)) {
            let mut acc = [0.0f32; 8];
            for (q, k) in q.iter().zip(row.chunks_exact(K::BYTES)) {
                let d = factor::<I>(k) * q.d;
                let fours = I::dots_of_four(&K::quants(k), &q.quants);
                for j in 0..8 {
                    acc[j] = (fours[j] as f32).mul_add(d, acc[j]);
                }
            }
            let [a, b, c, d] = [0, 1, 2, 3].map(|j| acc[j] + acc[j + 4]);
            *score = ((a + c) + (b + d)) * scale;
        }
    }
}

multiversion! {
    /// The values of `rows`, `dim` each, as f32 one after another.
    pub(super) fn widen<V: Blocks>(rows: CacheRows<'_>, dim: usize, out: &mut [u8]) = widen_body;
}

#[inline(always)]
fn widen_body<I: Isa, V: Blocks>(rows: CacheRows<'_>, dim: usize, out: &mut [u8]) {
    let bytes = dim / BLOCK * V::BYTES;
    for (p, out) in out.chunks_exact_mut(dim * size_of::<f32>()).enumerate() {
        let row = &rows.bytes[p * rows.stride..][..bytes];
        let blocks = out.as_chunks_mut::<{ BLOCK * size_of::<f32>() }>().0;
        for (block, out) in row.chunks_exact(V::BYTES).zip(blocks) {
            let (d, quants) = (factor::<I>(block), V::quants(block));
            let values = out.as_chunks_mut::<4>().0;
            for (value, quant) in values.iter_mut().zip(quants) {
                *value = (f32::from(quant) * d).to_le_bytes();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turned_twice_a_head_is_itself() {
        let head: Vec<f32> = (0..192).map(|i| ((i * i) as f32).sin()).collect();
        for side in [Side::Keys, Side::Values] {
            let mut turned = head.clone();
            turn(&mut turned, turn_len(side, 192));
            assert_ne!(turned, head);
            turn(&mut turned, turn_len(side, 192));
            let near = turned.iter().zip(&head).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(near, "{side:?}");
        }
    }

    #[test]
    fn keys_are_turned_as_far_as_the_head_allows_and_values_by_sixty_fours() {
        let lens = |dim| [Side::Keys, Side::Values].map(|side| turn_len(side, dim));
        assert_eq!(lens(256), [256, 64]);
        assert_eq!(lens(192), [64, 64]);
        assert_eq!(lens(96), [0, 0]);
    }

    #[test]
    fn the_largest_value_of_a_block_of_nibbles_becomes_minus_eight() {
        let mut x = [0.0; BLOCK];
        (x[0], x[17], x[31]) = (1.0, -4.0, 4.0);
        let mut out = [0; 18];
        round(CacheType::Q4_0, &x, &mut out);
        assert_eq!(Nibbles::quants(&out)[17], -8);
        assert_eq!(Nibbles::quants(&out)[0], 2);
        assert_eq!(Nibbles::quants(&out)[31], 7, "no nibble for 8");
        assert_eq!(factor::<crate::isa::Scalar>(&out), 0.5);
    }
}
