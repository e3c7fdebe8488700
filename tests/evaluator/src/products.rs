//! Products, and the fused ops that are one with something before and something behind it.

use sharpi_ir::{DType, slot};

use crate::args::Args;
use crate::elementwise::{add, mul, rmsnorm, silu};
use crate::heads::{Angles, kv_store, rope};
use crate::layout::reshape;
use crate::recurrent::causal_conv;
use crate::rounding::round;
use crate::states::States;
use crate::tensor::Tensor;

/// `x` as it meets a weight: in the weight's activation type.
pub(crate) fn rounded_for(x: &Tensor, weight: &Tensor) -> Result<Tensor, String> {
    let to = weight.dtype().activation();
    let to = to.ok_or_else(|| format!("weights of {} are not multiplied", weight.dtype()))?;
    match x.dtype() == to {
        true => Ok(x.clone()),
        false => round(x, to),
    }
}

/// A row times `n` rows of a weight, from row `first` on.
pub(crate) fn dot_rows(x: &[f64], weight: &Tensor, first: usize, n: usize) -> Vec<f64> {
    let dot = |row: &[f64]| x.iter().zip(row).map(|(x, w)| x * w).sum();
    (first..first + n).map(|i| dot(weight.row(i))).collect()
}

/// `x · Wᵀ`.
pub(crate) fn matmul(x: &Tensor, weight: &Tensor) -> Result<Tensor, String> {
    let (x, n) = (rounded_for(x, weight)?, weight.dims()[0]);
    let mut dims = x.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = n;
    }
    let rows: Vec<Vec<f64>> = x.rows().map(|row| dot_rows(row, weight, 0, n)).collect();
    Tensor::new(dims, rows.concat())
}

/// What fused products multiply, and their weights: where there is an RMS norm before them its
/// weight comes first.
pub(crate) fn input<'a>(
    a: &Args<'a>,
    (x, weights): (usize, usize),
    norm_eps: Option<f32>,
) -> (Tensor, Vec<&'a Tensor>) {
    let (x, mut weights) = (a.at(x), a.from(weights));
    match norm_eps {
        None => (x.clone(), weights),
        Some(eps) => (rmsnorm(x, weights.remove(0), eps), weights),
    }
}

/// Products of one input with several weights.
pub(crate) fn project(a: &Args, norm_eps: Option<f32>) -> Result<Vec<Tensor>, String> {
    let (x, weights) = input(a, (slot::Project::x, slot::Project::weights), norm_eps);
    weights.iter().map(|weight| matmul(&x, weight)).collect()
}

/// `silu(x · Gᵀ) · (x · Uᵀ)`.
pub(crate) fn project_swiglu(a: &Args, norm_eps: Option<f32>, to: DType) -> Result<Tensor, String> {
    let slots = (slot::ProjectSwiglu::x, slot::ProjectSwiglu::weights);
    let (x, weights) = input(a, slots, norm_eps);
    let (gate, up) = (matmul(&x, weights[0])?, matmul(&x, weights[1])?);
    round(&mul(&gate.map(silu), &up), to)
}

/// `residual + x · Wᵀ`.
pub(crate) fn matmul_add(a: &Args) -> Result<Tensor, String> {
    let y = matmul(a.at(slot::MatmulAdd::x), a.at(slot::MatmulAdd::weight))?;
    Ok(add(a.at(slot::MatmulAdd::residual), &y))
}

/// A projection, its convolution over time and SiLU.
pub(crate) fn project_conv(
    a: &Args,
    norm_eps: Option<f32>,
    states: &mut States,
) -> Result<Tensor, String> {
    let slots = (slot::ProjectConv::x, slot::ProjectConv::weights);
    let (x, weights) = input(a, slots, norm_eps);
    let window = states.recurrent(a.state(slot::ProjectConv::window))?;
    let convolved = causal_conv(&matmul(&x, weights[0])?, weights[1], window);
    Ok(convolved.map(silu))
}

/// Keys and values from their projections into the cache; keys are normed with `eps` and turned.
pub(crate) fn project_kv(
    a: &Args,
    norm_eps: Option<f32>,
    (eps, angles): (f32, &Angles<'_>),
    states: &mut States,
) -> Result<(), String> {
    let slots = (slot::ProjectKv::x, slot::ProjectKv::weights);
    let (x, weights) = input(a, slots, norm_eps);
    let pos = a.at(slot::ProjectKv::pos);
    let cache = states.cache(a.state(slot::ProjectKv::cache))?;
    let by_heads = |x: Tensor| reshape(&x, &[cache.heads, cache.dim]);
    let (k, v) = (
        by_heads(matmul(&x, weights[0])?),
        by_heads(matmul(&x, weights[1])?),
    );
    let k = rope(&rmsnorm(&k, weights[2], eps), pos, angles);
    kv_store(&k, &v, pos, cache)
}
