//! What an indexer computes: keys pooled over blocks of positions, and the blocks that a token chooses
//! by them.

use super::score::{Scores, score};
use super::{CacheRows, CacheType};
use crate::quant::{Bf16, Element, F16, F32};
use crate::topk::heap_select;

/// The mean of `count` rows of `out.len()` elements, added from the first on in f32, then times
/// `1 / count`.
///
/// # Panics
/// For a cache of blocks.
pub fn mean(ty: CacheType, rows: CacheRows<'_>, count: usize, out: &mut [f32]) {
    out.fill(0.0);
    for p in 0..count {
        let row = &rows.bytes[p * rows.stride..][..ty.row_bytes(out.len())];
        let bytes = ty.row_bytes(1);
        for (out, x) in out.iter_mut().zip(row.chunks_exact(bytes)) {
            let x = element(ty, x);
            *out = if p == 0 { x } else { *out + x };
        }
    }
    let by = 1.0 / count as f32;
    out.iter_mut().for_each(|out| *out *= by);
}

fn element(ty: CacheType, bytes: &[u8]) -> f32 {
    type Plain = crate::isa::Scalar;
    match ty {
        CacheType::F32 => F32::one::<Plain>(bytes),
        CacheType::F16 => F16::one::<Plain>(bytes),
        CacheType::BF16 => Bf16::one::<Plain>(bytes),
        CacheType::Q8_0 | CacheType::Q4_0 => unreachable!("an indexer's cache is not of blocks"),
    }
}

/// What is kept from one choice to the next.
#[derive(Default)]
pub struct ChoiceWorkspace {
    products: Vec<f32>,
    scores: Vec<f32>,
}

/// The `most` of `count` blocks with the largest `Σ max(q·k, 0) / √D` over the heads, in their order;
/// `q: [H, D]`, D a multiple of 64, and `k` the blocks' pooled keys. Each sum and its product are
/// rounded once.
///
/// # Panics
/// For a cache of blocks.
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
        CacheType::Q8_0 | CacheType::Q4_0 => unreachable!("an indexer's cache is not of blocks"),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|x| x.to_le_bytes()).collect()
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
