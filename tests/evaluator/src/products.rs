//! Products, and the fused ops that are one with something before and something behind it.

use sharpi_ir::{Bias, Epilogue, SlotName, slot};

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

/// What fused products multiply: their input, or its RMS norm.
pub(crate) fn input(
    a: &Args,
    (x, norm): (SlotName, SlotName),
    norm_eps: Option<f32>,
) -> Result<Tensor, String> {
    match norm_eps {
        None => Ok(a.at(x)?.clone()),
        Some(eps) => Ok(rmsnorm(a.at(x)?, a.at(norm)?, eps)),
    }
}

/// Products of one input, and what their epilogue makes of them.
pub(crate) fn product(
    a: &Args,
    norm_eps: Option<f32>,
    epilogue: &Epilogue,
    states: &mut States,
) -> Result<Vec<Tensor>, String> {
    use slot::Product as s;
    let x = input(a, (s::x, s::norm), norm_eps)?;
    let products = a.all(s::weights).into_iter().map(|w| matmul(&x, w));
    let y: Vec<Tensor> = products.collect::<Result<_, _>>()?;
    match epilogue {
        Epilogue::None => Ok(y),
        Epilogue::Swiglu { to } => Ok(vec![round(&mul(&y[0].map(silu), &y[1]), *to)?]),
        Epilogue::Add => Ok(vec![add(a.at(s::residual)?, &y[0])]),
        Epilogue::Silu { by, to } => {
            let by = f64::from(*by);
            Ok(vec![round(&y[0].map(|x| silu(x * by)), *to)?])
        }
        Epilogue::ConvSilu => {
            let window = states.recurrent(a.state(s::window)?)?;
            let convolved = causal_conv(&y[0], a.at(s::kernel)?, window);
            Ok(vec![convolved.map(silu)])
        }
        Epilogue::Store {
            bias,
            norm_eps,
            n_rot,
            freq_base,
            scaling,
        } => {
            let angles = Angles {
                n_rot: *n_rot,
                freq_base: *freq_base,
                scaling,
            };
            let cache = states.cache(a.state(s::cache)?)?;
            let by_heads = |x: &Tensor| reshape(x, &[cache.heads, cache.dim]);
            let biased = |y: &Tensor, name| match bias {
                Bias::None => Ok(by_heads(y)),
                Bias::Added => Ok::<_, String>(by_heads(&add(y, a.at(name)?))),
            };
            let (mut k, v) = (biased(&y[0], s::key_bias)?, biased(&y[1], s::value_bias)?);
            if let Some(eps) = norm_eps {
                k = rmsnorm(&k, a.at(s::key_norm)?, *eps);
            }
            let pos = a.at(s::pos)?;
            kv_store(&rope(&k, pos, &angles), &v, pos, cache)?;
            Ok(Vec::new())
        }
    }
}
