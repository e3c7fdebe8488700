//! What an indexer computes: keys pooled over blocks of positions, and the blocks that a token chooses
//! by them.

use super::blocks::{self, Bytes, Nibbles};
use super::score::{Scores, score};
use super::{CacheRows, CacheType};
use crate::isa::Scalar;
use crate::quant::{Bf16, Element, F16, F32};
use crate::topk::heap_select;

/// The mean of `count` rows of `out.len()` elements, added from the first on in f32, then times
/// `1 / count`.
///
/// # Panics
/// If the rows are shorter.
pub fn mean(ty: CacheType, rows: CacheRows<'_>, count: usize, out: &mut [f32]) {
    let mut row = vec![0.0; out.len()];
    out.fill(0.0);
    for p in 0..count {
        let bytes = &rows.bytes[p * rows.stride..][..ty.row_bytes(out.len())];
        values(ty, bytes, &mut row);
        for (out, x) in out.iter_mut().zip(&row) {
            *out = if p == 0 { *x } else { *out + x };
        }
    }
    let by = 1.0 / count as f32;
    out.iter_mut().for_each(|out| *out *= by);
}

/// The elements of a row.
fn values(ty: CacheType, bytes: &[u8], out: &mut [f32]) {
    match ty {
        CacheType::F32 => plain::<F32>(bytes, out),
        CacheType::F16 => plain::<F16>(bytes, out),
        CacheType::BF16 => plain::<Bf16>(bytes, out),
        CacheType::Q8_0 => blocks::values::<Bytes>(bytes, out),
        CacheType::Q4_0 => blocks::values::<Nibbles>(bytes, out),
    }
}

fn plain<E: Element>(bytes: &[u8], out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(bytes.chunks_exact(E::BYTES)) {
        *out = E::one::<Scalar>(x);
    }
}

/// What is kept from one choice to the next.
#[derive(Default)]
pub struct ChoiceWorkspace {
    products: Vec<f32>,
    scores: Vec<f32>,
    /// Keys that lie in blocks, as f32.
    keys: Vec<u8>,
}

/// The `most` of `count` blocks with the largest `Σ max(q·k, 0) / √D` over the heads, in their order;
/// `q: [H, D]`, D a multiple of 64, and `k` the blocks' pooled keys. Each sum and its product are
/// rounded once; keys in blocks meet the queries as f32.
///
/// # Panics
/// If the rows are shorter.
pub fn choose(
    ty: CacheType,
    (q, dim): (&[f32], usize),
    (k, count): (CacheRows<'_>, usize),
    most: usize,
    work: &mut ChoiceWorkspace,
    chosen: &mut Vec<u32>,
) {
    let heads = q.len() / dim;
    work.products.resize(count * heads, 0.0);
    let scores = Scores {
        values: &mut work.products,
        stride: heads,
    };
    match ty {
        CacheType::F32 => score::<F32>(q, dim, k, 1.0, scores),
        CacheType::F16 => score::<F16>(q, dim, k, 1.0, scores),
        CacheType::BF16 => score::<Bf16>(q, dim, k, 1.0, scores),
        CacheType::Q8_0 | CacheType::Q4_0 => {
            as_floats(ty, dim, (k, count), &mut work.keys);
            let (bytes, stride) = (&work.keys[..], 4 * dim);
            score::<F32>(q, dim, CacheRows { bytes, stride }, 1.0, scores);
        }
    }
    let weight = 1.0 / (dim as f32).sqrt();
    let sum = |products: &[f32]| {
        let positive = products.iter().map(|x| x.max(0.0));
        positive.fold(0.0f32, |sum, x| x.mul_add(weight, sum))
    };
    work.scores.clear();
    work.scores
        .extend(work.products.chunks_exact(heads).map(sum));
    heap_select(&work.scores, most, chosen);
    chosen.sort_unstable();
}

/// Rows of `dim` elements one after another.
fn as_floats(ty: CacheType, dim: usize, (k, count): (CacheRows<'_>, usize), out: &mut Vec<u8>) {
    let mut row = vec![0.0; dim];
    out.clear();
    for p in 0..count {
        values(ty, &k.bytes[p * k.stride..][..ty.row_bytes(dim)], &mut row);
        out.extend(row.iter().flat_map(|x| x.to_le_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    #[test]
    fn keys_in_blocks_are_what_the_blocks_hold() {
        // Of 127 and −8, which need no rounding in bytes and in nibbles.
        for (ty, size) in [(CacheType::Q8_0, 127.0), (CacheType::Q4_0, -8.0)] {
            let mut x = [0.0; 64];
            (x[3], x[40]) = (size, size / 2.0);
            let mut row = vec![0; ty.row_bytes(64)];
            crate::attention::store_as_is(ty, &x, &mut row);
            let bytes = [&row[..], &row[..]].concat();
            let rows = CacheRows {
                bytes: &bytes,
                stride: row.len(),
            };
            let mut out = [9.0; 64];
            mean(ty, rows, 2, &mut out);
            assert_eq!(out, x, "{ty:?}");
            let (mut work, mut chosen) = (ChoiceWorkspace::default(), Vec::new());
            choose(ty, (&x, 64), (rows, 2), 1, &mut work, &mut chosen);
            let product = size * size * 1.25 / 8.0;
            assert_eq!(work.scores, [product; 2]);
        }
    }

    #[test]
    fn a_pooled_key_is_the_mean_of_its_members() {
        let bytes = rows(&[1.0, 2.0, 3.0, 6.0]);
        let mut out = [9.0; 2];
        let rows = CacheRows {
            bytes: &bytes,
            stride: 8,
        };
        mean(CacheType::F32, rows, 2, &mut out);
        assert_eq!(out, [2.0, 4.0]);
    }

    #[test]
    fn the_blocks_chosen_are_those_that_agree_with_any_head() {
        let one = |at: usize, x: f32| {
            let mut row = vec![0.0; 64];
            row[at] = x;
            row
        };
        let keys = [one(0, -5.0), one(1, 1.0), one(0, 2.0), one(2, 7.0)].concat();
        let bytes = rows(&keys);
        let k = CacheRows {
            bytes: &bytes,
            stride: 256,
        };
        let q = [one(0, 1.0), one(1, 1.0)].concat();
        let (mut work, mut chosen) = (ChoiceWorkspace::default(), Vec::new());
        choose(CacheType::F32, (&q, 64), (k, 4), 2, &mut work, &mut chosen);
        assert_eq!(chosen, [1, 2]);
    }
}
