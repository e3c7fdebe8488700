//! Attention of the query heads that share one head of a key/value cache.

use half::{bf16, f16};

use super::activation::{round_bf16, round_f16};
use super::isa::Isa;
use super::quant::{Bf16, Element, F16, F32};
use mix::mix;
use score::score;
use softmax::Softmax;

mod mix;
mod score;
mod softmax;

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

impl<'a> CacheRows<'a> {
    /// The rows from position `first` on.
    fn from(self, first: usize) -> CacheRows<'a> {
        let bytes = &self.bytes[first * self.stride..];
        CacheRows { bytes, ..self }
    }
}

/// The queries that share one head of a cache: `[T, H, D]`, H query heads of each of T tokens.
#[derive(Debug)]
pub struct Queries<'a> {
    /// The queries, which are rounded as the keys are.
    pub values: &'a mut [f32],
    /// Heads of a token (H).
    pub heads: usize,
    /// How many positions each token sees, from the first on.
    pub seen: &'a [usize],
}

/// What a worker keeps from one call of [`attend`] to the next: the running softmaxes, and one
/// tile of scores. It does not grow with the context.
#[derive(Default)]
pub struct AttentionWorkspace(Softmax);

/// Positions of a tile: with a head of 256 its keys are 16 KB and stay in L1 while all queries
/// meet them, its values likewise.
const TILE: usize = 32;

/// Attends from T · H queries to the positions that each sees; writes `out: [T, H, D]`.
///
/// This is ggml's flash attention (Dao et al. 2022) with its roundings, because they decide
/// tokens: they reach 1e-3 of the result, enough to turn the next int8. For each query positions
/// come in order, one at a time:
///
/// ```text
/// s = (k[p] · q) · scale                  q, and K and V of an f32 cache, rounded to f16
/// s > m:  a = e^(m − s), m = s, w = 1     else  a = 1, w = e^(s − m)
/// out = out · a,  out = out + v[p] · w    each rounded to f16 (not with a bf16 V)
/// sum = sum · a + w                       at last out / sum, as a product with 1 / sum
/// ```
///
/// With a bf16 K the query is rounded to bf16. So the result depends on the query and the cache
/// up to its position, on nothing else. All queries go over the cache together, tile by tile, so
/// it is read once.
///
/// # Panics
/// If the cache has fewer rows, a token sees no position, or the shapes do not agree.
pub fn attend(
    (k_type, v_type): (CacheType, CacheType),
    q: Queries<'_>,
    (k, v): (CacheRows<'_>, CacheRows<'_>),
    scale: f32,
    AttentionWorkspace(softmax): &mut AttentionWorkspace,
    out: &mut [f32],
) {
    let Queries {
        values: q,
        heads,
        seen,
    } = q;
    assert!(
        seen.iter().all(|seen| *seen > 0),
        "a token attends at least to itself"
    );
    assert_eq!(q.len(), out.len(), "a result for every query");
    let queries = seen.len() * heads;
    let last = seen.iter().copied().max().unwrap_or(0);
    let dim = q.len() / queries.max(1);
    match k_type {
        CacheType::F32 | CacheType::F16 => {
            q.iter_mut().for_each(|q| *q = f16::from_f32(*q).to_f32());
        }
        CacheType::BF16 => q.iter_mut().for_each(|q| *q = bf16::from_f32(*q).to_f32()),
    }
    softmax.start(heads, seen);
    out.fill(0.0);
    for first in (0..last).step_by(TILE) {
        let (k, v) = (k.from(first), v.from(first));
        let count = TILE.min(last - first);
        let scores = softmax.scores(count);
        match k_type {
            CacheType::F32 => score::<F32AsF16>(q, dim, k, scale, scores),
            CacheType::F16 => score::<F16>(q, dim, k, scale, scores),
            CacheType::BF16 => score::<Bf16>(q, dim, k, scale, scores),
        }
        softmax.take(first, count);
        for (t, out) in out.chunks_exact_mut(heads * dim).enumerate() {
            let count = count.min(seen[t].saturating_sub(first));
            let steps = softmax.steps(t * heads, count);
            match v_type {
                CacheType::F32 => mix::<F32AsF16>(true, v, steps, dim, out),
                CacheType::F16 => mix::<F16>(true, v, steps, dim, out),
                CacheType::BF16 => mix::<Bf16>(false, v, steps, dim, out),
            }
        }
    }
    for (row, out) in out.chunks_exact_mut(dim).enumerate() {
        let inverse = 1.0 / softmax.sum(row);
        out.iter_mut().for_each(|out| *out *= inverse);
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
            let queries = Queries {
                values: &mut vec![1.0; n],
                heads: 1,
                seen: &[4],
            };
            let mut out = vec![0.0; n];
            let (caches, work) = ((rows(&k), rows(&v)), &mut AttentionWorkspace::default());
            attend((ty, ty), queries, caches, 0.1, work, &mut out);
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
