//! Shape rules of attention, its caches and its indexer.

use super::{Args, Result, ResultTypes, one};
use crate::op::{NO_BLOCK, slot};
use crate::rope::RopeScaling;
use crate::signature::SlotName;
use crate::types::{DType, Dim, StateType, TensorType};

/// How many numbers a block may have: all below and that of none.
const BLOCKS: usize = NO_BLOCK as usize + 1;

/// Operand `pos` has the positions of the tokens of operand `x`.
pub(super) fn same_tokens(a: &Args, x: SlotName, pos: SlotName) -> Result<()> {
    let tokens = a.tensor(x).shape[0];
    a.exactly(pos, &TensorType::position([tokens]))
}

/// `n_rot` elements of a head of `d` are rotated in pairs, none with 0.
pub(super) fn rotated(n_rot: u32, scaling: &RopeScaling, d: usize) -> Result<()> {
    let n = n_rot as usize;
    if !n.is_multiple_of(2) || n > d {
        fail!("n_rot is {n}, expected an even number of 2..={d}");
    }
    if let Some(pair) = scaling.still.iter().find(|pair| **pair >= n_rot / 2) {
        fail!("pair {pair} never turns, expected pairs below {}", n / 2);
    }
    if !scaling.still.is_sorted_by(|a, b| a < b) {
        fail!("pairs that never turn are out of order");
    }
    let factors = &scaling.factors;
    if !factors.is_empty() && factors.len() != n / 2 {
        fail!(
            "{} factors of angles, expected {}, one for each pair",
            factors.len(),
            n / 2
        );
    }
    if !factors.iter().all(|factor| *factor > 0.0) {
        fail!("factors of angles are to be above 0");
    }
    Ok(())
}

pub(super) fn kv_store(a: &Args) -> Result<ResultTypes> {
    use slot::KvStore::{cache, k, pos, v};
    let (heads, dim) = a.heads(k)?;
    a.exactly(v, a.tensor(k))?;
    same_tokens(a, k, pos)?;
    match a.state(cache) {
        StateType::Kv {
            heads: h, dim: d, ..
        } if (*h, *d) == (heads, dim) => Ok(ResultTypes::new()),
        StateType::Kv { .. } | StateType::Recurrent(_) => {
            a.mismatch(cache, &format!("kv[{heads}, {dim}]"))
        }
    }
}

/// An op on the cache of an indexer, of one head of `dim` elements.
fn indexed(
    a: &Args,
    (x, pos): (SlotName, SlotName),
    (cache, norm): (SlotName, SlotName),
    (dim, pool): (Dim, u32),
) -> Result<()> {
    same_tokens(a, x, pos)?;
    a.exactly(norm, &TensorType::new(DType::F32, [dim]))?;
    if pool == 0 {
        fail!("pool is 0, expected 1 or more");
    }
    match a.state(cache) {
        StateType::Kv {
            heads: 1, dim: d, ..
        } if Dim::Fixed(*d) == dim => Ok(()),
        StateType::Kv { .. } | StateType::Recurrent(_) => {
            a.mismatch(cache, &format!("kv[1, {dim}]"))
        }
    }
}

/// The blocks that tokens see, if they choose.
pub(super) fn chosen_blocks(
    a: &Args,
    (q, blocks): (SlotName, SlotName),
    pool: Option<u32>,
) -> Result<()> {
    let Some(pool) = pool else {
        return Ok(());
    };
    if pool == 0 {
        fail!("pool is 0, expected 1 or more");
    }
    let (tokens, chosen) = (a.tensor(q).shape[0], a.tensor(blocks));
    match chosen.shape[..] {
        [t, _] if t == tokens && a.is_below(blocks, Dim::Fixed(BLOCKS)) => Ok(()),
        _ => a.mismatch(blocks, &format!("index<{}>[{tokens}, k]", BLOCKS)),
    }
}

pub(super) fn attention(a: &Args, pool: Option<u32>) -> Result<ResultTypes> {
    use slot::Attention::{blocks, cache, pos, q};
    chosen_blocks(a, (q, blocks), pool)?;
    let (h_q, d_q) = a.heads(q)?;
    same_tokens(a, q, pos)?;
    match a.state(cache) {
        StateType::Kv { heads, dim, .. }
            if *dim == d_q && *heads > 0 && h_q.is_multiple_of(*heads) =>
        {
            one(a.tensor(q).clone())
        }
        StateType::Kv { .. } | StateType::Recurrent(_) => {
            a.mismatch(cache, &format!("kv[a divisor of {h_q} heads, {d_q}]"))
        }
    }
}

pub(super) fn pool_keys(
    a: &Args,
    pool: u32,
    (n_rot, scaling): (u32, &RopeScaling),
) -> Result<ResultTypes> {
    use slot::PoolKeys::{cache, k, norm, pos};
    let keys = a.f32(k, 2)?;
    let dim = keys.last();
    if keys.rank() != 2 {
        return a.mismatch(k, "f32[T, D]");
    }
    indexed(a, (k, pos), (cache, norm), (dim, pool))?;
    rotated(n_rot, scaling, dim.fixed().unwrap_or(0))?;
    Ok(ResultTypes::new())
}

pub(super) fn choose_blocks(
    a: &Args,
    (pool, most): (u32, u32),
    (n_rot, scaling): (u32, &RopeScaling),
) -> Result<ResultTypes> {
    use slot::ChooseBlocks::{cache, norm, pos, q};
    let queries = a.f32(q, 2)?;
    let dim = a.tensor(norm).last();
    let heads = queries.last().fixed().zip(dim.fixed());
    let whole = heads.is_some_and(|(all, dim)| dim > 0 && all > 0 && all.is_multiple_of(dim));
    if queries.rank() != 2 || !whole {
        return a.mismatch(q, &format!("f32[T, a multiple of {dim}]"));
    }
    indexed(a, (q, pos), (cache, norm), (dim, pool))?;
    rotated(n_rot, scaling, dim.fixed().unwrap_or(0))?;
    let chosen = [queries.shape[0], Dim::Fixed(most as usize)];
    one(TensorType::index(BLOCKS, chosen))
}
