//! Attention of one query head over a key/value cache.

use half::{bf16, f16};

use super::activation::{round_bf16, round_f16};
use super::dot::dot_64;
use super::isa::Isa;
use super::math;
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
/// This is ggml's flash attention (Dao et al. 2022) with its roundings, because they decide
/// tokens: they reach 1e-3 of the result, enough to turn the next int8. Positions come in order,
/// one at a time:
///
/// ```text
/// s = (k[p] · q) · scale                  q, and K and V of an f32 cache, rounded to f16
/// s > m:  a = e^(m − s), m = s, w = 1     else  a = 1, w = e^(s − m)
/// out = out · a,  out = out + v[p] · w    each rounded to f16 (not with a bf16 V)
/// sum = sum · a + w                       at last out / sum, as a product with 1 / sum
/// ```
///
/// With a bf16 K the query is rounded to bf16. So the result depends on the query and the cache
/// up to its position, on nothing else. `scores` is scratch.
///
/// # Panics
/// If the cache has fewer rows or there is no position.
pub fn attend(
    (k_type, v_type): (CacheType, CacheType),
    q: &mut [f32],
    k: CacheRows<'_>,
    v: CacheRows<'_>,
    scale: f32,
    scores: &mut [f32],
    out: &mut [f32],
) {
    assert!(!scores.is_empty(), "a token attends at least to itself");
    match k_type {
        CacheType::F32 | CacheType::F16 => {
            q.iter_mut().for_each(|q| *q = f16::from_f32(*q).to_f32());
        }
        CacheType::BF16 => q.iter_mut().for_each(|q| *q = bf16::from_f32(*q).to_f32()),
    }
    match k_type {
        CacheType::F32 => score::<F32AsF16>(q, k, scale, scores),
        CacheType::F16 => score::<F16>(q, k, scale, scores),
        CacheType::BF16 => score::<Bf16>(q, k, scale, scores),
    }
    match v_type {
        CacheType::F32 => mix::<F32AsF16>(true, v, scores, out),
        CacheType::F16 => mix::<F16>(true, v, scores, out),
        CacheType::BF16 => mix::<Bf16>(false, v, scores, out),
    }
}

/// Single precision, rounded to half when it is read: the reference casts an f32 cache before its
/// attention.
struct F32AsF16;

impl Element for F32AsF16 {
    const BYTES: usize = 4;

    #[inline(always)]
    fn one<I: Isa>(bytes: &[u8]) -> f32 {
        f16::from_f32(F32::one::<I>(bytes)).to_f32()
    }

    #[inline(always)]
    fn sixteen<I: Isa>(bytes: &[u8]) -> I::F {
        I::round_f16(F32::sixteen::<I>(bytes))
    }
}

multiversion! {
    fn score<E: Element>(q: &[f32], k: CacheRows<'_>, scale: f32, scores: &mut [f32]) = score_body;
}

#[inline(always)]
fn score_body<I: Isa, E: Element>(q: &[f32], k: CacheRows<'_>, scale: f32, scores: &mut [f32]) {
    for (p, score) in scores.iter_mut().enumerate() {
        *score = dot_64::<I, E>(&k.bytes[p * k.stride..], q) * scale;
    }
}

/// What a position does to the running result: `out · keep + v · weight`.
#[derive(Clone, Copy)]
struct Step {
    keep: f32,
    weight: f32,
}

/// The largest score so far, and the sum of weights relative to it.
struct Running {
    max: f32,
    sum: f32,
}

impl Running {
    #[inline(always)]
    fn step(&mut self, score: f32) -> Step {
        let step = if score > self.max {
            let keep = math::exp(self.max - score);
            self.max = score;
            Step { keep, weight: 1.0 }
        } else {
            let weight = math::exp(score - self.max);
            Step { keep: 1.0, weight }
        };
        self.sum = self.sum.mul_add(step.keep, step.weight);
        step
    }
}

multiversion! {
    fn mix<E: Element>(half: bool, v: CacheRows<'_>, scores: &mut [f32], out: &mut [f32]) = mix_body;
}

#[inline(always)]
fn mix_body<I: Isa, E: Element>(half: bool, v: CacheRows<'_>, scores: &mut [f32], out: &mut [f32]) {
    let mut running = Running {
        max: f32::NEG_INFINITY,
        sum: 0.0,
    };
    out.fill(0.0);
    for (p, score) in scores.iter().enumerate() {
        let step = running.step(*score);
        let row = &v.bytes[p * v.stride..][..out.len() * E::BYTES];
        if half {
            take::<I, E, true>(row, step, out);
        } else {
            take::<I, E, false>(row, step, out);
        }
    }
    let inverse = 1.0 / running.sum;
    out.iter_mut().for_each(|out| *out *= inverse);
}

/// One position's values into the result; `HALF` rounds to f16 whatever is stored.
#[inline(always)]
fn take<I: Isa, E: Element, const HALF: bool>(row: &[u8], step: Step, out: &mut [f32]) {
    let round = |x: I::F| if HALF { I::round_f16(x) } else { x };
    let (keep, weight) = (I::splat(step.keep), I::splat(step.weight));
    let (blocks, rest) = out.as_chunks_mut::<16>();
    let (values, tail) = row.split_at(blocks.len() * 16 * E::BYTES);
    for (out, values) in blocks.iter_mut().zip(values.chunks_exact(16 * E::BYTES)) {
        let mut sum = I::load(out);
        if step.keep != 1.0 {
            sum = round(I::mul(sum, keep));
        }
        I::store(round(I::fma(E::sixteen::<I>(values), weight, sum)), out);
    }
    let round = |x: f32| if HALF { f16::from_f32(x).to_f32() } else { x };
    for (out, value) in rest.iter_mut().zip(tail.chunks_exact(E::BYTES)) {
        let kept = round(*out * step.keep);
        *out = round(E::one::<I>(value).mul_add(step.weight, kept));
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
                &mut vec![1.0; n],
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
