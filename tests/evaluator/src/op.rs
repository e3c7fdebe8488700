//! From an op to what it computes.

use sharpi_ir::{Bias, Op, OutputGate, slot};

use crate::args::Args;
use crate::evaluator::Exchange;
use crate::states::States;
use crate::tensor::Tensor;
use crate::{
    blocks, elementwise, experts, heads, indexer, layout, ngrams, products, recurrent, rounding,
    streams,
};

/// The results of an op. The match has no arm for all others, so that a new op is defined here
/// before anything can be tested.
pub(crate) fn evaluate(
    op: &Op,
    a: &Args,
    states: &mut States,
    exchange: &Exchange,
) -> Result<Vec<Tensor>, String> {
    let one = |result: Tensor| Ok(vec![result]);
    match op {
        Op::Embed {} => one(layout::embed(
            a.at(slot::Embed::table)?,
            a.at(slot::Embed::ids)?,
        )?),
        Op::Matmul {} => one(products::matmul(
            a.at(slot::Matmul::x)?,
            a.at(slot::Matmul::weight)?,
        )?),
        Op::EhProj {} => one(products::matmul(
            a.at(slot::EhProj::x)?,
            a.at(slot::EhProj::weight)?,
        )?),
        Op::Quantize { to } => one(rounding::round(a.at(slot::Quantize::x)?, *to)?),
        Op::Rmsnorm { eps } => one(elementwise::rmsnorm(
            a.at(slot::Rmsnorm::x)?,
            a.at(slot::Rmsnorm::weight)?,
            *eps,
        )),
        Op::L2norm { eps } => one(elementwise::l2norm(a.at(slot::L2norm::x)?, *eps)),
        Op::Rope {
            n_rot,
            freq_base,
            scaling,
        } => {
            let angles = heads::Angles {
                n_rot: *n_rot,
                freq_base: *freq_base,
                scaling,
            };
            one(heads::rope(
                a.at(slot::Rope::x)?,
                a.at(slot::Rope::pos)?,
                &angles,
            ))
        }
        Op::KvStore {} => {
            let (k, v) = (a.at(slot::KvStore::k)?, a.at(slot::KvStore::v)?);
            let cache = states.cache(a.state(slot::KvStore::cache)?)?;
            heads::kv_store(k, v, a.at(slot::KvStore::pos)?, cache)?;
            Ok(Vec::new())
        }
        Op::Attention { scale, pool } => {
            let (q, pos) = (a.at(slot::Attention::q)?, a.at(slot::Attention::pos)?);
            let cache = states.cache(a.state(slot::Attention::cache)?)?;
            let chosen = indexer::Chosen::of(a.find(slot::Attention::blocks), *pool);
            one(heads::attention(q, pos, cache, (*scale, chosen))?)
        }
        Op::PoolKeys {
            pool,
            eps,
            n_rot,
            freq_base,
            scaling,
        } => {
            let angles = heads::Angles {
                n_rot: *n_rot,
                freq_base: *freq_base,
                scaling,
            };
            indexer::pool_keys(a, (*pool as usize, *eps), &angles, states)?;
            Ok(Vec::new())
        }
        Op::ChooseBlocks {
            pool,
            most,
            eps,
            n_rot,
            freq_base,
            scaling,
        } => {
            let angles = heads::Angles {
                n_rot: *n_rot,
                freq_base: *freq_base,
                scaling,
            };
            let sizes = (*pool as usize, *most as usize);
            one(indexer::choose_blocks(a, sizes, *eps, &angles, states)?)
        }
        Op::CausalConv {} => {
            let window = states.recurrent(a.state(slot::CausalConv::window)?)?;
            let (x, weight) = (a.at(slot::CausalConv::x)?, a.at(slot::CausalConv::weight)?);
            one(recurrent::causal_conv(x, weight, window))
        }
        Op::DilatedConv { dilation } => {
            let window = states.recurrent(a.state(slot::DilatedConv::window)?)?;
            let x = a.at(slot::DilatedConv::x)?;
            let weight = a.at(slot::DilatedConv::weight)?;
            one(recurrent::dilated_conv(
                x,
                weight,
                *dilation as usize,
                window,
            ))
        }
        Op::NgramRows { hash } => {
            let window = states.recurrent(a.state(slot::NgramRows::window)?)?;
            one(ngrams::rows(a.at(slot::NgramRows::ids)?, hash, window))
        }
        Op::SignedSqrt { min } => {
            let min = f64::from(*min);
            one(a
                .at(slot::SignedSqrt::x)?
                .map(|x| streams::signed_sqrt(x, min)))
        }
        Op::StreamGate { by, min } => {
            let (key, query) = (a.at(slot::StreamGate::key)?, a.at(slot::StreamGate::query)?);
            let value = a.at(slot::StreamGate::value)?;
            one(streams::gate(key, query, value, (*by, *min)))
        }
        Op::StreamConv { dilation } => {
            use slot::StreamConv as s;
            let window = states.recurrent(a.state(s::window)?)?;
            let (x, weight) = (a.at(s::x)?, a.at(s::weight)?);
            let y = recurrent::dilated_conv(x, weight, *dilation as usize, window);
            let y = y
                .map(elementwise::silu)
                .with_dims(a.at(s::gated)?.dims().to_vec());
            let added = elementwise::add(a.at(s::gated)?, &y);
            one(elementwise::add(a.at(s::streams)?, &added))
        }
        Op::GdnScan { keys } => {
            let matrix = states.recurrent(a.state(slot::GdnScan::matrix)?)?;
            let (q, k, v) = (
                a.at(slot::GdnScan::q)?,
                a.at(slot::GdnScan::k)?,
                a.at(slot::GdnScan::v)?,
            );
            let (g, beta) = (a.at(slot::GdnScan::g)?, a.at(slot::GdnScan::beta)?);
            one(recurrent::gdn_scan([q, k, v, g, beta], *keys, matrix))
        }
        Op::Silu {} => one(a.at(slot::Silu::x)?.map(elementwise::silu)),
        Op::Sigmoid {} => one(a.at(slot::Sigmoid::x)?.map(elementwise::sigmoid)),
        Op::Softplus {} => one(a.at(slot::Softplus::x)?.map(elementwise::softplus)),
        Op::Softmax {} => one(elementwise::softmax(a.at(slot::Softmax::x)?)),
        Op::Add {} => one(elementwise::add(a.at(slot::Add::a)?, a.at(slot::Add::b)?)),
        Op::Mul {} => one(elementwise::mul(a.at(slot::Mul::a)?, a.at(slot::Mul::b)?)),
        Op::Div {} => one(elementwise::div(a.at(slot::Div::a)?, a.at(slot::Div::b)?)),
        Op::ClampMin { min } => {
            let min = f64::from(*min);
            let x = a.at(slot::ClampMin::x)?;
            one(x.map(|x| if x < min { min } else { x }))
        }
        Op::Scale { by } => one(a.at(slot::Scale::x)?.map(|x| x * f64::from(*by))),
        Op::RowSum {} => one(elementwise::row_sum(a.at(slot::RowSum::x)?)),
        Op::Concat { axis } => one(layout::concat(
            a.at(slot::Concat::a)?,
            a.at(slot::Concat::b)?,
            *axis as usize,
        )),
        Op::Split { axis, sizes } => {
            let sizes: Vec<usize> = sizes.iter().map(|n| *n as usize).collect();
            Ok(layout::split(a.at(slot::Split::x)?, *axis as usize, &sizes))
        }
        Op::Reshape { dims } => {
            let dims: Vec<usize> = dims.iter().map(|n| *n as usize).collect();
            one(layout::reshape(a.at(slot::Reshape::x)?, &dims))
        }
        Op::GetRows {} => {
            let x = a.at(slot::GetRows::x)?;
            let rows = layout::get_rows(x, a.at(slot::GetRows::rows)?)?;
            one(rows.with_dtype(x.dtype()))
        }
        Op::TopkRouter { k, biased } => {
            let bias = match biased {
                Bias::None => None,
                Bias::Added => Some(a.at(slot::TopkRouter::bias)?),
            };
            let probs = a.at(slot::TopkRouter::probs)?;
            Ok(experts::topk(probs, bias, *k as usize).to_vec())
        }
        Op::MoeMatmul {} => {
            let (x, chosen) = (a.at(slot::MoeMatmul::x)?, a.at(slot::MoeMatmul::experts)?);
            one(experts::moe_matmul(
                x,
                chosen,
                a.at(slot::MoeMatmul::weight)?,
            )?)
        }
        Op::ExpertRows {} => {
            let (chosen, table) = (
                a.at(slot::ExpertRows::experts)?,
                a.at(slot::ExpertRows::table)?,
            );
            one(experts::expert_rows(chosen, table)?)
        }
        Op::ExpertSum {} => one(experts::expert_sum(a.at(slot::ExpertSum::x)?)),
        Op::Streams { count } => one(streams::streams(a.at(slot::Streams::x)?, *count as usize)),
        Op::StreamMix { .. } => one(streams::mix(
            a.at(slot::StreamMix::x)?,
            a.at(slot::StreamMix::gate)?,
        )),
        Op::StreamAdd {} => one(streams::add(
            a.at(slot::StreamAdd::streams)?,
            a.at(slot::StreamAdd::x)?,
            a.at(slot::StreamAdd::inject)?,
        )),
        Op::AllGather { axis, parts, .. } => {
            let of_ranks = exchange(a.at(slot::AllGather::x)?)?;
            one(layout::all_gather(&of_ranks, *axis as usize, parts)?)
        }
        Op::Product { norm_eps, epilogue } => products::product(a, *norm_eps, epilogue, states),
        Op::GatedDeltaNet {
            keys,
            gate,
            l2_eps,
            eps,
            to,
        } => one(blocks::gated_delta_net(
            a,
            (*keys, *gate, *l2_eps, *eps),
            *to,
            states,
        )?),
        Op::MoeSwiglu {
            norm_eps,
            k,
            gating,
            biased,
            to,
        } => {
            let routing = (*gating, *biased);
            one(blocks::moe_swiglu(a, *norm_eps, (*k, routing), *to)?)
        }
        Op::MoeSum {
            gating,
            biased,
            min,
            scale,
            shared,
            onto,
        } => {
            let routing = (*gating, *biased);
            one(blocks::moe_sum(
                a,
                routing,
                (*min, *scale),
                (*shared, *onto),
            )?)
        }
        Op::RopeAttention {
            biased,
            norm_eps,
            n_rot,
            freq_base,
            scaling,
            scale,
            gate,
            to,
            pool,
        } => {
            let angles = heads::Angles {
                n_rot: *n_rot,
                freq_base: *freq_base,
                scaling,
            };
            let gated = match gate {
                OutputGate::None => false,
                OutputGate::Sigmoid => true,
            };
            one(blocks::rope_attention(
                a,
                (*biased, *norm_eps, &angles),
                (*scale, *pool),
                (gated, *to),
                states,
            )?)
        }
    }
}
