//! Result types from operand types: the only place that knows shape rules.

macro_rules! fail {
    ($($arg:tt)*) => { return Err($crate::infer::TypeError(format!($($arg)*))) };
}

mod args;
mod fused;

use smallvec::{SmallVec, smallvec};

use args::Args;

use crate::op::Op;
use crate::rope::RopeScaling;
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
            let table = a.tensor(1);
            if table.rank() != 2 {
                return a.mismatch(1, "a table of 2 dimensions");
            }
            let t = a.indices(0, table.shape[0])?;
            one(TensorType::new(DType::F32, [t, table.shape[1]]))
        }
        Op::Matmul {} | Op::EhProj {} => matmul(&a),
        Op::Quantize { to } => quantize(&a, *to),
        Op::Rmsnorm { .. } => {
            let x = a.f32(0, 2)?;
            a.exactly(1, &TensorType::new(DType::F32, [x.last()]))?;
            one(x.clone())
        }
        Op::L2norm { .. } => one(a.f32(0, 2)?.clone()),
        Op::Rope { n_rot, scaling, .. } => {
            let (_, d) = a.heads(0)?;
            rotated(*n_rot, scaling, d)?;
            same_tokens(&a, 0, 1)?;
            one(a.tensor(0).clone())
        }
        Op::KvStore {} => {
            let (heads, dim) = a.heads(0)?;
            a.exactly(1, a.tensor(0))?;
            same_tokens(&a, 0, 2)?;
            match a.state(3) {
                StateType::Kv {
                    heads: h, dim: d, ..
                } if (*h, *d) == (heads, dim) => {}
                _ => return a.mismatch(3, &format!("kv[{heads}, {dim}]")),
            }
            Ok(ResultTypes::new())
        }
        Op::Attention { .. } => {
            let (h_q, d_q) = a.heads(0)?;
            same_tokens(&a, 0, 1)?;
            match a.state(2) {
                StateType::Kv { heads, dim, .. }
                    if *dim == d_q && *heads > 0 && h_q.is_multiple_of(*heads) => {}
                _ => {
                    return a.mismatch(2, &format!("kv[a divisor of {h_q} heads, {d_q}]"));
                }
            }
            one(a.tensor(0).clone())
        }
        Op::CausalConv {} => causal_conv(&a),
        Op::GdnScan {} => gdn_scan(&a),
        Op::Silu {} | Op::Sigmoid {} | Op::Softplus {} | Op::ClampMin { .. } | Op::Scale { .. } => {
            one(a.f32(0, 1)?.clone())
        }
        // Along the token axis nothing is summed.
        Op::Softmax {} => one(a.f32(0, 2)?.clone()),
        Op::Add {} | Op::Mul {} | Op::Div {} => broadcast(&a),
        Op::RowSum {} => {
            let mut t = a.f32(0, 2)?.clone();
            if let Some(last) = t.shape.last_mut() {
                *last = Dim::Fixed(1);
            }
            one(t)
        }
        Op::Concat { axis } => concat(&a, *axis as usize),
        Op::Split { axis, sizes } => split(&a, *axis as usize, sizes),
        Op::Reshape { dims } => reshape(&a, dims),
        Op::GetRows {} => {
            let mut t = a.tensor(0).clone();
            // A row is whole blocks.
            if t.rank() < 1 || (t.rank() < 2 && t.dtype.block_len() > 1) {
                return a.mismatch(0, "rows along a token axis");
            }
            t.shape[0] = a.indices(1, t.shape[0])?;
            if t.index == Some(Index::Position) && t.shape[0] == Dim::Sym(Symbol::TOKENS) {
                fail!("the positions of a run's tokens cannot be chosen: they follow each other");
            }
            one(t)
        }
        Op::TopkRouter { k } => topk_router(&a, *k as usize),
        Op::MoeMatmul {} => moe_matmul(&a),
        Op::ExpertRows {} => {
            let table = a.f32(1, 1)?;
            let (t, k) = experts(&a, 0, table.shape[0])?;
            let n = match table.shape[..] {
                [_] => Dim::Fixed(1),
                [_, n] => n,
                _ => return a.mismatch(1, "f32[experts] or f32[experts, N]"),
            };
            one(TensorType::new(DType::F32, [t, k, n]))
        }
        Op::ExpertSum {} => {
            let x = a.f32(0, 3)?;
            if x.rank() != 3 {
                return a.mismatch(0, "f32[T, k, E]");
            }
            one(TensorType::new(DType::F32, [x.shape[0], x.shape[2]]))
        }
        Op::Project { norm_eps } => fused::project(&a, *norm_eps),
        Op::ProjectSwiglu { norm_eps, to } => fused::project_swiglu(&a, *norm_eps, *to),
        Op::MatmulAdd {} => fused::matmul_add(&a),
        Op::ProjectConv { norm_eps } => fused::project_conv(&a, *norm_eps),
        Op::GatedDeltaNet { to, .. } => fused::gated_delta_net(&a, *to),
        Op::MoeSwiglu { norm_eps, k, to } => fused::moe_swiglu(&a, *norm_eps, *k as usize, *to),
        Op::MoeSum { .. } => fused::moe_sum(&a),
        Op::ProjectKv {
            norm_eps,
            n_rot,
            scaling,
            ..
        } => fused::project_kv(&a, *norm_eps, (*n_rot, scaling)),
        Op::GatedAttention {
            n_rot, scaling, to, ..
        } => fused::gated_attention(&a, (*n_rot, scaling), *to),
    }
}

fn one(t: TensorType) -> Result<ResultTypes> {
    Ok(smallvec![t])
}

/// Operand `pos` has the positions of the tokens of operand `x`.
fn same_tokens(a: &Args, x: usize, pos: usize) -> Result<()> {
    let tokens = a.tensor(x).shape[0];
    a.exactly(pos, &TensorType::position([tokens]))
}

/// `n_rot` elements of a head of `d` are rotated in pairs.
fn rotated(n_rot: u32, scaling: &RopeScaling, d: usize) -> Result<()> {
    let n = n_rot as usize;
    if n == 0 || !n.is_multiple_of(2) || n > d {
        fail!("n_rot is {n}, expected an even number of 2..={d}");
    }
    if let Some(pair) = scaling.still.iter().find(|pair| **pair >= n_rot / 2) {
        fail!("pair {pair} never turns, expected pairs below {}", n / 2);
    }
    if !scaling.still.is_sorted_by(|a, b| a < b) {
        fail!("pairs that never turn are out of order");
    }
    Ok(())
}

/// Tokens and experts of each in operand `i`, which holds the choice of a router.
fn experts(a: &Args, i: usize, count: Dim) -> Result<(Dim, Dim)> {
    match a.tensor(i).shape[..] {
        [t, k] if a.is_below(i, count) => Ok((t, k)),
        _ => a.mismatch(i, &format!("index<{count}>[T, k]")),
    }
}

/// An activation that a weight of type `weight` can be multiplied with: f32, or already rounded.
fn check_activation(a: &Args, x: usize, weight: DType) -> Result<()> {
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
    check_activation(a, 0, a.tensor(1).dtype)?;
    one(product(a, a.tensor(0), 1)?)
}

/// The product of `x` in slot 0 with the matrix in slot `weight`.
fn product(a: &Args, x: &TensorType, weight: usize) -> Result<TensorType> {
    let w = a.tensor(weight);
    if w.rank() != 2 || w.dtype.activation().is_none() {
        return a.mismatch(weight, "a matrix of 2 dimensions");
    }
    if x.rank() < 2 || x.last() != w.shape[1] {
        return a.mismatch(0, &format!("a last dimension of {}", w.shape[1]));
    }
    let mut t = x.with_dtype(DType::F32);
    if let Some(last) = t.shape.last_mut() {
        *last = w.shape[0];
    }
    Ok(t)
}

fn quantize(a: &Args, to: DType) -> Result<ResultTypes> {
    let x = a.f32(0, 2)?;
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
        return a.mismatch(0, &format!("rows of whole {}-blocks", to.block_len()));
    }
    one(x.with_dtype(to))
}

fn causal_conv(a: &Args) -> Result<ResultTypes> {
    let (x, w) = (a.f32(0, 2)?, a.f32(1, 2)?);
    let (Some(channels), Some(taps)) = (w.shape[0].fixed(), w.shape[1].fixed()) else {
        return a.mismatch(1, "f32[channels, taps]");
    };
    if taps == 0 {
        fail!("a convolution has at least one tap");
    }
    if x.rank() != 2 || x.shape[1] != Dim::Fixed(channels) {
        return a.mismatch(0, &format!("f32[T, {channels}]"));
    }
    let window = TensorType::fixed(DType::F32, &[taps.saturating_sub(1), channels]);
    if *a.state(2) != StateType::Recurrent(window.clone()) {
        return a.mismatch(2, &window.to_string());
    }
    one(x.clone())
}

fn gdn_scan(a: &Args) -> Result<ResultTypes> {
    let ((h_k, d), (h_v, d_v)) = (a.heads(0)?, a.heads(2)?);
    a.exactly(1, a.tensor(0))?;
    let tokens = a.tensor(0).shape[0];
    if d_v != d || h_k == 0 || !h_v.is_multiple_of(h_k) || a.tensor(2).shape[0] != tokens {
        return a.mismatch(2, &format!("f32[{tokens}, a multiple of {h_k}, {d}]"));
    }
    let per_head = TensorType::new(DType::F32, [tokens, Dim::Fixed(h_v)]);
    a.exactly(3, &per_head)?;
    a.exactly(4, &per_head)?;
    let matrix = TensorType::fixed(DType::F32, &[h_v, d, d]);
    if *a.state(5) != StateType::Recurrent(matrix.clone()) {
        return a.mismatch(5, &matrix.to_string());
    }
    one(a.tensor(2).clone())
}

/// `b` has at most `a`'s rank; aligned at the right, each of its dimensions is `a`'s or 1.
fn broadcast(args: &Args) -> Result<ResultTypes> {
    let (a, b) = (args.f32(0, 1)?, args.f32(1, 0)?);
    let fits = b.rank() <= a.rank()
        && (a.shape.iter().rev().zip(b.shape.iter().rev()))
            .all(|(x, y)| x == y || *y == Dim::Fixed(1));
    if !fits {
        return args.mismatch(1, &format!("a shape that broadcasts onto {a}"));
    }
    one(a.clone())
}

fn concat(args: &Args, axis: usize) -> Result<ResultTypes> {
    let (a, b) = (args.f32(0, 1)?, args.f32(1, 1)?);
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
        args.exactly(1, &t)?;
        let Some(sum) = x.checked_add(y) else {
            fail!("axis {axis} becomes longer than can be counted");
        };
        t.shape[axis] = Dim::Fixed(sum);
        return one(t);
    }
    args.mismatch(1, &format!("the shape of {a} but for axis {axis}"))
}

fn split(a: &Args, axis: usize, sizes: &[u32]) -> Result<ResultTypes> {
    let x = a.f32(0, 1)?;
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

fn reshape(a: &Args, dims: &[u32]) -> Result<ResultTypes> {
    let x = a.f32(0, 1)?;
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

fn topk_router(a: &Args, k: usize) -> Result<ResultTypes> {
    let x = a.f32(0, 2)?;
    let experts = x.last().fixed().unwrap_or(0);
    if x.rank() != 2 || k == 0 || k > experts {
        fail!("k is {k}, expected 1..={experts} for {x}");
    }
    let best = TensorType::index(experts, [x.shape[0], Dim::Fixed(k)]);
    let weights = best.with_dtype(DType::F32);
    Ok(smallvec![best, weights])
}

fn moe_matmul(a: &Args) -> Result<ResultTypes> {
    let (x, w) = (a.tensor(0), a.tensor(2));
    if w.rank() != 3 {
        return a.mismatch(2, "[experts, N, K]");
    }
    let (t, k) = experts(a, 1, w.shape[0])?;
    check_activation(a, 0, w.dtype)?;
    let shared = x.rank() == 2 && x.shape[0] == t;
    let per_expert = x.rank() == 3 && x.shape[0] == t && x.shape[1] == k;
    if !(shared || per_expert) || x.last() != w.shape[2] {
        return a.mismatch(0, &format!("[{t}, {n}] or [{t}, {k}, {n}]", n = w.shape[2]));
    }
    one(TensorType::new(DType::F32, [t, k, w.shape[1]]))
}
