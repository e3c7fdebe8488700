//! Operands and results of an op that is being bound to its kernel.

use std::sync::Arc;

use sharpi_ir::{DType, Op, SlotName, StateType, slot};

use super::activations::{Activations, RowNorm};
use super::elementwise::Right;
use super::{KvLayout, Slot, Weight};
use sharpi_kernels::activation::ActivationType;
use sharpi_kernels::attention::CacheType;
use sharpi_kernels::quant::WeightType;

/// Why an op cannot be bound to a kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot execute `{op}`: {}", sharpi_ir::plain::line(message))]
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
    Weight(Arc<Weight>),
    /// A state of the session.
    State(State),
}

/// Format of weights of an element type; `None` where they have no kernel.
pub(super) fn weight_type(dtype: DType) -> Option<WeightType> {
    let same_name = |ty: &WeightType| ty.name().eq_ignore_ascii_case(dtype.name());
    WeightType::ALL.into_iter().find(same_name)
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
        _ => return None,
    })
}

/// Cache format of an element type; `None` where a cache cannot hold it.
pub(crate) fn cache_type(dtype: DType) -> Option<CacheType> {
    match dtype {
        DType::F32 => Some(CacheType::F32),
        DType::F16 => Some(CacheType::F16),
        DType::BF16 => Some(CacheType::BF16),
        DType::Q8_0 => Some(CacheType::Q8_0),
        DType::Q4_0 => Some(CacheType::Q4_0),
        _ => None,
    }
}

/// Operands and results of the op being bound.
pub(super) struct Parts<'a> {
    pub(super) op: &'a Op,
    pub(super) operands: Vec<Option<Bound>>,
    pub(super) results: Vec<Slot>,
}

impl Parts<'_> {
    pub(super) fn fail<T>(&self, message: impl Into<String>) -> Result<T, BindError> {
        let message = message.into();
        Err(BindError {
            op: self.op.mnemonic(),
            message,
        })
    }

    fn take(&mut self, name: SlotName) -> Option<Bound> {
        self.operands.get_mut(self.op.slot(name)?)?.take()
    }

    fn lacks<T>(&self, name: SlotName, kind: &str) -> Result<T, BindError> {
        match self.op.slot(name) {
            Some(slot) => self.fail(format!("operand {slot} is no {kind}")),
            None => self.fail(format!("it has no such {kind}")),
        }
    }

    pub(super) fn value(&mut self, name: SlotName) -> Result<Slot, BindError> {
        match self.take(name) {
            Some(Bound::Value(slot)) => Ok(slot),
            Some(Bound::Weight(_) | Bound::State(_)) | None => self.lacks(name, "value"),
        }
    }

    pub(super) fn weight(&mut self, name: SlotName) -> Result<Arc<Weight>, BindError> {
        match self.take(name) {
            Some(Bound::Weight(weight)) => Ok(weight),
            Some(Bound::Value(_) | Bound::State(_)) | None => self.lacks(name, "weight"),
        }
    }

    pub(super) fn state(&mut self, name: SlotName) -> Result<State, BindError> {
        match self.take(name) {
            Some(Bound::State(state)) => Ok(state),
            Some(Bound::Value(_) | Bound::Weight(_)) | None => self.lacks(name, "state"),
        }
    }

    pub(super) fn kv(&mut self, name: SlotName) -> Result<(usize, KvLayout), BindError> {
        let State { index, ty } = self.state(name)?;
        if let StateType::Kv { k, v, heads, dim } = ty
            && let (Some(k), Some(v)) = (cache_type(k), cache_type(v))
            && [k, v].iter().all(|ty| dim.is_multiple_of(ty.block_len()))
        {
            return Ok((index, KvLayout { k, v, heads, dim }));
        }
        self.fail("its state is no cache of f16, bf16 or f32, nor of q8_0 or q4_0 with heads of whole blocks")
    }

    pub(super) fn result(&self, i: usize) -> Result<Slot, BindError> {
        match self.results.get(i) {
            Some(slot) => Ok(slot.clone()),
            None => self.fail(format!("there is no result {i}")),
        }
    }

    /// Whether the op has an operand of that name.
    pub(super) fn has(&self, name: SlotName) -> bool {
        self.op.slot(name).is_some()
    }

    /// Activation and weight of a matmul: the activation is already what the weight needs.
    pub(super) fn matmul(
        &mut self,
        x: SlotName,
        weight: SlotName,
    ) -> Result<(Slot, Arc<Weight>), BindError> {
        let (x, w) = (self.value(x)?, self.weight(weight)?);
        match activation_type(x.dtype) == Some(w.ty.activation()) {
            true => Ok((x, w)),
            false => self.do_not_meet(&x, &w),
        }
    }

    fn do_not_meet<T>(&self, x: &Slot, w: &Weight) -> Result<T, BindError> {
        let weights = w.ty.name();
        self.fail(format!("a {} activation meets {weights} weights", x.dtype))
    }

    /// The input of a fused product, its norm, and the weights that it meets, in whose formats it
    /// comes or is rounded.
    pub(super) fn products(
        &mut self,
        x: SlotName,
        (norm, eps): (SlotName, Option<f32>),
        weights: SlotName,
    ) -> Result<(Activations, Vec<Arc<Weight>>), BindError> {
        let x = self.value(x)?;
        let norm = match eps {
            None => None,
            Some(eps) => {
                let weight = self.weight(norm)?;
                Some(RowNorm {
                    place: weight.bytes().as_ptr() as usize,
                    weight: weight.floats(),
                    eps,
                })
            }
        };
        let first = self.op.slot(weights).unwrap_or(self.operands.len());
        let weights = (0..self.operands.len() - first)
            .map(|n| self.weight(weights.nth(n)))
            .collect::<Result<Vec<Arc<Weight>>, BindError>>()?;
        let meets = |w: &&Arc<Weight>| {
            x.dtype == DType::F32 || activation_type(x.dtype) == Some(w.ty.activation())
        };
        if let Some(w) = weights.iter().find(|w| !meets(w)) {
            return self.do_not_meet(&x, w);
        }
        Ok((Activations { x, norm }, weights))
    }

    pub(super) fn format(&self, to: DType) -> Result<ActivationType, BindError> {
        match activation_type(to) {
            Some(to) => Ok(to),
            None => self.fail(format!("{to} is no activation format")),
        }
    }

    pub(super) fn right(&mut self, a: &Slot) -> Result<(Right, Vec<usize>), BindError> {
        let (right, mut dims) = match self.take(slot::Add::b) {
            Some(Bound::Value(slot)) => {
                let dims = slot.dims.clone();
                (Right::Value(slot), dims)
            }
            Some(Bound::Weight(w)) => (Right::Weight(w.floats()), w.dims.clone()),
            Some(Bound::State(_)) | None => {
                return self.lacks(slot::Add::b, "value or weight");
            }
        };
        if dims.len() == a.dims.len() + 1 && dims[0] == 1 {
            // A weight that is the same for all tokens says so.
            dims.remove(0);
        }
        if dims.len() > a.dims.len() {
            return self.fail("a weight of the rank of a value with tokens");
        }
        while dims.len() < a.dims.len() {
            dims.insert(0, 1);
        }
        Ok((right, dims))
    }
}
