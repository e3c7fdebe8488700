//! Shape rules of fused ops. They take f32 and round it for each weight by themselves.

use super::{Args, Result, ResultTypes, check_activation, one, product, rotated, same_tokens};
use crate::rope::RopeScaling;
use crate::types::{DType, Dim, StateType, TensorType};

/// What a fused product multiplies, and the weights that it meets.
struct Input<'a> {
    x: &'a TensorType,
    /// Slot of the first weight behind the norm's.
    first: usize,
    /// Number of these weights.
    count: usize,
}

/// `x` in slot 0 and the weights from slot `weights` on, of which the first is the norm's where
/// there is one.
fn input<'a>(a: &Args<'a>, weights: usize, norm_eps: Option<f32>) -> Result<Input<'a>> {
    let x = a.f32(0, 2)?;
    let mut first = weights;
    if norm_eps.is_some() {
        a.exactly(first, &TensorType::new(DType::F32, [x.last()]))?;
        first += 1;
    }
    let count = a.types.len() - first;
    if count == 0 {
        fail!("there is no weight behind the norm's");
    }
    Ok(Input { x, first, count })
}

impl Input<'_> {
    fn products(&self, a: &Args) -> Result<ResultTypes> {
        (self.first..self.first + self.count)
            .map(|slot| product(a, self.x, slot))
            .collect()
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
    input(a, 1, norm_eps)?.products(a)
}

pub(super) fn project_swiglu(a: &Args, norm_eps: Option<f32>, to: DType) -> Result<ResultTypes> {
    let input = input(a, 1, norm_eps)?;
    if input.count != 2 {
        fail!("{} weights, expected gate and up", input.count);
    }
    let mut both = input.products(a)?;
    let (up, gate) = (both.pop(), both.pop());
    match (gate, up) {
        (Some(gate), Some(up)) if gate == up => rounded_to(gate, to),
        (_, _) => a.mismatch(input.first + 1, &a.tensor(input.first).to_string()),
    }
}

pub(super) fn matmul_add(a: &Args) -> Result<ResultTypes> {
    check_activation(a, 0, a.tensor(1).dtype)?;
    let y = product(a, a.tensor(0), 1)?;
    a.exactly(2, &y)?;
    one(y)
}

/// Elements of so many heads, as many again for their gates, if there are any and so many can be
/// counted.
fn with_gates(heads: usize, dim: usize) -> Option<usize> {
    let all = heads.checked_mul(dim)?.checked_mul(2)?;
    (all > 0).then_some(all)
}

/// Heads and head size of the cache in slot `i`.
fn cache(a: &Args, i: usize) -> Result<(usize, usize)> {
    match a.state(i) {
        StateType::Kv { heads, dim, .. } if with_gates(*heads, *dim).is_some() => {
            Ok((*heads, *dim))
        }
        StateType::Kv { .. } | StateType::Recurrent(_) => a.mismatch(i, "kv[heads, head size]"),
    }
}

pub(super) fn project_kv(
    a: &Args,
    norm_eps: Option<f32>,
    (n_rot, scaling): (u32, &RopeScaling),
) -> Result<ResultTypes> {
    let (heads, dim) = cache(a, 2)?;
    rotated(n_rot, scaling, dim)?;
    same_tokens(a, 0, 1)?;
    let Input { x, first, count } = input(a, 3, norm_eps)?;
    if count != 3 || x.rank() != 2 {
        fail!("{count} weights for {x}, expected those of keys, of values and of the keys' norm");
    }
    for slot in [first, first + 1] {
        if product(a, x, slot)?.last() != Dim::Fixed(heads * dim) {
            return a.mismatch(slot, &format!("[{}, {}]", heads * dim, x.last()));
        }
    }
    a.exactly(first + 2, &TensorType::fixed(DType::F32, &[dim]))?;
    Ok(ResultTypes::new())
}

pub(super) fn gated_attention(
    a: &Args,
    (n_rot, scaling): (u32, &RopeScaling),
    to: DType,
) -> Result<ResultTypes> {
    let (kv_heads, dim) = cache(a, 2)?;
    rotated(n_rot, scaling, dim)?;
    same_tokens(a, 0, 1)?;
    let q = a.f32(0, 2)?;
    let width = q.last().fixed().unwrap_or(0);
    if q.rank() != 2 || width == 0 || !width.is_multiple_of(2 * dim * kv_heads) {
        return a.mismatch(0, &format!("f32[T, a multiple of {}]", 2 * dim * kv_heads));
    }
    a.exactly(3, &TensorType::fixed(DType::F32, &[dim]))?;
    let group = width / 2 / kv_heads;
    if !group.is_multiple_of(to.block_len()) {
        fail!("the {group} elements of a kv head's queries are no whole {to}-blocks");
    }
    rounded_to(
        TensorType::new(DType::F32, [q.shape[0], (width / 2).into()]),
        to,
    )
}

pub(super) fn moe_swiglu(
    a: &Args,
    norm_eps: Option<f32>,
    k: usize,
    to: DType,
) -> Result<ResultTypes> {
    let Input { x, first, count } = input(a, 2, norm_eps)?;
    let w = a.tensor(first);
    if w.rank() != 3 || w.dtype.activation().is_none() || x.rank() != 2 || x.last() != w.shape[2] {
        return a.mismatch(first, &format!("[experts, N, {}] for {x}", x.last()));
    }
    a.exactly(1, &TensorType::new(DType::F32, [x.shape[0], w.shape[0]]))?;
    let (experts, rows) = (
        w.shape[0].fixed().unwrap_or(0),
        w.shape[1].fixed().unwrap_or(0),
    );
    if k == 0 || k > experts {
        fail!("k is {k}, expected 1..={experts}");
    }
    let n = match count {
        1 if rows.is_multiple_of(2) => rows / 2,
        2 if a.tensor(first + 1).shape == w.shape => rows,
        _ => fail!("{count} weights, expected gate and up of one shape, or both as one tensor"),
    };
    rounded_to(
        TensorType::new(DType::F32, [x.shape[0], k.into(), n.into()]),
        to,
    )
}

pub(super) fn moe_sum(a: &Args) -> Result<ResultTypes> {
    let (x, w) = (a.tensor(0), a.tensor(5));
    if w.rank() != 3 {
        return a.mismatch(5, "[experts, E, N]");
    }
    check_activation(a, 0, w.dtype)?;
    if x.rank() != 3 || x.last() != w.shape[2] {
        return a.mismatch(0, &format!("[T, k, {}]", w.shape[2]));
    }
    let per_token = |last: Dim| TensorType::new(DType::F32, [x.shape[0], last]);
    if x.shape[1].fixed() > w.shape[0].fixed() {
        return a.mismatch(0, &format!("at most {} experts", w.shape[0]));
    }
    a.exactly(1, &per_token(w.shape[0]))?;
    a.exactly(2, &per_token(w.shape[1]))?;
    a.exactly(3, &per_token(Dim::Fixed(1)))?;
    a.exactly(4, &per_token(w.shape[1]))?;
    one(per_token(w.shape[1]))
}

pub(super) fn project_conv(a: &Args, norm_eps: Option<f32>) -> Result<ResultTypes> {
    let Input { x, first, count } = input(a, 2, norm_eps)?;
    if count != 2 || x.rank() != 2 {
        fail!("{count} weights for {x}, expected a projection's and a convolution's");
    }
    let y = product(a, x, first)?;
    let w = a.f32(first + 1, 2)?;
    let (Some(channels), Some(taps)) = (y.last().fixed(), w.last().fixed()) else {
        return a.mismatch(first + 1, "f32[channels, taps]");
    };
    if taps == 0 {
        fail!("a convolution has at least one tap");
    }
    a.exactly(first + 1, &TensorType::fixed(DType::F32, &[channels, taps]))?;
    let window = TensorType::fixed(DType::F32, &[taps - 1, channels]);
    if *a.state(1) != StateType::Recurrent(window.clone()) {
        return a.mismatch(1, &window.to_string());
    }
    one(y)
}

pub(super) fn gated_delta_net(a: &Args, to: DType) -> Result<ResultTypes> {
    let StateType::Recurrent(matrix) = a.state(4) else {
        return a.mismatch(4, "f32[heads, head size, head size]");
    };
    let dims: Option<Vec<usize>> = matrix.shape.iter().map(|d| d.fixed()).collect();
    let (heads, d) = match dims.as_deref() {
        Some(&[heads, d, same]) if d == same && with_gates(heads, d).is_some() => (heads, d),
        Some(_) | None => return a.mismatch(4, "f32[heads, head size, head size]"),
    };
    let u = a.f32(0, 2)?;
    let keys = u.last().fixed().and_then(|n| n.checked_sub(heads * d));
    let k_heads = keys.map_or(0, |n| n / (2 * d));
    let whole = keys == Some(2 * d * k_heads) && k_heads > 0 && heads.is_multiple_of(k_heads);
    if u.rank() != 2 || !whole {
        return a.mismatch(0, &format!("f32[T, 2·Hk·{d} + {}]", heads * d));
    }
    let per_token = |n: usize| TensorType::new(DType::F32, [u.shape[0], n.into()]);
    a.exactly(1, &per_token(heads * d))?;
    a.exactly(2, &per_token(heads))?;
    a.exactly(3, &per_token(heads))?;
    a.exactly(5, &TensorType::fixed(DType::F32, &[heads]))?;
    a.exactly(6, &TensorType::fixed(DType::F32, &[heads]))?;
    a.exactly(7, &TensorType::fixed(DType::F32, &[d]))?;
    rounded_to(per_token(heads * d), to)
}
