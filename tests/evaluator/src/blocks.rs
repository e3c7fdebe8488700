//! Fused ops that are a good part of a block, by their definition in other ops.

use sharpi_ir::{Bias, DType, Gating, KeyHeads, Onto, ScanGate, SharedExpert, SlotName, slot};

use crate::args::Args;
use crate::elementwise::{
    add, div, l2norm, mul, rmsnorm, row_sum, sigmoid, silu, softmax, softplus,
};
use crate::experts::{expert_sum, moe_matmul, topk};
use crate::heads::{Angles, attention, rope};
use crate::indexer::Chosen;
use crate::layout::{reshape, split};
use crate::products::input;
use crate::recurrent::gdn_scan;
use crate::rounding::round;
use crate::states::States;
use crate::tensor::Tensor;

/// A scan of what a DeltaNet block's projections and convolution give, its norm by heads and its
/// gate. `u` is q, k and v of a token.
pub(crate) fn gated_delta_net(
    a: &Args,
    (keys, gate, l2_eps, eps): (KeyHeads, ScanGate, f32, f32),
    to: DType,
    states: &mut States,
) -> Result<Tensor, String> {
    use slot::GatedDeltaNet as s;
    let (u, z, norm) = (a.at(s::u)?, a.at(s::z)?, a.at(s::norm)?);
    let (heads, d) = (a.at(s::dt)?.dims()[0], norm.last());
    let k_width = (u.last() - heads * d) / 2;
    let parts = split(u, 1, &[k_width, k_width, heads * d]);
    let by_heads = |x: &Tensor| reshape(x, &[x.last() / d, d]);
    let (q, k) = (
        l2norm(&by_heads(&parts[0]), l2_eps),
        l2norm(&by_heads(&parts[1]), l2_eps),
    );
    let g = mul(
        &add(a.at(s::alpha)?, a.at(s::dt)?).map(softplus),
        a.at(s::a)?,
    );
    let beta = a.at(s::beta)?.map(sigmoid);
    let matrix = states.recurrent(a.state(s::matrix)?)?;
    let o = gdn_scan([&q, &k, &by_heads(&parts[2]), &g, &beta], keys, matrix);
    let o = reshape(&rmsnorm(&o, norm, eps), &[heads * d]);
    let gate = z.map(match gate {
        ScanGate::Silu => silu,
        ScanGate::Sigmoid => sigmoid,
    });
    round(&mul(&o, &gate), to)
}

/// The experts of each token, and their probabilities.
fn choose(
    a: &Args,
    (logits, bias): (SlotName, SlotName),
    (gating, biased): (Gating, Bias),
    k: usize,
) -> Result<[Tensor; 2], String> {
    let probs = match gating {
        Gating::Softmax => softmax(a.at(logits)?),
        Gating::Sigmoid => a.at(logits)?.map(sigmoid),
    };
    let bias = match biased {
        Bias::None => None,
        Bias::Added => Some(a.at(bias)?),
    };
    Ok(topk(&probs, bias, k))
}

/// The SwiGLU of each of a token's `k` best experts.
pub(crate) fn moe_swiglu(
    a: &Args,
    norm_eps: Option<f32>,
    (k, routing): (u32, (Gating, Bias)),
    to: DType,
) -> Result<Tensor, String> {
    use slot::MoeSwiglu as s;
    let (x, weights) = (input(a, (s::x, s::norm), norm_eps)?, a.all(s::weights));
    let [chosen, _] = choose(a, (s::logits, s::bias), routing, k as usize)?;
    let both = weights.iter().map(|weight| moe_matmul(&x, &chosen, weight));
    let mut parts: Vec<Tensor> = both.collect::<Result<_, _>>()?;
    if let [both] = &parts[..] {
        let n = both.last() / 2;
        parts = split(both, 2, &[n, n]);
    }
    round(&mul(&parts[0].map(silu), &parts[1]), to)
}

/// The experts' part of a block, the shared expert's and the residual, if there are such.
pub(crate) fn moe_sum(
    a: &Args,
    routing: (Gating, Bias),
    (min, scale): (Option<f32>, Option<f32>),
    (shared, onto): (SharedExpert, Onto),
) -> Result<Tensor, String> {
    use slot::MoeSum as s;
    let x = a.at(s::x)?;
    let [chosen, mut probs] = choose(a, (s::logits, s::bias), routing, x.dims()[1])?;
    if let Some(min) = min.map(f64::from) {
        let sum = row_sum(&probs).map(|x| if x < min { min } else { x });
        probs = div(&probs, &sum);
    }
    if let Some(scale) = scale.map(f64::from) {
        probs = probs.map(|p| p * scale);
    }
    let weights = reshape(&probs, &[x.dims()[1], 1]);
    let experts = expert_sum(&mul(&moe_matmul(x, &chosen, a.at(s::weight)?)?, &weights));
    let all = match shared {
        SharedExpert::None => experts,
        SharedExpert::Plain => add(&experts, a.at(s::shared)?),
        SharedExpert::Gated => {
            let gate = a.at(s::gate)?.map(sigmoid);
            add(&experts, &mul(a.at(s::shared)?, &gate))
        }
    };
    match onto {
        Onto::Residual => Ok(add(a.at(s::residual)?, &all)),
        Onto::Nothing => Ok(all),
    }
}

/// Attention of turned queries, which are normed before if there is an `eps`; with a gate, each
/// head's stands behind its query.
pub(crate) fn rope_attention(
    a: &Args,
    (biased, norm_eps, angles): (Bias, Option<f32>, &Angles<'_>),
    (scale, pool): (f32, Option<u32>),
    (gated, to): (bool, DType),
    states: &mut States,
) -> Result<Tensor, String> {
    use slot::RopeAttention as s;
    let pos = a.at(s::pos)?;
    let q = &match biased {
        Bias::None => a.at(s::q)?.clone(),
        Bias::Added => add(a.at(s::q)?, a.at(s::bias)?),
    };
    let chosen = Chosen::of(a.find(s::blocks), pool);
    let cache = states.cache(a.state(s::cache)?)?;
    let d = cache.dim;
    let (mut query, mut gate) = (reshape(q, &[q.last() / d, d]), None);
    if gated {
        let mut parts = split(&reshape(q, &[q.last() / (2 * d), 2 * d]), 2, &[d, d]);
        gate = parts.pop();
        query = parts.remove(0);
    }
    if let Some(eps) = norm_eps {
        query = rmsnorm(&query, a.at(s::norm)?, eps);
    }
    let y = attention(&rope(&query, pos, angles), pos, cache, (scale, chosen))?;
    let y = match gate {
        None => y,
        Some(gate) => mul(&y, &gate.map(sigmoid)),
    };
    let width = y.width();
    round(&reshape(&y, &[width]), to)
}
