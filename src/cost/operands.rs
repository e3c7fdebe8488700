//! Operands and results of an op as the formulas ask for them, and the arithmetic that several share.

use sharpi_ir::{
    DType, Dim, Graph, NodeId, Op, Operand, Operands, SlotName, StateType, Symbols, TensorType,
};

use super::{Cost, RunShape};

/// Instructions of an exponential: range reduction, a polynomial of degree five, rescaling.
pub(super) const EXP: f64 = 10.0;
/// Of a sigmoid, and of `x · sigmoid(x)`: a sum and a quotient besides.
pub(super) const SIGMOID: f64 = EXP + 2.0;
/// Of rounding to an activation format: the largest of a block, and scaling.
pub(super) const ROUND: f64 = 2.0;
/// Of an RMS norm: the squares' sum, times its root, times the weight.
pub(super) const RMSNORM: f64 = 3.0;
/// Of an L2 norm: the squares' sum, times its root.
pub(super) const L2NORM: f64 = 2.0;
/// Of a softmax: the largest, the exponential with its sum, the quotient.
pub(super) const SOFTMAX: f64 = EXP + 2.0;
/// Of turning one element by RoPE.
pub(super) const ROPE: f64 = 2.0;
/// Of the delta rule for one element of the matrix and one token: decay, `Sᵀk`, `k dᵀ`, `Sᵀq`.
pub(super) const DELTA_RULE: f64 = 4.0;

/// SwiGLU of so many elements, rounded or not.
pub(super) fn swiglu(elements: f64, to: DType) -> f64 {
    elements * (SIGMOID + 1.0 + round(to))
}

/// Rounding of a result, where it is rounded.
pub(super) fn round(to: DType) -> f64 {
    match to {
        DType::F32 => 0.0,
        _ => ROUND,
    }
}

/// RoPE on the first `n_rot` elements of each head.
pub(super) fn rope(elements: f64, head: f64, n_rot: u32) -> f64 {
    ROPE * elements * f64::from(n_rot) / head.max(1.0)
}

pub(super) fn f32(macs: f64) -> Cost {
    Cost {
        f32_macs: macs,
        ..Cost::default()
    }
}

/// Multiply-adds with a weight: of integers where its blocks are, of floats otherwise.
pub(super) fn multiplied(macs: f64, weight: Option<&TensorType>) -> Cost {
    match weight {
        Some(w) if w.dtype.block_len() > 1 => Cost {
            int_macs: macs,
            ..Cost::default()
        },
        _ => f32(macs),
    }
}

/// An op's operands and results, with the symbols bound.
pub(super) struct Args<'a> {
    pub(super) graph: &'a Graph,
    pub(super) node: NodeId,
    pub(super) op: &'a Op,
    pub(super) symbols: &'a Symbols,
    pub(super) shape: &'a RunShape,
    pub(super) operands: Operands,
}

impl<'a> Args<'a> {
    /// Type of the value or weight under a name.
    pub(super) fn ty(&self, name: SlotName) -> Option<&'a TensorType> {
        self.ty_of(self.operands.get(self.op.slot(name)?)?)
    }

    pub(super) fn ty_of(&self, operand: &Operand) -> Option<&'a TensorType> {
        match operand {
            Operand::Value(v) => Some(self.graph.ty(*v)),
            Operand::Weight(w) => self.symbols.weight_of(*w).map(|(_, weight)| &weight.ty),
            Operand::State(_) => None,
        }
    }

    pub(super) fn size(&self, dim: Dim) -> f64 {
        match dim {
            Dim::Fixed(n) => n as f64,
            Dim::Sym(s) => self.shape.bind(s) as f64,
        }
    }

    pub(super) fn dim(&self, name: SlotName, axis: usize) -> f64 {
        let dim = self.ty(name).and_then(|ty| ty.shape.get(axis));
        dim.map_or(0.0, |dim| self.size(*dim))
    }

    pub(super) fn tokens(&self, name: SlotName) -> f64 {
        self.dim(name, 0)
    }

    pub(super) fn last(&self, name: SlotName) -> f64 {
        self.ty(name).map_or(0.0, |ty| self.size(ty.last()))
    }

    pub(super) fn elements_of(&self, ty: &TensorType) -> f64 {
        ty.shape.iter().map(|dim| self.size(*dim)).product()
    }

    pub(super) fn bytes_of(&self, ty: &TensorType) -> f64 {
        self.elements_of(ty) / ty.dtype.block_len() as f64 * ty.dtype.block_bytes() as f64
    }

    pub(super) fn elements(&self, name: SlotName) -> f64 {
        self.ty(name).map_or(0.0, |ty| self.elements_of(ty))
    }

    pub(super) fn bytes(&self, name: SlotName) -> f64 {
        self.ty(name).map_or(0.0, |ty| self.bytes_of(ty))
    }

    pub(super) fn result_elements(&self) -> f64 {
        let results = self.graph.results(self.node).iter();
        results.map(|r| self.elements_of(&r.ty)).sum()
    }

    pub(super) fn result_bytes(&self) -> f64 {
        let results = self.graph.results(self.node).iter();
        results.map(|r| self.bytes_of(&r.ty)).sum()
    }

    /// What the op moves if it reads each operand once and whole, with so much arithmetic on
    /// floats. What it does to a cache is its own affair.
    pub(super) fn cost(&self, f32_macs: f64) -> Cost {
        let mut cost = Cost {
            activation_bytes: self.result_bytes(),
            ..f32(f32_macs)
        };
        for operand in &self.operands {
            let bytes = self.ty_of(operand).map_or(0.0, |ty| self.bytes_of(ty));
            match operand {
                Operand::Value(_) => cost.activation_bytes += bytes,
                Operand::Weight(_) => cost.weight_bytes += bytes,
                Operand::State(s) => match self.symbols.state_of(*s) {
                    Some((_, StateType::Recurrent(t))) => {
                        cost.state_bytes += 2.0 * self.bytes_of(t);
                    }
                    Some((_, StateType::Kv { .. })) | None => {}
                },
            }
        }
        cost
    }

    /// The arithmetic of `x · Wᵀ`: every element of x meets every row.
    pub(super) fn product(&self, x: SlotName, weight: SlotName) -> Cost {
        multiplied(self.elements(x) * self.dim(weight, 0), self.ty(weight))
    }

    /// Rounding of an f32 operand to what the weight is multiplied with.
    pub(super) fn rounded(&self, x: SlotName, weight: SlotName) -> Cost {
        let is_f32 = self.ty(x).is_some_and(|ty| ty.dtype == DType::F32);
        let to = self.ty(weight).and_then(|w| w.dtype.activation());
        match to {
            Some(to) if is_f32 => f32(self.elements(x) * round(to)),
            _ => f32(0.0),
        }
    }

    /// The weights under the last name.
    pub(super) fn weights(&self, name: SlotName) -> Vec<SlotName> {
        let all = self.operands.len();
        let first = self.op.slot(name).unwrap_or(all);
        (0..all.saturating_sub(first))
            .map(|n| name.nth(n))
            .collect()
    }

    /// The RMS norm of the first operand, if it is normed.
    pub(super) fn normed(&self, norm_eps: Option<f32>) -> f64 {
        norm_eps.map_or(0.0, |_| self.elements(SlotName::FIRST) * RMSNORM)
    }

    /// Products of the first operand, normed or not, with weights. It is rounded once for each
    /// activation type.
    pub(super) fn products(&self, weights: &[SlotName], norm_eps: Option<f32>) -> Cost {
        let x = SlotName::FIRST;
        let format = |name: SlotName| self.ty(name).and_then(|w| w.dtype.activation());
        let mut cost = f32(self.normed(norm_eps));
        for (i, &weight) in weights.iter().enumerate() {
            cost = cost + self.product(x, weight);
            if !weights[..i].iter().any(|w| format(*w) == format(weight)) {
                cost = cost + self.rounded(x, weight);
            }
        }
        cost
    }

    /// What of a weight of experts a run does not read, to be taken off: each token picks `k` of
    /// them by itself, all equally likely.
    pub(super) fn experts_unread(&self, weight: SlotName, k: f64) -> Cost {
        let experts = self.dim(weight, 0).max(1.0);
        let unread = (1.0 - k / experts)
            .max(0.0)
            .powf(self.tokens(SlotName::FIRST));
        Cost {
            weight_bytes: -self.bytes(weight) * unread,
            ..Cost::default()
        }
    }

    /// The state under a name.
    pub(super) fn state(&self, name: SlotName) -> Option<&'a StateType> {
        match self.operands.get(self.op.slot(name)?)? {
            Operand::State(s) => self.symbols.state_of(*s).map(|(_, ty)| ty),
            Operand::Value(_) | Operand::Weight(_) => None,
        }
    }

    /// Elements of a head in a cache.
    pub(super) fn head_size(&self, cache: SlotName) -> f64 {
        match self.state(cache) {
            Some(StateType::Kv { dim, .. }) => *dim as f64,
            Some(StateType::Recurrent(_)) | None => 0.0,
        }
    }

    /// Bytes of so many rows of a cache, keys and values.
    pub(super) fn cache_rows(&self, cache: SlotName, rows: usize) -> f64 {
        match self.state(cache) {
            Some(StateType::Kv { k, v, heads, dim }) => {
                let element = |ty: &DType| ty.block_bytes() as f64 / ty.block_len() as f64;
                rows as f64 * (heads * dim) as f64 * (element(k) + element(v))
            }
            Some(StateType::Recurrent(_)) | None => 0.0,
        }
    }

    /// Softmax attention of queries with `q` elements in `heads` heads of all tokens: each token
    /// meets the rows before the run and those of the run up to its own.
    pub(super) fn attention(&self, cache: SlotName, q: f64, heads: f64) -> Cost {
        let tokens = self.tokens(SlotName::FIRST);
        let context = self.shape.context as f64;
        let rows = context + (tokens + 1.0) / 2.0;
        Cost {
            cache_bytes: self.cache_rows(cache, self.shape.context + self.shape.tokens),
            ..self.cost(rows * (2.0 * q + heads * (EXP + 1.0)))
        }
    }
}
