//! Operands and results of an op that is being bound to its kernel.

use std::sync::Arc;

use sharpi_ir::{DType, StateType};

use super::elementwise::Right;
use super::project::{Activations, RowNorm};
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
        _ => None,
    }
}

/// Operands and results of the op being bound.
pub(super) struct Parts {
    pub(super) op: &'static str,
    pub(super) operands: Vec<Option<Bound>>,
    pub(super) results: Vec<Slot>,
}

impl Parts {
    pub(super) fn fail<T>(&self, message: impl Into<String>) -> Result<T, BindError> {
        let message = message.into();
        Err(BindError {
            op: self.op,
            message,
        })
    }

    pub(super) fn take(&mut self, i: usize) -> Option<Bound> {
        self.operands.get_mut(i)?.take()
    }

    pub(super) fn value(&mut self, i: usize) -> Result<Slot, BindError> {
        match self.take(i) {
            Some(Bound::Value(slot)) => Ok(slot),
            Some(Bound::Weight(_) | Bound::State(_)) | None => {
                self.fail(format!("operand {i} is no value"))
            }
        }
    }

    pub(super) fn weight(&mut self, i: usize) -> Result<Arc<Weight>, BindError> {
        match self.take(i) {
            Some(Bound::Weight(weight)) => Ok(weight),
            Some(Bound::Value(_) | Bound::State(_)) | None => {
                self.fail(format!("operand {i} is no weight"))
            }
        }
    }

    pub(super) fn state(&mut self, i: usize) -> Result<State, BindError> {
        match self.take(i) {
            Some(Bound::State(state)) => Ok(state),
            Some(Bound::Value(_) | Bound::Weight(_)) | None => {
                self.fail(format!("operand {i} is no state"))
            }
        }
    }

    pub(super) fn kv(&mut self, i: usize) -> Result<(usize, KvLayout), BindError> {
        let State { index, ty } = self.state(i)?;
        if let StateType::Kv { k, v, heads, dim } = ty
            && let (Some(k), Some(v)) = (cache_type(k), cache_type(v))
        {
            return Ok((index, KvLayout { k, v, heads, dim }));
        }
        self.fail("its state is no cache of f16, bf16 or f32")
    }

    pub(super) fn result(&self, i: usize) -> Result<Slot, BindError> {
        match self.results.get(i) {
            Some(slot) => Ok(slot.clone()),
            None => self.fail(format!("there is no result {i}")),
        }
    }

    /// Activation and weight of a matmul: the activation is already what the weight needs.
    pub(super) fn matmul(&mut self, weight: usize) -> Result<(Slot, Arc<Weight>), BindError> {
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

    pub(super) fn format(&self, to: DType) -> Result<ActivationType, BindError> {
        match activation_type(to) {
            Some(to) => Ok(to),
            None => self.fail(format!("{to} is no activation format")),
        }
    }

    /// The input of a fused product and its weights, which begin in slot `first` with the norm's
    /// where there is one.
    pub(super) fn products(
        &mut self,
        first: usize,
        norm_eps: Option<f32>,
    ) -> Result<(Activations, Vec<Arc<Weight>>), BindError> {
        let x = self.value(0)?;
        let mut weights = (first..self.operands.len())
            .map(|i| self.weight(i))
            .collect::<Result<Vec<Arc<Weight>>, BindError>>()?;
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

    pub(super) fn right(&mut self, a: &Slot) -> Result<(Right, Vec<usize>), BindError> {
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
