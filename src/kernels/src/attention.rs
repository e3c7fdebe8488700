//! Attention of the query heads that share one head of a key/value cache.

use std::ops::Range;

use half::{bf16, f16};

use super::activation::{round_bf16, round_f16};
use super::isa::Isa;
use super::quant::{Bf16, Element, F16, F32};
use blocks::{
    Blocks, Bytes, Nibbles, QueryBlock, round, round_queries, score_blocks, turn, turn_len, widen,
};
use mix::mix;
use score::{Scores, score};
use softmax::Softmax;

mod blocks;
pub mod index;
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
    /// Turned, and rounded to 8 bits in blocks of 32.
    Q8_0,
    /// Turned, and rounded to 4 bits in blocks of 32.
    Q4_0,
}

impl CacheType {
    /// Every type.
    pub const ALL: [Self; 5] = [Self::F32, Self::F16, Self::BF16, Self::Q8_0, Self::Q4_0];

    /// Values of a block; heads are whole blocks.
    pub fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Q8_0 | Self::Q4_0 => blocks::BLOCK,
        }
    }

    /// Bytes of `n` values, which are whole blocks.
    pub fn row_bytes(self, n: usize) -> usize {
        match self {
            Self::F32 => 4 * n,
            Self::F16 | Self::BF16 => 2 * n,
            Self::Q8_0 => n / blocks::BLOCK * Bytes::BYTES,
            Self::Q4_0 => n / blocks::BLOCK * Nibbles::BYTES,
        }
    }

    /// Values of a head of `dim` that have to be stored together: pieces are multiples of so many.
    pub fn piece(self, side: Side, dim: usize) -> usize {
        self.block_len().max(self.turn_len(side, dim))
    }

    /// Values that are turned together, 0 if none are.
    fn turn_len(self, side: Side, dim: usize) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 0,
            Self::Q8_0 | Self::Q4_0 => turn_len(side, dim),
        }
    }
}

/// Which of a cache's two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What queries meet.
    Keys,
    /// What results are made of.
    Values,
}

/// Rounds K or V of heads of `dim` values, whole [pieces](CacheType::piece) of them, into the cache:
/// to nearest, ties to even, or into blocks as ggml does.
///
/// # Panics
/// If `out` is not exactly as long as [`CacheType::row_bytes`] says.
pub fn store_row(
    ty: CacheType,
    (side, dim): (Side, usize),
    x: &[f32],
    work: &mut AttentionWorkspace,
    out: &mut [u8],
) {
    if let CacheType::Q8_0 | CacheType::Q4_0 = ty {
        let turned = &mut work.turned;
        turned.clear();
        turned.extend_from_slice(x);
        turn(turned, ty.turn_len(side, dim));
        return store_as_is(ty, turned, out);
    }
    store_as_is(ty, x, out);
}

/// [`store_row`] of what is not turned before it is rounded into blocks, as the keys of an indexer.
///
/// # Panics
/// If `out` is not exactly as long as [`CacheType::row_bytes`] says.
pub fn store_as_is(ty: CacheType, x: &[f32], out: &mut [u8]) {
    assert_eq!(out.len(), ty.row_bytes(x.len()), "bytes of a {ty:?} row");
    match ty {
        CacheType::F32 => {
            for (out, x) in out.chunks_exact_mut(4).zip(x) {
                out.copy_from_slice(&x.to_le_bytes());
            }
        }
        CacheType::F16 => round_f16(x, out),
        CacheType::BF16 => round_bf16(x, out),
        CacheType::Q8_0 | CacheType::Q4_0 => round(ty, x, out),
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
    /// Which of them, if not all.
    pub chosen: Option<Chosen<'a>>,
}

/// The blocks of positions that tokens see: of those that are complete the chosen ones, and what is
/// behind them.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// Positions of a block.
    pub len: usize,
    /// Numbers of blocks, `[T, k]`, of each token ascending.
    pub blocks: &'a [i32],
}

impl Chosen<'_> {
    /// Hides what a token of so many does not see of the positions from `first` on: `scores` has
    /// `stride` for each position, of which those in `queries` are the token's.
    fn hide(
        &self,
        (token, tokens): (usize, usize),
        (seen, first): (usize, usize),
        (scores, queries): (Scores<'_>, Range<usize>),
    ) {
        let most = self.blocks.len() / tokens;
        let (blocks, complete) = (&self.blocks[token * most..][..most], seen / self.len);
        let rows = scores.values.chunks_exact_mut(scores.stride);
        for (position, scores) in (first..).zip(rows) {
            let block = position / self.len;
            if block < complete && blocks.binary_search(&(block as i32)).is_err() {
                scores[queries.clone()].fill(f32::NEG_INFINITY);
            }
        }
    }
}

/// What a worker keeps from one call of [`attend`] to the next: the running softmaxes, and one
/// tile of scores, and of a cache in blocks the rounded queries and a tile of values. It does not grow
/// with the context.
#[derive(Default)]
pub struct AttentionWorkspace {
    softmax: Softmax,
    queries: Vec<QueryBlock>,
    /// As f32.
    values: Vec<u8>,
    /// What is stored next.
    turned: Vec<f32>,
}

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
/// out = out · a,  out = out + v[p] · w    each rounded to f16 with an f16 or f32 V
/// sum = sum · a + w                       at last out / sum, as a product with 1 / sum
/// ```
///
/// With a bf16 K the query is rounded to bf16. With K in blocks it is turned like the keys and rounded
/// to Q8_0 (`blocks`); V in blocks is widened, and the result, which is not rounded to f16, turned
/// back. So the result depends on the query and the cache
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
    work: &mut AttentionWorkspace,
    out: &mut [f32],
) {
    let Queries {
        values: q,
        heads,
        seen,
        chosen,
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
        CacheType::Q8_0 | CacheType::Q4_0 => {
            turn(q, k_type.turn_len(Side::Keys, dim));
            round_queries(q, &mut work.queries);
        }
    }
    let AttentionWorkspace {
        softmax,
        queries,
        values,
        ..
    } = work;
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
            CacheType::Q8_0 => score_blocks::<Bytes>(queries, dim, k, scale, scores),
            CacheType::Q4_0 => score_blocks::<Nibbles>(queries, dim, k, scale, scores),
        }
        if let Some(chosen) = chosen {
            for (token, seen_by) in seen.iter().enumerate() {
                let queries = token * heads..(token + 1) * heads;
                let scores = (softmax.scores(count), queries);
                chosen.hide((token, seen.len()), (*seen_by, first), scores);
            }
        }
        softmax.take(first, count);
        let v = widened(v_type, v, (count, dim), values);
        for (t, out) in out.chunks_exact_mut(heads * dim).enumerate() {
            let count = count.min(seen[t].saturating_sub(first));
            let steps = softmax.steps(t * heads, count);
            match v_type {
                CacheType::F32 => mix::<F32AsF16>(true, v, steps, dim, out),
                CacheType::F16 => mix::<F16>(true, v, steps, dim, out),
                CacheType::BF16 => mix::<Bf16>(false, v, steps, dim, out),
                CacheType::Q8_0 | CacheType::Q4_0 => mix::<F32>(false, v, steps, dim, out),
            }
        }
    }
    for (row, out) in out.chunks_exact_mut(dim).enumerate() {
        let inverse = 1.0 / softmax.sum(row);
        out.iter_mut().for_each(|out| *out *= inverse);
    }
    turn(out, v_type.turn_len(Side::Values, dim));
}

/// The `count` rows of a tile of values as they are added: those in blocks as f32, in `values`.
fn widened<'a>(
    ty: CacheType,
    v: CacheRows<'a>,
    (count, dim): (usize, usize),
    values: &'a mut Vec<u8>,
) -> CacheRows<'a> {
    let stride = dim * size_of::<f32>();
    match ty {
        CacheType::F32 | CacheType::F16 | CacheType::BF16 => return v,
        CacheType::Q8_0 | CacheType::Q4_0 => values.resize(count * stride, 0),
    }
    match ty {
        CacheType::Q8_0 => widen::<Bytes>(v, dim, values),
        _ => widen::<Nibbles>(v, dim, values),
    }
    CacheRows {
        bytes: values,
        stride,
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

    fn stored(ty: CacheType, side: Side, row: &[f32]) -> Vec<u8> {
        let mut out = vec![0; ty.row_bytes(row.len())];
        let work = &mut AttentionWorkspace::default();
        store_row(ty, (side, row.len()), row, work, &mut out);
        out
    }

    fn cache(ty: CacheType, side: Side, rows: &[Vec<f32>]) -> Vec<u8> {
        let rows: Vec<_> = rows.iter().map(|row| stored(ty, side, row)).collect();
        rows.concat()
    }

    #[test]
    fn equal_keys_average_the_values_in_every_cache_type() {
        let n = 96;
        let keys = vec![vec![0.5; n]; 4];
        let values: Vec<Vec<f32>> = (0..4).map(|p| vec![p as f32; n]).collect();
        for ty in CacheType::ALL {
            let (k, v) = (
                cache(ty, Side::Keys, &keys),
                cache(ty, Side::Values, &values),
            );
            let rows = |bytes| CacheRows {
                bytes,
                stride: ty.row_bytes(n),
            };
            let queries = Queries {
                values: &mut vec![1.0; n],
                heads: 1,
                seen: &[4],
                chosen: None,
            };
            let mut out = vec![0.0; n];
            let (caches, work) = ((rows(&k), rows(&v)), &mut AttentionWorkspace::default());
            attend((ty, ty), queries, caches, 0.1, work, &mut out);
            // A block's factor is not 1/127 once it is half precision.
            let near = out.iter().all(|out| (out - 1.5).abs() < 1e-3);
            assert!(
                near && (ty.block_len() > 1 || out == vec![1.5; n]),
                "{ty:?}"
            );
        }
    }

    #[test]
    fn a_token_sees_the_blocks_it_has_chosen_and_what_is_behind_all_that_are_complete() {
        let (n, positions) = (64, 70);
        let values: Vec<Vec<f32>> = (0..positions).map(|p| vec![p as f32; n]).collect();
        let keys = vec![vec![0.0; n]; positions];
        let ty = CacheType::F32;
        let (k, v) = (
            cache(ty, Side::Keys, &keys),
            cache(ty, Side::Values, &values),
        );
        let rows = |bytes| CacheRows {
            bytes,
            stride: ty.row_bytes(n),
        };
        let queries = Queries {
            values: &mut vec![1.0; 2 * n],
            heads: 1,
            seen: &[70, 68],
            chosen: Some(Chosen {
                len: 4,
                blocks: &[8, i32::MAX, 1, 8],
            }),
        };
        let mut out = vec![0.0; 2 * n];
        let (caches, work) = ((rows(&k), rows(&v)), &mut AttentionWorkspace::default());
        attend((ty, ty), queries, caches, 0.1, work, &mut out);
        // Positions 32 to 35 and 68 and 69; then 4 to 7 and 32 to 35.
        let means = [(33.5 * 4.0 + 68.5 * 2.0) / 6.0, (5.5 + 33.5) / 2.0];
        for (out, mean) in out.chunks_exact(n).zip(means) {
            assert!(
                out.iter().all(|out| (out - mean as f32).abs() < 0.05),
                "{out:?}"
            );
        }
    }

    #[test]
    fn stored_halves_are_rounded_to_even() {
        let row = [0x3f80_8000, 0x3f81_8000].map(f32::from_bits);
        let out = stored(CacheType::BF16, Side::Keys, &row);
        assert_eq!(out, [0x80, 0x3f, 0x82, 0x3f]);
        let row = [1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0];
        let out = stored(CacheType::F16, Side::Keys, &row);
        assert_eq!(out, [0x00, 0x3c, 0x02, 0x3c]);
    }
}
