//! From an op of a planned graph to its kernel.

mod fused;

use sharpi_ir::{Bias, Op, OutputGate, RopeScaling, SlotName, slot};

use super::activations::Activations;
use super::all_gather::AllGather;
use super::attention::{Attention, KvStore, RopeAttention, Turn};
use super::deltanet::{CausalConv, GdnScan};
use super::elementwise::{Binary, BinaryOp, RowSum, Unary, UnaryOp};
use super::gated_delta_net::GatedDeltaNet;
use super::indexer::{ChooseBlocks, PoolKeys};
use super::layout::{Concat, Pieces, Split};
use super::moe::{ExpertRows, ExpertSum, MoeMatmul, TopkRouter};
use super::moe_fused::{Choice, MoeSwiglu};
use super::ngrams::{NgramRows, StreamConv, StreamGate};
use super::parts::{BindError, Bound, Parts};
use super::product::{Part, Product, Swiglu};
use super::rows::{Embed, GetRows, Norm, Quantize, Rope};
use super::streams::{StreamAdd, StreamMix, Streams};
use super::{Kernel, Slot};
use fused::{moe_sum, product};
use sharpi_kernels::conv::taps;
use sharpi_kernels::ngram::Ngrams;
use sharpi_kernels::rope::{Rotation, Scaling};

/// Binds an op to a kernel; `None` for ops that move nothing.
pub fn bind(
    op: &Op,
    operands: Vec<Bound>,
    results: Vec<Slot>,
) -> Result<Option<Box<dyn Kernel>>, BindError> {
    let operands = operands.into_iter().map(Some).collect();
    let mut p = Parts {
        op,
        operands,
        results,
    };
    Ok(Some(match op {
        Op::Reshape { .. } => return Ok(None),
        Op::Embed {} => Box::new(Embed {
            ids: p.value(slot::Embed::ids)?,
            table: p.weight(slot::Embed::table)?,
            y: p.result(0)?,
        }),
        Op::Matmul {} | Op::EhProj {} => {
            let (x, weight) = p.matmul(slot::Matmul::x, slot::Matmul::weight)?;
            let x = Activations::plain(x);
            let parts = vec![Part::plain(&x, weight, p.result(0)?)];
            Box::new(Product { x, parts })
        }
        Op::MoeMatmul {} => {
            let (x, weight) = p.matmul(slot::MoeMatmul::x, slot::MoeMatmul::weight)?;
            let (ids, y) = (p.value(slot::MoeMatmul::experts)?, p.result(0)?);
            Box::new(MoeMatmul { x, ids, weight, y })
        }
        Op::Quantize { to } => Box::new(Quantize {
            x: p.value(slot::Quantize::x)?,
            to: p.format(*to)?,
            y: p.result(0)?,
        }),
        Op::Rmsnorm { eps } => Box::new(Norm {
            x: p.value(slot::Rmsnorm::x)?,
            weight: Some(p.weight(slot::Rmsnorm::weight)?.floats()),
            eps: *eps,
            y: p.result(0)?,
        }),
        Op::L2norm { eps } => Box::new(Norm {
            x: p.value(slot::L2norm::x)?,
            weight: None,
            eps: *eps,
            y: p.result(0)?,
        }),
        Op::Rope {
            n_rot,
            freq_base,
            scaling,
        } => Box::new(Rope {
            x: p.value(slot::Rope::x)?,
            pos: p.value(slot::Rope::pos)?,
            rotation: rotation(*n_rot, *freq_base, scaling),
            y: p.result(0)?,
        }),
        Op::KvStore {} => {
            let (state, layout) = p.kv(slot::KvStore::cache)?;
            let (k, v, pos) = (
                p.value(slot::KvStore::k)?,
                p.value(slot::KvStore::v)?,
                p.value(slot::KvStore::pos)?,
            );
            Box::new(KvStore {
                k,
                v,
                pos,
                state,
                layout,
            })
        }
        Op::PoolKeys {
            pool,
            eps,
            n_rot,
            freq_base,
            scaling,
        } => {
            let rotation = rotation(*n_rot, *freq_base, scaling);
            let (state, layout) = p.kv(slot::PoolKeys::cache)?;
            Box::new(PoolKeys {
                k: p.value(slot::PoolKeys::k)?,
                pos: p.value(slot::PoolKeys::pos)?,
                pool: *pool as usize,
                turn: turn(&mut p, (slot::PoolKeys::norm, Some(*eps)), rotation)?,
                state,
                layout,
            })
        }
        Op::ChooseBlocks {
            pool,
            eps,
            n_rot,
            freq_base,
            scaling,
            ..
        } => {
            let rotation = rotation(*n_rot, *freq_base, scaling);
            let (state, layout) = p.kv(slot::ChooseBlocks::cache)?;
            Box::new(ChooseBlocks {
                q: p.value(slot::ChooseBlocks::q)?,
                pos: p.value(slot::ChooseBlocks::pos)?,
                pool: *pool as usize,
                turn: turn(&mut p, (slot::ChooseBlocks::norm, Some(*eps)), rotation)?,
                state,
                layout,
                y: p.result(0)?,
            })
        }
        Op::Attention { scale, pool } => {
            let (state, layout) = p.kv(slot::Attention::cache)?;
            let chosen = chosen(&mut p, slot::Attention::blocks, *pool)?;
            let (q, pos, y, scale) = (
                p.value(slot::Attention::q)?,
                p.value(slot::Attention::pos)?,
                p.result(0)?,
                *scale,
            );
            Box::new(Attention {
                q,
                pos,
                chosen,
                state,
                layout,
                scale,
                y,
            })
        }
        Op::CausalConv {} => {
            let w = p.weight(slot::CausalConv::weight)?;
            Box::new(CausalConv {
                x: p.value(slot::CausalConv::x)?,
                taps: taps(&w.floats(), w.dims[1]),
                dilation: None,
                state: p.state(slot::CausalConv::window)?.index,
                y: p.result(0)?,
            })
        }
        Op::DilatedConv { dilation } => {
            let w = p.weight(slot::DilatedConv::weight)?;
            Box::new(CausalConv {
                x: p.value(slot::DilatedConv::x)?,
                taps: taps(&w.floats(), w.dims[1]),
                dilation: Some(*dilation as usize),
                state: p.state(slot::DilatedConv::window)?.index,
                y: p.result(0)?,
            })
        }
        Op::NgramRows { hash } => {
            let heads = hash.offsets.iter().copied().zip(hash.sizes.iter().copied());
            Box::new(NgramRows {
                ids: p.value(slot::NgramRows::ids)?,
                hash: Ngrams {
                    end: hash.end,
                    multipliers: hash.multipliers.clone(),
                    heads: heads.collect(),
                },
                state: p.state(slot::NgramRows::window)?.index,
                y: p.result(0)?,
            })
        }
        Op::SignedSqrt { min } => unary(p, UnaryOp::SignedSqrt(*min))?,
        Op::StreamGate { by, min } => Box::new(StreamGate {
            key: p.value(slot::StreamGate::key)?,
            query: p.value(slot::StreamGate::query)?,
            value: p.value(slot::StreamGate::value)?,
            by: *by,
            min: *min,
            y: p.result(0)?,
        }),
        Op::StreamConv { dilation } => {
            let w = p.weight(slot::StreamConv::weight)?;
            Box::new(StreamConv {
                x: p.value(slot::StreamConv::x)?,
                streams: p.value(slot::StreamConv::streams)?,
                gated: p.value(slot::StreamConv::gated)?,
                taps: taps(&w.floats(), w.dims[1]),
                dilation: *dilation as usize,
                state: p.state(slot::StreamConv::window)?.index,
                y: p.result(0)?,
            })
        }
        Op::GdnScan { keys } => Box::new(GdnScan {
            keys: *keys,
            q: p.value(slot::GdnScan::q)?,
            k: p.value(slot::GdnScan::k)?,
            v: p.value(slot::GdnScan::v)?,
            g: p.value(slot::GdnScan::g)?,
            beta: p.value(slot::GdnScan::beta)?,
            state: p.state(slot::GdnScan::matrix)?.index,
            y: p.result(0)?,
        }),
        Op::Silu {} => unary(p, UnaryOp::Silu)?,
        Op::Sigmoid {} => unary(p, UnaryOp::Sigmoid)?,
        Op::Softplus {} => unary(p, UnaryOp::Softplus)?,
        Op::Softmax {} => unary(p, UnaryOp::Softmax)?,
        Op::ClampMin { min } => unary(p, UnaryOp::ClampMin(*min))?,
        Op::Scale { by } => unary(p, UnaryOp::Scale(*by))?,
        Op::Add {} => binary(p, BinaryOp::Add)?,
        Op::Mul {} => binary(p, BinaryOp::Mul)?,
        Op::Div {} => binary(p, BinaryOp::Div)?,
        Op::RowSum {} => Box::new(RowSum {
            x: p.value(slot::RowSum::x)?,
            y: p.result(0)?,
        }),
        Op::Concat { axis } => Box::new(Concat(Pieces {
            parts: vec![p.value(slot::Concat::a)?, p.value(slot::Concat::b)?],
            whole: p.result(0)?,
            axis: *axis as usize - 1,
        })),
        Op::Split { axis, .. } => Box::new(Split(Pieces {
            whole: p.value(slot::Split::x)?,
            parts: p.results,
            axis: *axis as usize - 1,
        })),
        Op::GetRows {} => Box::new(GetRows {
            x: p.value(slot::GetRows::x)?,
            rows: p.value(slot::GetRows::rows)?,
            y: p.result(0)?,
        }),
        Op::TopkRouter { biased, .. } => Box::new(TopkRouter {
            bias: bias(&mut p, *biased, slot::TopkRouter::bias)?,
            probs: p.value(slot::TopkRouter::probs)?,
            ids: p.result(0)?,
            weights: p.result(1)?,
        }),
        Op::ExpertRows {} => Box::new(ExpertRows {
            ids: p.value(slot::ExpertRows::experts)?,
            table: p.weight(slot::ExpertRows::table)?.floats(),
            y: p.result(0)?,
        }),
        Op::ExpertSum {} => Box::new(ExpertSum {
            x: p.value(slot::ExpertSum::x)?,
            y: p.result(0)?,
        }),
        Op::Streams { .. } => Box::new(Streams {
            x: p.value(slot::Streams::x)?,
            y: p.result(0)?,
        }),
        Op::StreamMix { sums } => Box::new(StreamMix {
            sums: *sums,
            x: p.value(slot::StreamMix::x)?,
            gate: p.value(slot::StreamMix::gate)?,
            y: p.result(0)?,
        }),
        Op::StreamAdd {} => Box::new(StreamAdd {
            streams: p.value(slot::StreamAdd::streams)?,
            x: p.value(slot::StreamAdd::x)?,
            inject: p.value(slot::StreamAdd::inject)?,
            y: p.result(0)?,
        }),
        Op::AllGather { axis, rank, parts } => {
            let (x, y) = (p.value(slot::AllGather::x)?, p.result(0)?);
            let (axis, rank) = (*axis as usize - 1, *rank as usize);
            Box::new(AllGather::new(x, y, axis, rank, parts))
        }
        Op::Product { norm_eps, epilogue } => Box::new(product(p, *norm_eps, epilogue)?),
        Op::GatedDeltaNet {
            keys,
            gate,
            l2_eps,
            eps,
            to,
        } => Box::new(GatedDeltaNet {
            keys: *keys,
            gate: *gate,
            u: p.value(slot::GatedDeltaNet::u)?,
            z: p.value(slot::GatedDeltaNet::z)?,
            alpha: p.value(slot::GatedDeltaNet::alpha)?,
            beta: p.value(slot::GatedDeltaNet::beta)?,
            state: p.state(slot::GatedDeltaNet::matrix)?.index,
            dt: p.weight(slot::GatedDeltaNet::dt)?.floats(),
            a: p.weight(slot::GatedDeltaNet::a)?.floats(),
            norm: p.weight(slot::GatedDeltaNet::norm)?.floats(),
            l2_eps: *l2_eps,
            eps: *eps,
            to: p.format(*to)?,
            y: p.result(0)?,
        }),
        Op::MoeSwiglu {
            norm_eps,
            k,
            gating,
            biased,
            to,
        } => {
            use slot::MoeSwiglu as of;
            let (x, weights) = p.products(of::x, (of::norm, *norm_eps), of::weights)?;
            Box::new(MoeSwiglu {
                x,
                logits: p.value(of::logits)?,
                choice: Choice {
                    used: *k as usize,
                    gating: *gating,
                    bias: bias(&mut p, *biased, of::bias)?,
                },
                weights,
                end: Swiglu {
                    to: p.format(*to)?,
                    y: p.result(0)?,
                },
            })
        }
        Op::MoeSum {
            gating,
            biased,
            min,
            scale,
            ..
        } => Box::new(moe_sum(p, (*gating, *biased), (*min, *scale))?),
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
            use slot::RopeAttention as of;
            let (state, layout) = p.kv(of::cache)?;
            let rotation = rotation(*n_rot, *freq_base, scaling);
            Box::new(RopeAttention {
                q: p.value(of::q)?,
                pos: p.value(of::pos)?,
                chosen: chosen(&mut p, of::blocks, *pool)?,
                bias: bias(&mut p, *biased, of::bias)?,
                turn: turn(&mut p, (of::norm, *norm_eps), rotation)?,
                state,
                layout,
                scale: *scale,
                gated: *gate == OutputGate::Sigmoid,
                to: p.format(*to)?,
                y: p.result(0)?,
            })
        }
    }))
}

/// The vector that is added, if one is.
fn bias(p: &mut Parts<'_>, biased: Bias, name: SlotName) -> Result<Option<Vec<f32>>, BindError> {
    match biased {
        Bias::None => Ok(None),
        Bias::Added => Ok(Some(p.weight(name)?.floats())),
    }
}

/// The blocks that are seen and how long they are, if not all are.
fn chosen(
    p: &mut Parts<'_>,
    name: SlotName,
    pool: Option<u32>,
) -> Result<Option<(Slot, usize)>, BindError> {
    pool.map(|pool| Ok((p.value(name)?, pool as usize)))
        .transpose()
}

/// What heads go through before they meet others: a norm, if it has an eps, and a rotation.
fn turn(
    p: &mut Parts<'_>,
    (norm, eps): (SlotName, Option<f32>),
    rotation: Rotation,
) -> Result<Turn, BindError> {
    let norm = eps.map(|eps| Ok((p.weight(norm)?.floats(), eps)));
    let norm = norm.transpose()?;
    Ok(Turn { norm, rotation })
}

fn rotation(n_rot: u32, freq_base: f32, scaling: &RopeScaling) -> Rotation {
    Rotation {
        n_rot: n_rot as usize,
        freq_base,
        scaling: Scaling {
            freq_scale: scaling.freq_scale,
            ext_factor: scaling.ext_factor,
            low: scaling.low,
            high: scaling.high,
            magnitude: scaling.magnitude,
            still: scaling.still.clone(),
            factors: scaling.factors.clone(),
        },
        neighbours: scaling.neighbours,
    }
}

fn unary(mut p: Parts<'_>, op: UnaryOp) -> Result<Box<dyn Kernel>, BindError> {
    let (x, y) = (p.value(slot::Silu::x)?, p.result(0)?);
    Ok(Box::new(Unary { op, x, y }))
}

fn binary(mut p: Parts<'_>, op: BinaryOp) -> Result<Box<dyn Kernel>, BindError> {
    let a = p.value(slot::Add::a)?;
    let (b, b_dims) = p.right(&a)?;
    let y = p.result(0)?;
    Ok(Box::new(Binary {
        op,
        a,
        b,
        b_dims,
        y,
    }))
}
