//! Products of queries with the keys of a tile.
//!
//! A product has ggml's order for single vectors, because its last bit can decide a rounding to
//! f16: 64 elements a turn, of which group `g` of four takes elements `16g ..`; the groups are
//! added, then the lanes. What is left of a head of no whole turns is added one by one in f64.

use super::CacheRows;
use crate::isa::reduce::Reduce;
use crate::isa::{Cache, prefetch};
use crate::quant::Element;
use crate::simd::multiversion;

/// Elements of a turn.
const TURN: usize = 64;

/// Scores of a tile as they are made: `[positions, stride]`, a column for each query.
pub(super) struct Scores<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) stride: usize,
}

multiversion! {
    /// `scores[p][r] = (k[p] · q[r]) · scale` for queries of `dim` elements.
    ///
    /// Asks for the keys of the next tile.
    pub(super) fn score<E: Element>(
        q: &[f32], dim: usize, k: CacheRows<'_>, scale: f32, scores: Scores<'_>,
    ) = body;
}

#[inline(always)]
fn body<I: Reduce, E: Element>(
    q: &[f32],
    dim: usize,
    k: CacheRows<'_>,
    scale: f32,
    scores: Scores<'_>,
) {
    let Scores { values, stride } = scores;
    let (queries, positions) = (q.len() / dim, values.len() / stride);
    for r in (0..queries).step_by(2) {
        // The last of an odd number makes a pair with itself.
        let rs = [r, (r + 1).min(queries - 1)];
        let pair = rs.map(|r| &q[r * dim..][..dim]);
        for p in (0..positions).step_by(2) {
            let ps = [p, (p + 1).min(positions - 1)];
            let rows = ps.map(|p| &k.bytes[p * k.stride..][..dim * E::BYTES]);
            for row in rows {
                // A share of the row's lines for each pair of queries.
                let next = row.as_ptr().wrapping_add(positions * k.stride);
                for line in (r / 2..row.len().div_ceil(64)).step_by(queries.div_ceil(2)) {
                    prefetch(next.wrapping_add(64 * line), Cache::L1);
                }
            }
            let dots = dots_of_pairs::<I, E>(pair, rows);
            for (i, dot) in dots.into_iter().enumerate() {
                values[ps[i % 2] * stride + rs[i / 2]] = dot * scale;
            }
        }
    }
}

/// The products of two queries with two keys: those of the first query first.
#[inline(always)]
fn dots_of_pairs<I: Reduce, E: Element>(q: [&[f32]; 2], k: [&[u8]; 2]) -> [f32; 4] {
    let whole = q[0].len() / TURN * TURN;
    let turns = (q.map(|q| &q[..whole]), k.map(|k| &k[..whole * E::BYTES]));
    let mut dots = whole_turns::<I, E>(turns.0, turns.1);
    if whole < q[0].len() {
        for (i, dot) in dots.iter_mut().enumerate() {
            let (q, k) = (&q[i / 2][whole..], &k[i % 2][whole * E::BYTES..]);
            *dot = with_rest::<I, E>(*dot, q, k);
        }
    }
    dots
}

/// [`dots_of_pairs`] of elements that are whole turns.
#[inline(always)]
fn whole_turns<I: Reduce, E: Element>(q: [&[f32]; 2], k: [&[u8]; 2]) -> [f32; 4] {
    if I::MANY_REGISTERS {
        let [[a, b], [c, d]] = lanes::<I, E, 2, 2>(q, k);
        return I::lane_sums([a, b, c, d]);
    }
    let one = |q, k| lanes::<I, E, 1, 1>([q], [k])[0][0];
    I::lane_sums([
        one(q[0], k[0]),
        one(q[0], k[1]),
        one(q[1], k[0]),
        one(q[1], k[1]),
    ])
}

/// A product with what is left behind its whole turns.
#[inline(always)]
fn with_rest<I: Reduce, E: Element>(dot: f32, q: &[f32], k: &[u8]) -> f32 {
    let products = q.iter().zip(k.chunks_exact(E::BYTES));
    let products = products.map(|(q, k)| f64::from(E::one::<I>(k) * q));
    products.fold(f64::from(dot), |sum, product| sum + product) as f32
}

/// The lanes whose sums are the products of `R` queries with `P` keys.
#[inline(always)]
fn lanes<I: Reduce, E: Element, const R: usize, const P: usize>(
    q: [&[f32]; R],
    k: [&[u8]; P],
) -> [[I::F; P]; R] {
    let mut acc = [[[I::splat(0.0); 4]; P]; R];
    for first in (0..q[0].len()).step_by(TURN) {
        for g in 0..4 {
            group::<I, E, R, P>(q, k, first + 16 * g, g, &mut acc);
        }
    }
    let mut lanes = [[I::splat(0.0); P]; R];
    for r in 0..R {
        for p in 0..P {
            lanes[r][p] = I::merged(acc[r][p]);
        }
    }
    lanes
}

/// Sixteen elements from `i` on into group `g`.
#[inline(always)]
fn group<I: Reduce, E: Element, const R: usize, const P: usize>(
    q: [&[f32]; R],
    k: [&[u8]; P],
    i: usize,
    g: usize,
    acc: &mut [[[I::F; 4]; P]; R],
) {
    let mut keys = [I::splat(0.0); P];
    for p in 0..P {
        keys[p] = E::sixteen::<I>(&k[p][i * E::BYTES..(i + 16) * E::BYTES]);
    }
    for r in 0..R {
        let q = I::load(q[r][i..i + 16].try_into().expect("16 values"));
        for p in 0..P {
            acc[r][p][g] = I::fma(keys[p], q, acc[r][p][g]);
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::quant::F16;

    #[test]
    fn what_is_left_of_a_head_of_no_whole_turns_is_added_in_f64() {
        let (mut q, mut k) = ([0.0; 48], [0.0; 48]);
        (q[0], k[0]) = (1.0, 1.0);
        // Three products that are lost one by one in f32.
        for i in [1, 16, 32] {
            (q[i], k[i]) = (2f32.powi(-12), 2f32.powi(-13));
        }
        let bytes = k.map(|k| f16::from_f32(k).to_le_bytes());
        let bytes = bytes.as_flattened();
        let stride = bytes.len();
        let mut scores = [0.0];
        let values = &mut scores[..];
        score::<F16>(
            &q,
            48,
            CacheRows { bytes, stride },
            1.0,
            Scores { values, stride: 1 },
        );
        assert_eq!(scores, [1.0 + f32::EPSILON]);
    }
}
