//! The indexer of an attention: which blocks of positions a token sees.

use sharpi_ir::{DType, slot};

use crate::args::Args;
use crate::elementwise::rmsnorm;
use crate::heads::{Angles, rope};
use crate::layout::reshape;
use crate::states::States;
use crate::tensor::Tensor;

/// What stands for a block where none is chosen.
const NO_BLOCK: f64 = 2_147_483_646.0;

/// The blocks of positions that tokens have chosen.
#[derive(Clone, Copy)]
pub(crate) struct Chosen<'a> {
    blocks: &'a Tensor,
    pool: usize,
}

impl<'a> Chosen<'a> {
    pub(crate) fn of(blocks: Option<&'a Tensor>, pool: Option<u32>) -> Option<Chosen<'a>> {
        let pool = pool? as usize;
        Some(Chosen {
            blocks: blocks?,
            pool,
        })
    }

    /// Whether token `t` at a position sees another.
    pub(crate) fn sees(&self, t: usize, position: usize, at: usize) -> bool {
        let block = at / self.pool;
        let is_complete = (block + 1) * self.pool <= position + 1;
        !is_complete || self.blocks.row(t).contains(&(block as f64))
    }
}

pub(crate) fn pool_keys(
    a: &Args,
    (pool, eps): (usize, f32),
    angles: &Angles<'_>,
    states: &mut States,
) -> Result<(), String> {
    use slot::PoolKeys as s;
    let (k, pos, norm) = (a.at(s::k)?, a.at(s::pos)?, a.at(s::norm)?);
    let cache = states.cache(a.state(s::cache)?)?;
    for t in 0..pos.data().len() {
        let at = pos.index(t, usize::MAX)?;
        cache.store_plain(0, at, k.row(t))?;
        if !(at + 1).is_multiple_of(pool) {
            continue;
        }
        let first = at + 1 - pool;
        let zeros = vec![0.0; norm.last()];
        let rows = (first..=at).map(|at| cache.plain_rows[0].get(&at).unwrap_or(&zeros));
        let rows: Vec<&Vec<f64>> = rows.collect();
        let mean = |i: usize| rows.iter().map(|row| row[i]).sum::<f64>() / pool as f64;
        let mean = Tensor::from_fn(vec![1, 1, norm.last()], mean);
        let first = Tensor::new([1], vec![first as f64])?;
        let pooled = rope(&rmsnorm(&mean, norm, eps), &first, angles);
        cache.store_plain(1, at, pooled.data())?;
    }
    Ok(())
}

pub(crate) fn choose_blocks(
    a: &Args,
    (pool, most): (usize, usize),
    eps: f32,
    angles: &Angles<'_>,
    states: &mut States,
) -> Result<Tensor, String> {
    use slot::ChooseBlocks as s;
    let (q, pos, norm) = (a.at(s::q)?, a.at(s::pos)?, a.at(s::norm)?);
    let cache = states.cache(a.state(s::cache)?)?;
    let (dim, tokens) = (norm.last(), pos.data().len());
    let heads = q.last() / dim;
    let q = rope(&rmsnorm(&reshape(q, &[heads, dim]), norm, eps), pos, angles);
    let mut data = Vec::new();
    for t in 0..tokens {
        let complete = (pos.index(t, usize::MAX)? + 1) / pool;
        let score = |block: usize| {
            let key = cache.plain_rows[1].get(&((block + 1) * pool - 1));
            let dot = |h: usize| {
                let products = q.row(t * heads + h).iter().zip(key?);
                Some(products.map(|(q, k)| q * k).sum::<f64>().max(0.0))
            };
            let sum: f64 = (0..heads).map(|h| dot(h).unwrap_or(0.0)).sum();
            sum / (dim as f64).sqrt()
        };
        let scores: Vec<f64> = (0..complete).map(score).collect();
        let mut chosen = largest(&scores, most);
        chosen.sort_unstable();
        let chosen = chosen.into_iter().map(|block| block as f64);
        data.extend(chosen.chain(std::iter::repeat(NO_BLOCK)).take(most));
    }
    let chosen = Tensor::from_fn(vec![tokens, most], |i| data[i]);
    Ok(chosen.with_dtype(DType::I32))
}

/// Of equal ones those that a binary heap with the least on top keeps.
fn largest(scores: &[f64], most: usize) -> Vec<usize> {
    let most = most.min(scores.len());
    let mut heap: Vec<usize> = (0..most).collect();
    if most == 0 {
        return heap;
    }
    for top in (0..=most / 2).rev() {
        settle(&mut heap, top, scores);
    }
    for block in most..scores.len() {
        if scores[block] > scores[heap[0]] {
            heap[0] = block;
            settle(&mut heap, 0, scores);
        }
    }
    heap
}

/// Moves what stands at `top` to the bottom of its part of the heap, past the less of two children
/// each time, the second of equal ones, and then up again as long as what is above is more.
fn settle(heap: &mut [usize], top: usize, scores: &[f64]) {
    let mut at = top;
    loop {
        let children: Vec<usize> = [2 * at + 1, 2 * at + 2]
            .into_iter()
            .filter(|child| *child < heap.len())
            .collect();
        let next = match children[..] {
            [first, second] if scores[heap[second]] > scores[heap[first]] => first,
            [_, second] => second,
            [only] => only,
            _ => break,
        };
        heap.swap(at, next);
        at = next;
    }
    while at > top && scores[heap[(at - 1) / 2]] > scores[heap[at]] {
        heap.swap(at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}
