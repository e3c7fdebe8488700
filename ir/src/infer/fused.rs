//! Shape rules of fused ops.

use super::{Args, Result, ResultTypes, check_activation, one, product, rotated, same_tokens};
use crate::epilogue::{Bias, Epilogue, Onto, OutputGate, SharedExpert};
use crate::op::slot;
use crate::rope::RopeScaling;
use crate::signature::SlotName;
use crate::types::{DType, Dim, StateType, TensorType};

/// The weight of an RMS norm of rows of f32.
fn check_norm(a: &Args, x: SlotName, norm: SlotName) -> Result<()> {
    let rows = a.f32(x, 2)?;
    a.exactly(norm, &TensorType::new(DType::F32, [rows.last()]))
}

/// An activation format of rows of `x`.
fn rounded_to(x: TensorType, to: DType) -> Result<ResultTypes> {
    let formats = [
        DType::F32,
        DType::F16,
        DType::BF16,
        DType::Q8_0,
        DType::Q8_1,
        DType::Q8_K,
    ];
    if !formats.contains(&to) {
        fail!("cannot round to {to}, expected one of f32, f16, bf16, q8_0, q8_1, q8_k");
    }
    if !matches!(x.last(), Dim::Fixed(n) if n.is_multiple_of(to.block_len())) {
        fail!("{x} has no rows of whole {to}-blocks");
    }
    one(x.with_dtype(to))
}

pub(super) fn products(
    a: &Args,
    norm_eps: Option<f32>,
    epilogue: &Epilogue,
) -> Result<ResultTypes> {
    use slot::Product as of;
    if norm_eps.is_some() {
        check_norm(a, of::x, of::norm)?;
    }
    let weights = a.weights(of::weights);
    let mut ys = ResultTypes::new();
    for &weight in &weights {
        check_activation(a, of::x, a.tensor(weight).dtype)?;
        ys.push(product(a, of::x, weight)?);
    }
    match epilogue {
        Epilogue::None => Ok(ys),
        Epilogue::Swiglu { to } => {
            let [gate, up] = weights[..] else {
                fail!("{} weights, expected gate and up", weights.len());
            };
            match ys[0] == ys[1] {
                true => rounded_to(ys.remove(0), *to),
                false => a.mismatch(up, &a.tensor(gate).to_string()),
            }
        }
        Epilogue::Add => {
            let y = only(ys)?;
            a.exactly(of::residual, &y)?;
            one(y)
        }
        Epilogue::Silu { to, .. } => rounded_to(only(ys)?, *to),
        Epilogue::ConvSilu => conv_silu(a, only(ys)?),
        Epilogue::Store {
            bias,
            norm_eps,
            n_rot,
            scaling,
            ..
        } => {
            let turn = (*bias, norm_eps.is_some(), *n_rot, scaling);
            store(a, turn, &weights, &ys)
        }
    }
}

fn only(mut ys: ResultTypes) -> Result<TensorType> {
    match ys.len() {
        1 => Ok(ys.remove(0)),
        count => fail!("{count} weights, expected one"),
    }
}

fn conv_silu(a: &Args, y: TensorType) -> Result<ResultTypes> {
    use slot::Product::{kernel, window, x};
    let w = a.f32(kernel, 2)?;
    let (Some(channels), Some(taps)) = (y.last().fixed(), w.last().fixed()) else {
        return a.mismatch(kernel, "f32[channels, taps]");
    };
    if y.rank() != 2 {
        return a.mismatch(x, "[T, K]");
    }
    if taps == 0 {
        fail!("a convolution has at least one tap");
    }
    a.exactly(kernel, &TensorType::fixed(DType::F32, &[channels, taps]))?;
    let kept = TensorType::fixed(DType::F32, &[taps - 1, channels]);
    if *a.state(window) != StateType::Recurrent(kept.clone()) {
        return a.mismatch(window, &kept.to_string());
    }
    one(y)
}

/// What is done to heads before they meet: bias, norm or none, and rotation.
type Turn<'a> = (Bias, bool, u32, &'a RopeScaling);

fn store(
    a: &Args,
    (bias, normed, n_rot, scaling): Turn,
    weights: &[SlotName],
    ys: &[TensorType],
) -> Result<ResultTypes> {
    use slot::Product::{cache, key_bias, key_norm, pos, value_bias, x};
    let (heads, dim) = heads_of(a, cache)?;
    rotated(n_rot, scaling, dim)?;
    same_tokens(a, x, pos)?;
    if weights.len() != 2 {
        fail!(
            "{} weights, expected those of keys and of values",
            weights.len()
        );
    }
    let width = heads * dim;
    for (weight, y) in weights.iter().zip(ys) {
        if y.rank() != 2 || y.last() != Dim::Fixed(width) {
            return a.mismatch(*weight, &format!("[{width}, {}]", a.tensor(x).last()));
        }
    }
    if bias == Bias::Added {
        let expected = TensorType::fixed(DType::F32, &[width]);
        a.exactly(key_bias, &expected)?;
        a.exactly(value_bias, &expected)?;
    }
    if normed {
        a.exactly(key_norm, &TensorType::fixed(DType::F32, &[dim]))?;
    }
    Ok(ResultTypes::new())
}

/// Elements of so many heads, as many again for their gates, if there are any and so many can be
/// counted.
fn with_gates(heads: usize, dim: usize) -> Option<usize> {
    let all = heads.checked_mul(dim)?.checked_mul(2)?;
    (all > 0).then_some(all)
}

/// Heads and head size of a cache.
fn heads_of(a: &Args, cache: SlotName) -> Result<(usize, usize)> {
    match a.state(cache) {
        StateType::Kv { heads, dim, .. } if with_gates(*heads, *dim).is_some() => {
            Ok((*heads, *dim))
        }
        StateType::Kv { .. } | StateType::Recurrent(_) => a.mismatch(cache, "kv[heads, head size]"),
    }
}

pub(super) fn rope_attention(
    a: &Args,
    (bias, normed, n_rot, scaling): Turn,
    gate: OutputGate,
    to: DType,
) -> Result<ResultTypes> {
    use slot::RopeAttention::{bias as added, cache, norm, pos, q};
    let (kv_heads, dim) = heads_of(a, cache)?;
    rotated(n_rot, scaling, dim)?;
    same_tokens(a, q, pos)?;
    let parts = match gate {
        OutputGate::None => 1,
        OutputGate::Sigmoid => 2,
    };
    let queries = a.f32(q, 2)?;
    let (width, shared) = (queries.last().fixed().unwrap_or(0), parts * dim * kv_heads);
    if queries.rank() != 2 || width == 0 || !width.is_multiple_of(shared) {
        return a.mismatch(q, &format!("f32[T, a multiple of {shared}]"));
    }
    if bias == Bias::Added {
        if gate != OutputGate::None {
            fail!("queries with gates have no bias");
        }
        a.exactly(added, &TensorType::fixed(DType::F32, &[width]))?;
    }
    if normed {
        a.exactly(norm, &TensorType::fixed(DType::F32, &[dim]))?;
    }
    let group = width / parts / kv_heads;
    if !group.is_multiple_of(to.block_len()) {
        fail!("the {group} elements of a kv head's queries are no whole {to}-blocks");
    }
    let y = [queries.shape[0], (width / parts).into()];
    rounded_to(TensorType::new(DType::F32, y), to)
}

pub(super) fn moe_swiglu(
    a: &Args,
    norm_eps: Option<f32>,
    (k, biased): (usize, Bias),
    to: DType,
) -> Result<ResultTypes> {
    use slot::MoeSwiglu as of;
    let x = a.f32(of::x, 2)?;
    if norm_eps.is_some() {
        check_norm(a, of::x, of::norm)?;
    }
    let weights = a.weights(of::weights);
    let w = a.tensor(weights[0]);
    if w.rank() != 3 || w.dtype.activation().is_none() || x.rank() != 2 || x.last() != w.shape[2] {
        return a.mismatch(weights[0], &format!("[experts, N, {}] for {x}", x.last()));
    }
    let logits = TensorType::new(DType::F32, [x.shape[0], w.shape[0]]);
    a.exactly(of::logits, &logits)?;
    if biased == Bias::Added {
        a.exactly(of::bias, &TensorType::new(DType::F32, [w.shape[0]]))?;
    }
    let (experts, rows) = (
        w.shape[0].fixed().unwrap_or(0),
        w.shape[1].fixed().unwrap_or(0),
    );
    if k == 0 || k > experts {
        fail!("k is {k}, expected 1..={experts}");
    }
    let n = match weights[..] {
        [_] if rows.is_multiple_of(2) => rows / 2,
        [_, up] if a.tensor(up).shape == w.shape => rows,
        _ => fail!(
            "{} weights, expected gate and up of one shape, or both as one tensor",
            weights.len()
        ),
    };
    rounded_to(
        TensorType::new(DType::F32, [x.shape[0], k.into(), n.into()]),
        to,
    )
}

pub(super) fn moe_sum(
    a: &Args,
    biased: Bias,
    with: SharedExpert,
    onto: Onto,
) -> Result<ResultTypes> {
    use slot::MoeSum::{bias, gate, logits, residual, shared, weight, x};
    let (activation, w) = (a.tensor(x), a.tensor(weight));
    if w.rank() != 3 {
        return a.mismatch(weight, "[experts, E, N]");
    }
    check_activation(a, x, w.dtype)?;
    if activation.rank() != 3 || activation.last() != w.shape[2] {
        return a.mismatch(x, &format!("[T, k, {}]", w.shape[2]));
    }
    let per_token = |last: Dim| TensorType::new(DType::F32, [activation.shape[0], last]);
    if activation.shape[1].fixed() > w.shape[0].fixed() {
        return a.mismatch(x, &format!("at most {} experts", w.shape[0]));
    }
    a.exactly(logits, &per_token(w.shape[0]))?;
    if biased == Bias::Added {
        a.exactly(bias, &TensorType::new(DType::F32, [w.shape[0]]))?;
    }
    if with != SharedExpert::None {
        a.exactly(shared, &per_token(w.shape[1]))?;
    }
    if with == SharedExpert::Gated {
        a.exactly(gate, &per_token(Dim::Fixed(1)))?;
    }
    if onto == Onto::Residual {
        a.exactly(residual, &per_token(w.shape[1]))?;
    }
    one(per_token(w.shape[1]))
}

pub(super) fn gated_delta_net(a: &Args, to: DType) -> Result<ResultTypes> {
    use slot::GatedDeltaNet as of;
    let StateType::Recurrent(matrix) = a.state(of::matrix) else {
        return a.mismatch(of::matrix, "f32[heads, head size, head size]");
    };
    let dims: Option<Vec<usize>> = matrix.shape.iter().map(|d| d.fixed()).collect();
    let (heads, d) = match dims.as_deref() {
        Some(&[heads, d, same]) if d == same && with_gates(heads, d).is_some() => (heads, d),
        Some(_) | None => return a.mismatch(of::matrix, "f32[heads, head size, head size]"),
    };
    let u = a.f32(of::u, 2)?;
    let keys = u.last().fixed().and_then(|n| n.checked_sub(heads * d));
    let k_heads = keys.map_or(0, |n| n / (2 * d));
    let whole = keys == Some(2 * d * k_heads) && k_heads > 0 && heads.is_multiple_of(k_heads);
    if u.rank() != 2 || !whole {
        return a.mismatch(of::u, &format!("f32[T, 2·Hk·{d} + {}]", heads * d));
    }
    let per_token = |n: usize| TensorType::new(DType::F32, [u.shape[0], n.into()]);
    a.exactly(of::z, &per_token(heads * d))?;
    a.exactly(of::alpha, &per_token(heads))?;
    a.exactly(of::beta, &per_token(heads))?;
    a.exactly(of::dt, &TensorType::fixed(DType::F32, &[heads]))?;
    a.exactly(of::a, &TensorType::fixed(DType::F32, &[heads]))?;
    a.exactly(of::norm, &TensorType::fixed(DType::F32, &[d]))?;
    rounded_to(per_token(heads * d), to)
}
