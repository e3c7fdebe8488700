//! Shape rules of fused ops. They take f32 and round it for each weight by themselves.

use super::{Args, Result, ResultTypes, check_activation, one, product, rotated, same_tokens};
use crate::op::{SlotName, slot};
use crate::rope::RopeScaling;
use crate::types::{DType, Dim, StateType, TensorType};

/// What a fused product multiplies, and the weights that it meets.
struct Input<'a> {
    x: &'a TensorType,
    /// The weights, that of the norm left out.
    weights: Vec<SlotName>,
}

/// `x`, which stands first, and `weights`, of which the first is the norm's where there is one.
fn input<'a>(a: &Args<'a>, weights: SlotName, norm_eps: Option<f32>) -> Result<Input<'a>> {
    let x = a.f32(SlotName::FIRST, 2)?;
    let count = a.types.len() - a.op.slot(weights);
    let mut names = (0..count).map(|n| weights.nth(n));
    if norm_eps.is_some()
        && let Some(norm) = names.next()
    {
        a.exactly(norm, &TensorType::new(DType::F32, [x.last()]))?;
    }
    let weights: Vec<SlotName> = names.collect();
    if weights.is_empty() {
        fail!("there is no weight behind the norm's");
    }
    Ok(Input { x, weights })
}

impl Input<'_> {
    fn products(&self, a: &Args) -> Result<ResultTypes> {
        let weights = self.weights.iter();
        weights.map(|w| product(a, SlotName::FIRST, *w)).collect()
    }
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

pub(super) fn project(a: &Args, norm_eps: Option<f32>) -> Result<ResultTypes> {
    input(a, slot::Project::weights, norm_eps)?.products(a)
}

pub(super) fn project_swiglu(a: &Args, norm_eps: Option<f32>, to: DType) -> Result<ResultTypes> {
    let input = input(a, slot::ProjectSwiglu::weights, norm_eps)?;
    let [gate, up] = input.weights[..] else {
        fail!("{} weights, expected gate and up", input.weights.len());
    };
    let y = product(a, slot::ProjectSwiglu::x, gate)?;
    match product(a, slot::ProjectSwiglu::x, up)? == y {
        true => rounded_to(y, to),
        false => a.mismatch(up, &a.tensor(gate).to_string()),
    }
}

pub(super) fn matmul_add(a: &Args) -> Result<ResultTypes> {
    use slot::MatmulAdd::{residual, weight, x};
    check_activation(a, x, a.tensor(weight).dtype)?;
    let y = product(a, x, weight)?;
    a.exactly(residual, &y)?;
    one(y)
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

pub(super) fn project_kv(
    a: &Args,
    norm_eps: Option<f32>,
    (n_rot, scaling): (u32, &RopeScaling),
) -> Result<ResultTypes> {
    use slot::ProjectKv as of;
    let (heads, dim) = heads_of(a, of::cache)?;
    rotated(n_rot, scaling, dim)?;
    same_tokens(a, of::x, of::pos)?;
    let Input { x: rows, weights } = input(a, of::weights, norm_eps)?;
    let (&[keys, values, key_norm], 2) = (&weights[..], rows.rank()) else {
        fail!(
            "{} weights for {rows}, expected those of keys, of values and of the keys' norm",
            weights.len()
        );
    };
    for weight in [keys, values] {
        if product(a, of::x, weight)?.last() != Dim::Fixed(heads * dim) {
            return a.mismatch(weight, &format!("[{}, {}]", heads * dim, rows.last()));
        }
    }
    a.exactly(key_norm, &TensorType::fixed(DType::F32, &[dim]))?;
    Ok(ResultTypes::new())
}

pub(super) fn gated_attention(
    a: &Args,
    (n_rot, scaling): (u32, &RopeScaling),
    to: DType,
) -> Result<ResultTypes> {
    use slot::GatedAttention::{cache, norm, pos, q};
    let (kv_heads, dim) = heads_of(a, cache)?;
    rotated(n_rot, scaling, dim)?;
    same_tokens(a, q, pos)?;
    let queries = a.f32(q, 2)?;
    let width = queries.last().fixed().unwrap_or(0);
    if queries.rank() != 2 || width == 0 || !width.is_multiple_of(2 * dim * kv_heads) {
        return a.mismatch(q, &format!("f32[T, a multiple of {}]", 2 * dim * kv_heads));
    }
    a.exactly(norm, &TensorType::fixed(DType::F32, &[dim]))?;
    let group = width / 2 / kv_heads;
    if !group.is_multiple_of(to.block_len()) {
        fail!("the {group} elements of a kv head's queries are no whole {to}-blocks");
    }
    rounded_to(
        TensorType::new(DType::F32, [queries.shape[0], (width / 2).into()]),
        to,
    )
}

pub(super) fn moe_swiglu(
    a: &Args,
    norm_eps: Option<f32>,
    k: usize,
    to: DType,
) -> Result<ResultTypes> {
    use slot::MoeSwiglu as of;
    let Input { x, weights } = input(a, of::weights, norm_eps)?;
    let w = a.tensor(weights[0]);
    if w.rank() != 3 || w.dtype.activation().is_none() || x.rank() != 2 || x.last() != w.shape[2] {
        return a.mismatch(weights[0], &format!("[experts, N, {}] for {x}", x.last()));
    }
    let logits = TensorType::new(DType::F32, [x.shape[0], w.shape[0]]);
    a.exactly(of::logits, &logits)?;
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

pub(super) fn moe_sum(a: &Args) -> Result<ResultTypes> {
    use slot::MoeSum::{gate, logits, residual, shared, weight, x};
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
    a.exactly(shared, &per_token(w.shape[1]))?;
    a.exactly(gate, &per_token(Dim::Fixed(1)))?;
    a.exactly(residual, &per_token(w.shape[1]))?;
    one(per_token(w.shape[1]))
}

pub(super) fn project_conv(a: &Args, norm_eps: Option<f32>) -> Result<ResultTypes> {
    use slot::ProjectConv as of;
    let Input { x: rows, weights } = input(a, of::weights, norm_eps)?;
    let (&[weight, kernel], 2) = (&weights[..], rows.rank()) else {
        fail!(
            "{} weights for {rows}, expected a projection's and a convolution's",
            weights.len()
        );
    };
    let y = product(a, of::x, weight)?;
    let w = a.f32(kernel, 2)?;
    let (Some(channels), Some(taps)) = (y.last().fixed(), w.last().fixed()) else {
        return a.mismatch(kernel, "f32[channels, taps]");
    };
    if taps == 0 {
        fail!("a convolution has at least one tap");
    }
    a.exactly(kernel, &TensorType::fixed(DType::F32, &[channels, taps]))?;
    let kept = TensorType::fixed(DType::F32, &[taps - 1, channels]);
    if *a.state(of::window) != StateType::Recurrent(kept.clone()) {
        return a.mismatch(of::window, &kept.to_string());
    }
    one(y)
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
