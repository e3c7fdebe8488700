//! Attention of one query head over a key/value cache.

use super::activation::{round_bf16, round_f16};
use super::dot::dot;
use super::elementwise::exponentials;
use super::isa::Isa;
use super::quant::{Bf16, Element, F16, F32};
use super::simd::multiversion;

/// A format of cache rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheType {
    /// Stored whole.
    F32,
    /// Rounded to half precision.
    F16,
    /// Rounded to the upper half of single precision.
    BF16,
}

impl CacheType {
    /// Bytes of one value.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }
}

/// Rounds a K or V row into the cache, to nearest, ties to even.
///
/// # Panics
/// If `out` is not exactly `x.len() · ty.bytes()` long.
pub fn store_row(ty: CacheType, x: &[f32], out: &mut [u8]) {
    assert_eq!(out.len(), x.len() * ty.bytes(), "bytes of a {ty:?} row");
    match ty {
        CacheType::F32 => {
            for (out, x) in out.chunks_exact_mut(4).zip(x) {
                out.copy_from_slice(&x.to_le_bytes());
            }
        }
        CacheType::F16 => round_f16(x, out),
        CacheType::BF16 => round_bf16(x, out),
    }
}

/// Rows of a cache that belong to one kv-head: position `p`'s starts at byte `p · stride`.
#[derive(Clone, Copy, Debug)]
pub struct CacheRows<'a> {
    /// From the first position's row on.
    pub bytes: &'a [u8],
    /// Bytes from one position to the next.
    pub stride: usize,
}

/// Attends from one query to positions `0..scores.len()`; writes `out`.
///
/// Scores are 16-lane dot products (see `dot`) times `scale`; softmax in two passes, its sum in
/// eight f64 lanes by position; `out[j] = Σ e^(score − max) · V[p][j]` over positions in order
/// with fused multiply-adds, divided by the f32 of that sum. So the result depends on the query
/// and the cache up to its position, on nothing else. `scores` is scratch.
///
/// # Panics
/// If the cache has fewer rows or there is no position.
pub fn attend(
    (k_type, v_type): (CacheType, CacheType),
    q: &[f32],
    k: CacheRows<'_>,
    v: CacheRows<'_>,
    scale: f32,
    scores: &mut [f32],
    out: &mut [f32],
) {
    assert!(!scores.is_empty(), "a token attends at least to itself");
    match k_type {
        CacheType::F32 => score::<F32>(q, k, scale, scores),
        CacheType::F16 => score::<F16>(q, k, scale, scores),
        CacheType::BF16 => score::<Bf16>(q, k, scale, scores),
    }
    match v_type {
        CacheType::F32 => mix::<F32>(v, scores, out),
        CacheType::F16 => mix::<F16>(v, scores, out),
        CacheType::BF16 => mix::<Bf16>(v, scores, out),
    }
}

multiversion! {
    fn score<E: Element>(q: &[f32], k: CacheRows<'_>, scale: f32, scores: &mut [f32]) = score_body;
}

#[inline(always)]
fn score_body<I: Isa, E: Element>(q: &[f32], k: CacheRows<'_>, scale: f32, scores: &mut [f32]) {
    for (p, score) in scores.iter_mut().enumerate() {
        *score = dot::<I, E>(&k.bytes[p * k.stride..], q) * scale;
    }
}

multiversion! {
    fn mix<E: Element>(v: CacheRows<'_>, scores: &mut [f32], out: &mut [f32]) = mix_body;
}

#[inline(always)]
fn mix_body<I: Isa, E: Element>(v: CacheRows<'_>, scores: &mut [f32], out: &mut [f32]) {
    let sum = exponentials(scores) as f32;
    let mut c = 0;
    while c + 128 <= out.len() {
        weighted::<I, E, 8>(v, c, scores, out);
        c += 128;
    }
    while c + 16 <= out.len() {
        weighted::<I, E, 1>(v, c, scores, out);
        c += 16;
    }
    for (c, out) in out.iter_mut().enumerate().skip(c) {
        let one = |p: usize| E::one::<I>(&v.bytes[p * v.stride + c * E::BYTES..]);
        *out = scores
            .iter()
            .enumerate()
            .fold(0.0, |sum, (p, weight)| one(p).mul_add(*weight, sum));
    }
    for out in out {
        *out /= sum;
    }
}

/// `Σ weight · V` of `16 · N` columns from `c` on, in registers.
#[inline(always)]
fn weighted<I: Isa, E: Element, const N: usize>(
    v: CacheRows<'_>,
    c: usize,
    weights: &[f32],
    out: &mut [f32],
) {
    let mut acc = [I::splat(0.0); N];
    for (p, weight) in weights.iter().enumerate() {
        let row = &v.bytes[p * v.stride + c * E::BYTES..][..16 * N * E::BYTES];
        let weight = I::splat(*weight);
        for i in 0..N {
            let values = E::sixteen::<I>(&row[16 * i * E::BYTES..16 * (i + 1) * E::BYTES]);
            acc[i] = I::fma(values, weight, acc[i]);
        }
    }
    for (to, acc) in out[c..].as_chunks_mut::<16>().0.iter_mut().zip(acc) {
        I::store(acc, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(ty: CacheType, rows: &[Vec<f32>]) -> Vec<u8> {
        let mut bytes = vec![0; rows.len() * rows[0].len() * ty.bytes()];
        for (row, out) in rows
            .iter()
            .zip(bytes.chunks_exact_mut(rows[0].len() * ty.bytes()))
        {
            store_row(ty, row, out);
        }
        bytes
    }

    #[test]
    fn equal_keys_average_the_values_in_every_cache_type() {
        let n = 35;
        let keys = vec![vec![0.5; n]; 4];
        let values: Vec<Vec<f32>> = (0..4).map(|p| vec![p as f32; n]).collect();
        for ty in [CacheType::F32, CacheType::F16, CacheType::BF16] {
            let (k, v) = (cache(ty, &keys), cache(ty, &values));
            let rows = |bytes| CacheRows {
                bytes,
                stride: n * ty.bytes(),
            };
            let (mut scores, mut out) = ([0.0; 4], vec![0.0; n]);
            attend(
                (ty, ty),
                &vec![1.0; n],
                rows(&k),
                rows(&v),
                0.1,
                &mut scores,
                &mut out,
            );
            assert_eq!(out, vec![1.5; n], "{ty:?}");
        }
    }

    #[test]
    fn stored_halves_are_rounded_to_even() {
        let mut out = [0; 4];
        store_row(
            CacheType::BF16,
            &[f32::from_bits(0x3f80_8000), f32::from_bits(0x3f81_8000)],
            &mut out,
        );
        assert_eq!(out, [0x80, 0x3f, 0x82, 0x3f]);
        store_row(
            CacheType::F16,
            &[1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0],
            &mut out,
        );
        assert_eq!(out, [0x00, 0x3c, 0x02, 0x3c]);
    }
}
