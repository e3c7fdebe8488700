//! From an op of a planned graph to its kernel.

use std::sync::Arc;

use sharpi_ir::{Op, RopeScaling};

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
        op: op.mnemonic(),
        operands,
        results,
    };
    Ok(Some(match op {
        Op::Reshape { .. } => return Ok(None),
        Op::Embed {} => Box::new(Embed {
            ids: p.value(0)?,
            table: p.weight(1)?,
            y: p.result(0)?,
        }),
        Op::Matmul {} | Op::EhProj {} => {
            let (x, weight) = p.matmul(1)?;
            let (x, parts) = (Activations::plain(x), vec![(weight, p.result(0)?)]);
            Box::new(Project { x, parts })
        }
        Op::MoeMatmul {} => {
            let (x, weight) = p.matmul(2)?;
            let (ids, y) = (p.value(1)?, p.result(0)?);
            Box::new(MoeMatmul { x, ids, weight, y })
        }
        Op::Quantize { to } => Box::new(Quantize {
            x: p.value(0)?,
            to: p.format(*to)?,
            y: p.result(0)?,
        }),
        Op::Rmsnorm { eps } => Box::new(Norm {
            x: p.value(0)?,
            weight: Some(p.weight(1)?.floats()),
            eps: *eps,
            y: p.result(0)?,
        }),
        Op::L2norm { eps } => Box::new(Norm {
            x: p.value(0)?,
            weight: None,
            eps: *eps,
            y: p.result(0)?,
        }),
        Op::Rope {
            n_rot,
            freq_base,
            scaling,
        } => Box::new(Rope {
            x: p.value(0)?,
            pos: p.value(1)?,
            rotation: rotation(*n_rot, *freq_base, scaling),
            y: p.result(0)?,
        }),
        Op::KvStore {} => {
            let (state, layout) = p.kv(3)?;
            let (k, v, pos) = (p.value(0)?, p.value(1)?, p.value(2)?);
            Box::new(KvStore {
                k,
                v,
                pos,
                state,
                layout,
            })
        }
        Op::Attention { scale } => {
            let (state, layout) = p.kv(2)?;
            let (q, pos, y, scale) = (p.value(0)?, p.value(1)?, p.result(0)?, *scale);
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
            let w = p.weight(1)?;
            Box::new(CausalConv {
                x: p.value(0)?,
                taps: taps(&w.floats(), w.dims[1]),
                state: p.state(2)?.index,
                y: p.result(0)?,
            })
        }
        Op::GdnScan {} => Box::new(GdnScan {
            q: p.value(0)?,
            k: p.value(1)?,
            v: p.value(2)?,
            g: p.value(3)?,
            beta: p.value(4)?,
            state: p.state(5)?.index,
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
            x: p.value(0)?,
            y: p.result(0)?,
        }),
        Op::Concat { axis } => Box::new(Concat(Pieces {
            parts: vec![p.value(0)?, p.value(1)?],
            whole: p.result(0)?,
            axis: *axis as usize - 1,
        })),
        Op::Split { axis, .. } => Box::new(Split(Pieces {
            whole: p.value(0)?,
            parts: p.results,
            axis: *axis as usize - 1,
        })),
        Op::GetRows {} => Box::new(GetRows {
            x: p.value(0)?,
            rows: p.value(1)?,
            y: p.result(0)?,
        }),
        Op::TopkRouter { .. } => Box::new(TopkRouter {
            probs: p.value(0)?,
            ids: p.result(0)?,
            weights: p.result(1)?,
        }),
        Op::ExpertRows {} => Box::new(ExpertRows {
            ids: p.value(0)?,
            table: p.weight(1)?.floats(),
            y: p.result(0)?,
        }),
        Op::ExpertSum {} => Box::new(ExpertSum {
            x: p.value(0)?,
            y: p.result(0)?,
        }),
        Op::Project { norm_eps } => {
            let (x, weights) = p.products(1, *norm_eps)?;
            let parts = weights.into_iter().zip(p.results).collect();
            Box::new(Project { x, parts })
        }
        Op::ProjectSwiglu { norm_eps, to } => {
            let (x, weights) = p.products(1, *norm_eps)?;
            let Ok([gate, up]) = <[Arc<Weight>; 2]>::try_from(weights) else {
                return p.fail("gate and up are not two weights");
            };
            let (to, y) = (p.format(*to)?, p.result(0)?);
            Box::new(ProjectSwiglu { x, gate, up, to, y })
        }
        Op::MatmulAdd {} => {
            let (x, weight) = p.matmul(1)?;
            Box::new(MatmulAdd {
                x: Activations::plain(x),
                weight,
                residual: p.value(2)?,
                y: p.result(0)?,
            })
        }
        Op::ProjectConv { norm_eps } => {
            let (x, weights) = p.products(2, *norm_eps)?;
            let Ok([weight, kernel]) = <[Arc<Weight>; 2]>::try_from(weights) else {
                return p.fail("projection and convolution are not two weights");
            };
            let (state, y) = (p.state(1)?.index, p.result(0)?);
            Box::new(ProjectConv::new(x, weight, &kernel, state, y))
        }
        Op::GatedDeltaNet { l2_eps, eps, to } => Box::new(GatedDeltaNet {
            u: p.value(0)?,
            z: p.value(1)?,
            alpha: p.value(2)?,
            beta: p.value(3)?,
            state: p.state(4)?.index,
            dt: p.weight(5)?.floats(),
            a: p.weight(6)?.floats(),
            norm: p.weight(7)?.floats(),
            l2_eps: *l2_eps,
            eps: *eps,
            to: p.format(*to)?,
            y: p.result(0)?,
        }),
        Op::MoeSwiglu { norm_eps, k, to } => {
            let (x, weights) = p.products(2, *norm_eps)?;
            Box::new(MoeSwiglu {
                x,
                logits: p.value(1)?,
                used: *k as usize,
                weights,
                to: p.format(*to)?,
                y: p.result(0)?,
            })
        }
        Op::MoeSum { min } => {
            let (x, weight) = p.matmul(5)?;
            Box::new(MoeSum {
                x: Activations::plain(x),
                logits: p.value(1)?,
                shared: p.value(2)?,
                gate: p.value(3)?,
                residual: p.value(4)?,
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
            let (x, weights) = p.products(3, *norm_eps)?;
            let Ok([k, v, norm]) = <[Arc<Weight>; 3]>::try_from(weights) else {
                return p.fail("keys, values and the keys' norm are not three weights");
            };
            let (state, layout) = p.kv(2)?;
            Box::new(ProjectKv {
                x,
                pos: p.value(1)?,
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
            let (state, layout) = p.kv(2)?;
            Box::new(GatedAttention {
                q: p.value(0)?,
                pos: p.value(1)?,
                heads: HeadNorm {
                    weight: p.weight(3)?.floats(),
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

fn unary(mut p: Parts, op: UnaryOp) -> Result<Box<dyn Kernel>, BindError> {
    let (x, y) = (p.value(0)?, p.result(0)?);
    Ok(Box::new(Unary { op, x, y }))
}

fn binary(mut p: Parts, op: BinaryOp) -> Result<Box<dyn Kernel>, BindError> {
    let a = p.value(0)?;
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
