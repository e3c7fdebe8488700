//! From an op of a planned graph to its kernel.

use std::sync::Arc;

use sharpi_ir::{DType, Op, StateType};

use super::attention::{Attention, GatedAttention, HeadNorm, KvStore, ProjectKv};
use super::deltanet::{CausalConv, GdnScan, ProjectConv};
use super::elementwise::{Binary, BinaryOp, Right, RowSum, Unary, UnaryOp};
use super::gated_delta_net::GatedDeltaNet;
use super::layout::{Concat, Pieces, Split};
use super::moe::{ExpertSum, MoeMatmul, TopkRouter};
use super::moe_fused::{MoeSum, MoeSwiglu};
use super::project::{Activations, MatmulAdd, Project, ProjectSwiglu, RowNorm};
use super::rows::{Embed, GetRows, Norm, Quantize, Rope};
use super::{Kernel, KvLayout, Slot, WeightData};
use crate::gguf::{Gguf, TensorInfo};
use crate::kernels::activation::ActivationType;
use crate::kernels::attention::CacheType;
use crate::kernels::conv::taps;
use crate::kernels::quant::WeightType;

/// Why an op cannot be bound to a kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot execute `{op}`: {message}")]
pub struct BindError {
    /// Mnemonic.
    pub op: &'static str,
    /// What is in the way.
    pub message: String,
}

/// A state as an operand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// Position among the module's states.
    pub index: usize,
    /// Its type.
    pub ty: StateType,
}

/// An operand with its place.
pub enum Bound {
    /// A value in the arena.
    Value(Slot),
    /// A weight in the file.
    Weight(WeightData),
    /// A state of the session.
    State(State),
}

impl WeightData {
    /// The weight that `tensor` holds; `None` where there is no kernel for `dtype`.
    pub fn new(
        gguf: &Arc<Gguf>,
        tensor: &TensorInfo,
        dtype: DType,
        dims: Vec<usize>,
    ) -> Option<WeightData> {
        Some(WeightData {
            gguf: gguf.clone(),
            tensor: tensor.clone(),
            ty: weight_type(dtype)?,
            dims,
        })
    }
}

fn weight_type(dtype: DType) -> Option<WeightType> {
    Some(match dtype {
        DType::F32 => WeightType::F32,
        DType::F16 => WeightType::F16,
        DType::BF16 => WeightType::BF16,
        DType::Q8_0 => WeightType::Q8_0,
        DType::Q4_0 => WeightType::Q4_0,
        DType::Q4_1 => WeightType::Q4_1,
        DType::Q5_0 => WeightType::Q5_0,
        DType::Q5_1 => WeightType::Q5_1,
        DType::Q2_K => WeightType::Q2_K,
        DType::Q3_K => WeightType::Q3_K,
        DType::Q4_K => WeightType::Q4_K,
        DType::Q5_K => WeightType::Q5_K,
        DType::Q6_K => WeightType::Q6_K,
        DType::IQ4_NL => WeightType::IQ4_NL,
        DType::IQ4_XS => WeightType::IQ4_XS,
        DType::I32 | DType::Q8_1 | DType::Q8_K => return None,
    })
}

/// Activation format of an element type; `None` where rows in it meet no weights.
pub(super) fn activation_type(dtype: DType) -> Option<ActivationType> {
    Some(match dtype {
        DType::F32 => ActivationType::F32,
        DType::F16 => ActivationType::F16,
        DType::BF16 => ActivationType::BF16,
        DType::Q8_0 => ActivationType::Q8_0,
        DType::Q8_1 => ActivationType::Q8_1,
        DType::Q8_K => ActivationType::Q8_K,
        DType::I32 | DType::Q4_0 | DType::Q4_1 | DType::Q5_0 | DType::Q5_1 => return None,
        DType::Q2_K | DType::Q3_K | DType::Q4_K | DType::Q5_K | DType::Q6_K => return None,
        DType::IQ4_NL | DType::IQ4_XS => return None,
    })
}

/// Cache format of an element type; `None` where a cache cannot hold it.
pub(crate) fn cache_type(dtype: DType) -> Option<CacheType> {
    match dtype {
        DType::F32 => Some(CacheType::F32),
        DType::F16 => Some(CacheType::F16),
        DType::BF16 => Some(CacheType::BF16),
        _ => None,
    }
}

/// Operands and results of the op being bound.
struct Parts {
    op: &'static str,
    operands: Vec<Option<Bound>>,
    results: Vec<Slot>,
}

impl Parts {
    fn fail<T>(&self, message: impl Into<String>) -> Result<T, BindError> {
        let message = message.into();
        Err(BindError {
            op: self.op,
            message,
        })
    }

    fn take(&mut self, i: usize) -> Option<Bound> {
        self.operands.get_mut(i)?.take()
    }

    fn value(&mut self, i: usize) -> Result<Slot, BindError> {
        match self.take(i) {
            Some(Bound::Value(slot)) => Ok(slot),
            Some(Bound::Weight(_) | Bound::State(_)) | None => {
                self.fail(format!("operand {i} is no value"))
            }
        }
    }

    fn weight(&mut self, i: usize) -> Result<WeightData, BindError> {
        match self.take(i) {
            Some(Bound::Weight(weight)) => Ok(weight),
            Some(Bound::Value(_) | Bound::State(_)) | None => {
                self.fail(format!("operand {i} is no weight"))
            }
        }
    }

    fn state(&mut self, i: usize) -> Result<State, BindError> {
        match self.take(i) {
            Some(Bound::State(state)) => Ok(state),
            Some(Bound::Value(_) | Bound::Weight(_)) | None => {
                self.fail(format!("operand {i} is no state"))
            }
        }
    }

    fn kv(&mut self, i: usize) -> Result<(usize, KvLayout), BindError> {
        let State { index, ty } = self.state(i)?;
        if let StateType::Kv { k, v, heads, dim } = ty
            && let (Some(k), Some(v)) = (cache_type(k), cache_type(v))
        {
            return Ok((index, KvLayout { k, v, heads, dim }));
        }
        self.fail("its state is no cache of f16, bf16 or f32")
    }

    fn result(&self, i: usize) -> Result<Slot, BindError> {
        match self.results.get(i) {
            Some(slot) => Ok(slot.clone()),
            None => self.fail(format!("there is no result {i}")),
        }
    }

    /// Activation and weight of a matmul: the activation is already what the weight needs.
    fn matmul(&mut self, weight: usize) -> Result<(Slot, WeightData), BindError> {
        let (x, w) = (self.value(0)?, self.weight(weight)?);
        if activation_type(x.dtype) != Some(w.ty.activation()) {
            return self.fail(format!(
                "a {} activation meets {} weights",
                x.dtype,
                w.ty.name()
            ));
        }
        Ok((x, w))
    }

    fn format(&self, to: DType) -> Result<ActivationType, BindError> {
        match activation_type(to) {
            Some(to) => Ok(to),
            None => self.fail(format!("{to} is no activation format")),
        }
    }

    /// The input of a fused product and its weights, which begin in slot `first` with the norm's
    /// where there is one.
    fn products(
        &mut self,
        first: usize,
        norm_eps: Option<f32>,
    ) -> Result<(Activations, Vec<WeightData>), BindError> {
        let x = self.value(0)?;
        let mut weights = (first..self.operands.len())
            .map(|i| self.weight(i))
            .collect::<Result<Vec<WeightData>, BindError>>()?;
        let norm = norm_eps.map(|eps| {
            let weight = weights.remove(0);
            RowNorm {
                place: weight.bytes().as_ptr() as usize,
                weight: weight.floats(),
                eps,
            }
        });
        Ok((Activations { x, norm }, weights))
    }

    fn right(&mut self, a: &Slot) -> Result<(Right, Vec<usize>), BindError> {
        let (right, mut dims) = match self.take(1) {
            Some(Bound::Value(slot)) => {
                let dims = slot.dims.clone();
                (Right::Value(slot), dims)
            }
            Some(Bound::Weight(w)) => (Right::Weight(w.floats()), w.dims.clone()),
            Some(Bound::State(_)) | None => {
                return self.fail("operand 1 is neither value nor weight");
            }
        };
        if dims.len() > a.dims.len() {
            return self.fail("a weight of the rank of a value with tokens");
        }
        while dims.len() < a.dims.len() {
            dims.insert(0, 1);
        }
        Ok((right, dims))
    }
}

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
        Op::Rope { n_rot, freq_base } => Box::new(Rope {
            x: p.value(0)?,
            pos: p.value(1)?,
            n_rot: *n_rot as usize,
            freq_base: *freq_base,
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
            let Ok([gate, up]) = <[WeightData; 2]>::try_from(weights) else {
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
            let Ok([weight, kernel]) = <[WeightData; 2]>::try_from(weights) else {
                return p.fail("projection and convolution are not two weights");
            };
            Box::new(ProjectConv {
                x,
                weight,
                kernel: kernel.floats(),
                state: p.state(1)?.index,
                y: p.result(0)?,
            })
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
        } => {
            let (x, weights) = p.products(3, *norm_eps)?;
            let Ok([k, v, norm]) = <[WeightData; 3]>::try_from(weights) else {
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
                    n_rot: *n_rot as usize,
                    freq_base: *freq_base,
                },
                state,
                layout,
            })
        }
        Op::GatedAttention {
            eps,
            n_rot,
            freq_base,
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
                    n_rot: *n_rot as usize,
                    freq_base: *freq_base,
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
