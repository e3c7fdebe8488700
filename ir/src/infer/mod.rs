//! Result types from operand types: the only place that knows shape rules.

macro_rules! fail {
    ($($arg:tt)*) => { return Err($crate::infer::TypeError(format!($($arg)*))) };
}

mod args;
mod attention;
mod convolution;
mod fused;
mod streams;

use smallvec::{SmallVec, smallvec};

use args::Args;
use attention::{rotated, same_tokens};

use crate::epilogue::Bias;
use crate::op::{Op, slot};
use crate::parts::Parts;
use crate::signature::SlotName;
use crate::types::{DType, Dim, Index, StateType, Symbol, TensorType};

/// Type of an operand as inference sees it.
#[derive(Clone, Debug)]
pub enum OperandType<'a> {
    /// A value's type.
    Value(&'a TensorType),
    /// A weight's type.
    Weight(&'a TensorType),
    /// A state's type.
    State(&'a StateType),
}

/// Types of an op's results in order.
pub type ResultTypes = SmallVec<[TensorType; 1]>;

/// Why operands do not fit an op: says which operand, what it is and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TypeError(pub String);

type Result<T> = std::result::Result<T, TypeError>;

/// The types of `op`'s results for these operands, or what does not fit.
pub fn infer(op: &Op, operands: &[OperandType<'_>]) -> Result<ResultTypes> {
    let a = Args {
        op,
        types: operands,
    };
    a.check_kinds()?;
    a.check_floats()?;
    a.check_state_axis()?;
    match op {
        Op::Embed {} => {
            let table = a.tensor(slot::Embed::table);
            if table.rank() != 2 {
                return a.mismatch(slot::Embed::table, "a table of 2 dimensions");
            }
            let ids = a.tensor(slot::Embed::ids);
            let below = a.is_below(slot::Embed::ids, table.shape[0]);
            if !below || !(1..=2).contains(&ids.rank()) {
                let expected = format!("index<{}> of 1 or 2 dimensions", table.shape[0]);
                return a.mismatch(slot::Embed::ids, &expected);
            }
            let dims = ids.shape.iter().chain(&table.shape[1..]).copied();
            one(TensorType::new(DType::F32, dims))
        }
        Op::Matmul {} | Op::EhProj {} => matmul(&a),
        Op::Quantize { to } => quantize(&a, *to),
        Op::Rmsnorm { .. } => {
            let x = a.f32(slot::Rmsnorm::x, 2)?;
            let by_rows = a.tensor(slot::Rmsnorm::weight).rank() == 2 && x.rank() == 3;
            let dims = if by_rows { 1.. } else { x.rank() - 1.. };
            let weight = TensorType::new(DType::F32, x.shape[dims].iter().copied());
            a.exactly(slot::Rmsnorm::weight, &weight)?;
            one(x.clone())
        }
        Op::L2norm { .. } => one(a.f32(slot::L2norm::x, 2)?.clone()),
        Op::Rope { n_rot, scaling, .. } => {
            let (_, d) = a.heads(slot::Rope::x)?;
            if *n_rot == 0 {
                fail!("n_rot is 0, expected an even number of 2..={d}");
            }
            rotated(*n_rot, scaling, d)?;
            same_tokens(&a, slot::Rope::x, slot::Rope::pos)?;
            one(a.tensor(slot::Rope::x).clone())
        }
        Op::KvStore {} => attention::kv_store(&a),
        Op::Attention { pool, .. } => attention::attention(&a, *pool),
        Op::PoolKeys {
            pool,
            n_rot,
            scaling,
            ..
        } => attention::pool_keys(&a, *pool, (*n_rot, scaling)),
        Op::ChooseBlocks {
            pool,
            most,
            n_rot,
            scaling,
            ..
        } => attention::choose_blocks(&a, (*pool, *most), (*n_rot, scaling)),
        Op::CausalConv {} => convolution::causal(&a),
        Op::DilatedConv { dilation } => convolution::dilated(&a, *dilation as usize),
        Op::NgramRows { hash } => streams::ngram_rows(&a, hash),
        Op::GdnScan { .. } => gdn_scan(&a),
        Op::Silu {}
        | Op::Sigmoid {}
        | Op::Softplus {}
        | Op::ClampMin { .. }
        | Op::Scale { .. }
        | Op::SignedSqrt { .. } => one(a.f32(slot::Silu::x, 1)?.clone()),
        // Along the token axis nothing is summed.
        Op::Softmax {} => one(a.f32(slot::Softmax::x, 2)?.clone()),
        Op::Add {} | Op::Mul {} | Op::Div {} => broadcast(&a),
        Op::RowSum {} => {
            let mut t = a.f32(slot::RowSum::x, 2)?.clone();
            if let Some(last) = t.shape.last_mut() {
                *last = Dim::Fixed(1);
            }
            one(t)
        }
        Op::Concat { axis } => concat(&a, *axis as usize),
        Op::Split { axis, sizes } => split(&a, *axis as usize, sizes),
        Op::Reshape { dims } => reshape(&a, dims),
        Op::GetRows {} => {
            let mut t = a.tensor(slot::GetRows::x).clone();
            // A row is whole blocks.
            if t.rank() < 1 || (t.rank() < 2 && t.dtype.block_len() > 1) {
                return a.mismatch(slot::GetRows::x, "rows along a token axis");
            }
            t.shape[0] = a.indices(slot::GetRows::rows, t.shape[0])?;
            if t.index == Some(Index::Position) && t.shape[0] == Dim::Sym(Symbol::TOKENS) {
                fail!("the positions of a run's tokens cannot be chosen: they follow each other");
            }
            one(t)
        }
        Op::TopkRouter { k, biased } => topk_router(&a, *k as usize, *biased),
        Op::MoeMatmul {} => moe_matmul(&a),
        Op::ExpertRows {} => {
            let table = a.f32(slot::ExpertRows::table, 1)?;
            let (t, k) = experts(&a, slot::ExpertRows::experts, table.shape[0])?;
            let n = match table.shape[..] {
                [_] => Dim::Fixed(1),
                [_, n] => n,
                _ => {
                    let expected = "f32[experts] or f32[experts, N]";
                    return a.mismatch(slot::ExpertRows::table, expected);
                }
            };
            one(TensorType::new(DType::F32, [t, k, n]))
        }
        Op::ExpertSum {} => {
            let x = a.f32(slot::ExpertSum::x, 3)?;
            if x.rank() != 3 {
                return a.mismatch(slot::ExpertSum::x, "f32[T, k, E]");
            }
            one(TensorType::new(DType::F32, [x.shape[0], x.shape[2]]))
        }
        Op::Streams { count } => streams::streams(&a, *count as usize),
        Op::StreamMix { .. } => streams::mix(&a),
        Op::StreamAdd {} => streams::add(&a),
        Op::StreamGate { .. } => streams::gate(&a),
        Op::StreamConv { dilation } => streams::conv(&a, *dilation as usize),
        Op::AllGather { axis, rank, parts } => {
            all_gather(&a, *axis as usize, *rank as usize, parts)
        }
        Op::Product { norm_eps, epilogue } => fused::products(&a, *norm_eps, epilogue),
        Op::GatedDeltaNet { to, .. } => fused::gated_delta_net(&a, *to),
        Op::MoeSwiglu {
            norm_eps,
            k,
            biased,
            to,
            ..
        } => fused::moe_swiglu(&a, *norm_eps, (*k as usize, *biased), *to),
        Op::MoeSum {
            shared,
            biased,
            onto,
            ..
        } => fused::moe_sum(&a, *biased, *shared, *onto),
        Op::RopeAttention {
            biased,
            norm_eps,
            n_rot,
            scaling,
            gate,
            to,
            pool,
            ..
        } => {
            attention::chosen_blocks(
                &a,
                (slot::RopeAttention::q, slot::RopeAttention::blocks),
                *pool,
            )?;
            let turn = (*biased, norm_eps.is_some(), *n_rot, scaling);
            fused::rope_attention(&a, turn, *gate, *to)
        }
    }
}

fn one(t: TensorType) -> Result<ResultTypes> {
    Ok(smallvec![t])
}

/// Tokens of an operand that holds the choice of a router, and experts of each.
fn experts(a: &Args, chosen: SlotName, count: Dim) -> Result<(Dim, Dim)> {
    match a.tensor(chosen).shape[..] {
        [t, k] if a.is_below(chosen, count) => Ok((t, k)),
        _ => a.mismatch(chosen, &format!("index<{count}>[T, k]")),
    }
}

/// An activation that a weight of type `weight` can be multiplied with: f32, or already rounded.
fn check_activation(a: &Args, x: SlotName, weight: DType) -> Result<()> {
    let Some(rounded) = weight.activation() else {
        fail!("a weight of type {weight} cannot be multiplied");
    };
    let ty = a.tensor(x).dtype;
    if ty != DType::F32 && ty != rounded {
        return a.mismatch(x, &format!("f32 or {rounded} elements"));
    }
    Ok(())
}

fn matmul(a: &Args) -> Result<ResultTypes> {
    use slot::Matmul::{weight, x};
    check_activation(a, x, a.tensor(weight).dtype)?;
    one(product(a, x, weight)?)
}

/// The product of a value with a matrix.
fn product(a: &Args, x_name: SlotName, weight: SlotName) -> Result<TensorType> {
    let (x, w) = (a.tensor(x_name), a.tensor(weight));
    if w.rank() != 2 || w.dtype.activation().is_none() {
        return a.mismatch(weight, "a matrix of 2 dimensions");
    }
    if x.rank() < 2 || x.last() != w.shape[1] {
        return a.mismatch(x_name, &format!("a last dimension of {}", w.shape[1]));
    }
    let mut t = x.with_dtype(DType::F32);
    if let Some(last) = t.shape.last_mut() {
        *last = w.shape[0];
    }
    Ok(t)
}

fn quantize(a: &Args, to: DType) -> Result<ResultTypes> {
    let x = a.f32(slot::Quantize::x, 2)?;
    let formats = [
        DType::F16,
        DType::BF16,
        DType::Q8_0,
        DType::Q8_1,
        DType::Q8_K,
    ];
    if !formats.contains(&to) {
        fail!("cannot round to {to}, expected one of f16, bf16, q8_0, q8_1, q8_k");
    }
    if !matches!(x.last(), Dim::Fixed(n) if n.is_multiple_of(to.block_len())) {
        let expected = format!("rows of whole {}-blocks", to.block_len());
        return a.mismatch(slot::Quantize::x, &expected);
    }
    one(x.with_dtype(to))
}

fn gdn_scan(a: &Args) -> Result<ResultTypes> {
    use slot::GdnScan::{beta, g, k, matrix, q, v};
    let ((h_k, d), (h_v, d_v)) = (a.heads(q)?, a.heads(v)?);
    a.exactly(k, a.tensor(q))?;
    let tokens = a.tensor(q).shape[0];
    if d_v != d || h_k == 0 || !h_v.is_multiple_of(h_k) || a.tensor(v).shape[0] != tokens {
        return a.mismatch(v, &format!("f32[{tokens}, a multiple of {h_k}, {d}]"));
    }
    let per_head = TensorType::new(DType::F32, [tokens, Dim::Fixed(h_v)]);
    a.exactly(g, &per_head)?;
    a.exactly(beta, &per_head)?;
    let held = TensorType::fixed(DType::F32, &[h_v, d, d]);
    if *a.state(matrix) != StateType::Recurrent(held.clone()) {
        return a.mismatch(matrix, &held.to_string());
    }
    one(a.tensor(v).clone())
}

/// `b` has at most `a`'s rank; aligned at the right, each of its dimensions is `a`'s or 1.
fn broadcast(args: &Args) -> Result<ResultTypes> {
    let (a, b) = (args.f32(slot::Add::a, 1)?, args.f32(slot::Add::b, 0)?);
    let fits = b.rank() <= a.rank()
        && (a.shape.iter().rev().zip(b.shape.iter().rev()))
            .all(|(x, y)| x == y || *y == Dim::Fixed(1));
    if !fits {
        return args.mismatch(slot::Add::b, &format!("a shape that broadcasts onto {a}"));
    }
    one(a.clone())
}

fn concat(args: &Args, axis: usize) -> Result<ResultTypes> {
    let (a, b) = (args.f32(slot::Concat::a, 1)?, args.f32(slot::Concat::b, 1)?);
    if axis == 0 || axis >= a.rank() {
        fail!(
            "axis is {axis}, expected 1..{} (the token axis stays)",
            a.rank()
        );
    }
    let joined = (a.shape[axis].fixed()).zip(b.shape.get(axis).and_then(|d| d.fixed()));
    let mut t = a.clone();
    if let Some((x, y)) = joined {
        t.shape[axis] = Dim::Fixed(y);
        args.exactly(slot::Concat::b, &t)?;
        let Some(sum) = x.checked_add(y) else {
            fail!("axis {axis} becomes longer than can be counted");
        };
        t.shape[axis] = Dim::Fixed(sum);
        return one(t);
    }
    let expected = format!("the shape of {a} but for axis {axis}");
    args.mismatch(slot::Concat::b, &expected)
}

fn split(a: &Args, axis: usize, sizes: &[u32]) -> Result<ResultTypes> {
    let x = a.f32(slot::Split::x, 1)?;
    if axis == 0 || axis >= x.rank() {
        fail!(
            "axis is {axis}, expected 1..{} (the token axis stays)",
            x.rank()
        );
    }
    if sizes.len() > usize::from(u16::MAX) {
        fail!("{} parts, expected at most {}", sizes.len(), u16::MAX);
    }
    let sum: u64 = sizes.iter().map(|&n| u64::from(n)).sum();
    if sizes.is_empty()
        || sizes.contains(&0)
        || x.shape[axis].fixed().map(|n| n as u64) != Some(sum)
    {
        fail!(
            "sizes add up to {sum}, axis {axis} of {x} has {}",
            x.shape[axis]
        );
    }
    let part = |&n: &u32| {
        let mut t = x.clone();
        t.shape[axis] = Dim::Fixed(n as usize);
        t
    };
    Ok(sizes.iter().map(part).collect())
}

fn all_gather(a: &Args, axis: usize, rank: usize, parts: &Parts) -> Result<ResultTypes> {
    let x = a.tensor(slot::AllGather::x);
    if axis == 0 || axis >= x.rank() {
        fail!(
            "axis is {axis}, expected 1..{} (the token axis stays)",
            x.rank()
        );
    }
    if rank >= parts.ranks() {
        fail!("rank is {rank} of {}", parts.ranks());
    }
    let Some(whole) = parts.whole() else {
        fail!("the ranks do not have all indices from 0 on between them");
    };
    let block = if axis + 1 == x.rank() {
        x.dtype.block_len()
    } else {
        1
    };
    if parts
        .iter()
        .any(|part| part.is_empty() || part.divided(block).is_none())
    {
        fail!("each rank has whole blocks of {block}, one or more");
    }
    if x.index.is_some() || x.shape[axis] != Dim::Fixed(parts.of(rank).len()) {
        let expected = format!("{} along axis {axis}", parts.of(rank).len());
        return a.mismatch(slot::AllGather::x, &expected);
    }
    let mut t = x.clone();
    t.shape[axis] = Dim::Fixed(whole);
    one(t)
}

fn reshape(a: &Args, dims: &[u32]) -> Result<ResultTypes> {
    let x = a.f32(slot::Reshape::x, 1)?;
    let times = |n: usize, d: Option<usize>| n.checked_mul(d?);
    let before = x.shape[1..].iter().map(|d| d.fixed()).try_fold(1, times);
    let after = (dims.iter().map(|&d| Some(d as usize))).try_fold(1, times);
    if before.is_none() || before != after {
        fail!("{dims:?} elements a token do not hold {x}");
    }
    let tail = dims.iter().map(|&d| Dim::Fixed(d as usize));
    one(TensorType::new(
        DType::F32,
        std::iter::once(x.shape[0]).chain(tail),
    ))
}

fn topk_router(a: &Args, k: usize, biased: Bias) -> Result<ResultTypes> {
    let x = a.f32(slot::TopkRouter::probs, 2)?;
    let experts = x.last().fixed().unwrap_or(0);
    if x.rank() != 2 || k == 0 || k > experts {
        fail!("k is {k}, expected 1..={experts} for {x}");
    }
    if biased == Bias::Added {
        a.exactly(
            slot::TopkRouter::bias,
            &TensorType::fixed(DType::F32, &[experts]),
        )?;
    }
    let best = TensorType::index(experts, [x.shape[0], Dim::Fixed(k)]);
    let weights = best.with_dtype(DType::F32);
    Ok(smallvec![best, weights])
}

fn moe_matmul(a: &Args) -> Result<ResultTypes> {
    use slot::MoeMatmul::{self as of, weight};
    let (x, w) = (a.tensor(of::x), a.tensor(weight));
    if w.rank() != 3 {
        return a.mismatch(weight, "[experts, N, K]");
    }
    let (t, k) = experts(a, of::experts, w.shape[0])?;
    check_activation(a, of::x, w.dtype)?;
    let shared = x.rank() == 2 && x.shape[0] == t;
    let per_expert = x.rank() == 3 && x.shape[0] == t && x.shape[1] == k;
    if !(shared || per_expert) || x.last() != w.shape[2] {
        let expected = format!("[{t}, {n}] or [{t}, {k}, {n}]", n = w.shape[2]);
        return a.mismatch(of::x, &expected);
    }
    one(TensorType::new(DType::F32, [t, k, w.shape[1]]))
}
