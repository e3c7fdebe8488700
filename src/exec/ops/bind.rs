//! From an op of a planned graph to its kernel.

use std::sync::Arc;

use sharpi_ir::{Op, RopeScaling, slot};

use super::attention::{Attention, GatedAttention, HeadNorm, KvStore, ProjectKv};
use super::deltanet::{CausalConv, GdnScan, ProjectConv};
use super::elementwise::{Binary, BinaryOp, RowSum, Unary, UnaryOp};
use super::gated_delta_net::GatedDeltaNet;
use super::layout::{Concat, Pieces, Split};
use super::moe::{ExpertRows, ExpertSum, MoeMatmul, TopkRouter};
use super::moe_fused::{MoeSum, MoeSwiglu};
use super::parts::{BindError, Bound, Parts};
use super::project::{Activations, MatmulAdd, Project, ProjectSwiglu};
use super::rows::{Embed, GetRows, Norm, Quantize, Rope};
use super::{Kernel, Slot, Weight};
use sharpi_kernels::conv::taps;
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
            let (x, parts) = (Activations::plain(x), vec![(weight, p.result(0)?)]);
            Box::new(Project { x, parts })
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
        Op::Attention { scale } => {
            let (state, layout) = p.kv(slot::Attention::cache)?;
            let (q, pos, y, scale) = (
                p.value(slot::Attention::q)?,
                p.value(slot::Attention::pos)?,
                p.result(0)?,
                *scale,
            );
            Box::new(Attention {
                q,
                pos,
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
                state: p.state(slot::CausalConv::window)?.index,
                y: p.result(0)?,
            })
        }
        Op::GdnScan {} => Box::new(GdnScan {
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
        Op::TopkRouter { .. } => Box::new(TopkRouter {
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
        Op::Project { norm_eps } => {
            let (x, weights) = p.products(slot::Project::weights, *norm_eps)?;
            let parts = weights.into_iter().zip(p.results).collect();
            Box::new(Project { x, parts })
        }
        Op::ProjectSwiglu { norm_eps, to } => {
            let (x, weights) = p.products(slot::ProjectSwiglu::weights, *norm_eps)?;
            let Ok([gate, up]) = <[Arc<Weight>; 2]>::try_from(weights) else {
                return p.fail("gate and up are not two weights");
            };
            let (to, y) = (p.format(*to)?, p.result(0)?);
            Box::new(ProjectSwiglu { x, gate, up, to, y })
        }
        Op::MatmulAdd {} => {
            let (x, weight) = p.matmul(slot::MatmulAdd::x, slot::MatmulAdd::weight)?;
            Box::new(MatmulAdd {
                x: Activations::plain(x),
                weight,
                residual: p.value(slot::MatmulAdd::residual)?,
                y: p.result(0)?,
            })
        }
        Op::ProjectConv { norm_eps } => {
            let (x, weights) = p.products(slot::ProjectConv::weights, *norm_eps)?;
            let Ok([weight, kernel]) = <[Arc<Weight>; 2]>::try_from(weights) else {
                return p.fail("projection and convolution are not two weights");
            };
            let (state, y) = (p.state(slot::ProjectConv::window)?.index, p.result(0)?);
            Box::new(ProjectConv::new(x, weight, &kernel, state, y))
        }
        Op::GatedDeltaNet { l2_eps, eps, to } => Box::new(GatedDeltaNet {
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
        Op::MoeSwiglu { norm_eps, k, to } => {
            let (x, weights) = p.products(slot::MoeSwiglu::weights, *norm_eps)?;
            Box::new(MoeSwiglu {
                x,
                logits: p.value(slot::MoeSwiglu::logits)?,
                used: *k as usize,
                weights,
                to: p.format(*to)?,
                y: p.result(0)?,
            })
        }
        Op::MoeSum { min } => {
            let (x, weight) = p.matmul(slot::MoeSum::x, slot::MoeSum::weight)?;
            Box::new(MoeSum {
                x: Activations::plain(x),
                logits: p.value(slot::MoeSum::logits)?,
                shared: p.value(slot::MoeSum::shared)?,
                gate: p.value(slot::MoeSum::gate)?,
                residual: p.value(slot::MoeSum::residual)?,
                weight,
                min: *min,
                y: p.result(0)?,
            })
        }
        Op::ProjectKv {
            norm_eps,
            eps,
            n_rot,
            freq_base,
            scaling,
        } => {
            let (x, weights) = p.products(slot::ProjectKv::weights, *norm_eps)?;
            let Ok([k, v, norm]) = <[Arc<Weight>; 3]>::try_from(weights) else {
                return p.fail("keys, values and the keys' norm are not three weights");
            };
            let (state, layout) = p.kv(slot::ProjectKv::cache)?;
            Box::new(ProjectKv {
                x,
                pos: p.value(slot::ProjectKv::pos)?,
                k,
                v,
                heads: HeadNorm {
                    weight: norm.floats(),
                    eps: *eps,
                    rotation: rotation(*n_rot, *freq_base, scaling),
                },
                state,
                layout,
            })
        }
        Op::GatedAttention {
            eps,
            n_rot,
            freq_base,
            scaling,
            scale,
            to,
        } => {
            let (state, layout) = p.kv(slot::GatedAttention::cache)?;
            Box::new(GatedAttention {
                q: p.value(slot::GatedAttention::q)?,
                pos: p.value(slot::GatedAttention::pos)?,
                heads: HeadNorm {
                    weight: p.weight(slot::GatedAttention::norm)?.floats(),
                    eps: *eps,
                    rotation: rotation(*n_rot, *freq_base, scaling),
                },
                state,
                layout,
                scale: *scale,
                to: p.format(*to)?,
                y: p.result(0)?,
            })
        }
    }))
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
        },
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
