//! The formula of every op.

use sharpi_ir::{DType, Dim, Graph, NodeId, Op, Operand, Operands, StateType, Symbols, TensorType};

use super::{Cost, RunShape};

/// Instructions of an exponential: range reduction, a polynomial of degree five, rescaling.
const EXP: f64 = 10.0;
/// Of a sigmoid, and of `x · sigmoid(x)`: a sum and a quotient besides.
const SIGMOID: f64 = EXP + 2.0;
/// Of rounding to an activation format: the largest of a block, and scaling.
const ROUND: f64 = 2.0;
/// Of an RMS norm: the squares' sum, times its root, times the weight.
const RMSNORM: f64 = 3.0;
/// Of an L2 norm: the squares' sum, times its root.
const L2NORM: f64 = 2.0;
/// Of a softmax: the largest, the exponential with its sum, the quotient.
const SOFTMAX: f64 = EXP + 2.0;
/// Of turning one element by RoPE.
const ROPE: f64 = 2.0;
/// Of the delta rule for one element of the matrix and one token: decay, `Sᵀk`, `k dᵀ`, `Sᵀq`.
const DELTA_RULE: f64 = 4.0;

/// The cost of one op in a run of that shape; an input costs nothing.
pub fn of(graph: &Graph, node: NodeId, symbols: &Symbols, shape: &RunShape) -> Cost {
    let Some(op) = graph.op(node) else {
        return Cost::default();
    };
    let a = Args {
        graph,
        node,
        symbols,
        shape,
        operands: graph.operands(node),
    };
    let (x, y) = (a.elements(0), a.result_elements());
    match op {
        Op::Embed {} => Cost {
            weight_bytes: a.tokens(0) * a.bytes(1) / a.dim(1, 0).max(1.0),
            ..a.cost(y)
        },
        Op::Matmul {} | Op::EhProj {} => a.cost(0.0) + a.product(0, 1) + a.rounded(0, 1),
        Op::Quantize { .. } => a.cost(x * ROUND),
        Op::Rmsnorm { .. } => a.cost(x * RMSNORM),
        Op::L2norm { .. } => a.cost(x * L2NORM),
        Op::Rope { n_rot, .. } => a.cost(rope(x, a.last(0), *n_rot)),
        Op::KvStore {} => Cost {
            cache_bytes: a.cache_rows(3, shape.tokens),
            ..a.cost(2.0 * x)
        },
        Op::Attention { .. } => a.attention(2, x, x / a.last(0).max(1.0)),
        Op::CausalConv {} => a.cost(x * a.last(1)),
        Op::GdnScan {} => a.cost(DELTA_RULE * a.elements(2) * a.last(2) + EXP * a.elements(3)),
        Op::Silu {} | Op::Sigmoid {} => a.cost(x * SIGMOID),
        Op::Softplus {} => a.cost(x * 2.0 * EXP),
        Op::Softmax {} => a.cost(x * SOFTMAX),
        Op::Add {} | Op::Mul {} | Op::Div {} | Op::ClampMin { .. } | Op::Scale { .. } => a.cost(y),
        Op::RowSum {} | Op::ExpertSum {} | Op::TopkRouter { .. } => a.cost(x),
        Op::Concat { .. } | Op::Split { .. } => a.cost(0.0),
        Op::Reshape { .. } => Cost::default(),
        Op::GetRows {} => Cost {
            activation_bytes: 2.0 * a.result_bytes(),
            ..Cost::default()
        },
        Op::MoeMatmul {} => {
            let chosen = a.elements(1);
            let macs = chosen * a.dim(2, 1) * a.dim(2, 2);
            let k = chosen / a.tokens(1).max(1.0);
            a.cost(0.0) + multiplied(macs, a.ty(2)) + a.rounded(0, 2) + a.experts_unread(2, k)
        }
        Op::ExpertRows {} => Cost {
            weight_bytes: a.bytes(1).min(a.result_bytes()),
            activation_bytes: a.bytes(0) + a.result_bytes(),
            ..Cost::default()
        },
        Op::Project { norm_eps } => a.projected(1, *norm_eps),
        Op::ProjectSwiglu { norm_eps, to } => {
            a.projected(1, *norm_eps) + f32(y * (SIGMOID + 1.0 + round(*to)))
        }
        Op::MatmulAdd {} => a.cost(y) + a.product(0, 1) + a.rounded(0, 1),
        Op::ProjectConv { norm_eps } => {
            let conv = a.operands.len().saturating_sub(1);
            let taps = a.last(conv);
            a.cost(y * (taps + SIGMOID)) + a.products(2, conv, *norm_eps)
        }
        Op::GatedDeltaNet { to, .. } => {
            let (z, gates) = (a.elements(1), a.elements(2));
            let qk = x - z;
            let scan = DELTA_RULE * z * a.last(7) + 3.0 * EXP * gates + SIGMOID * gates;
            let gated_norm = z * (RMSNORM + SIGMOID + 1.0 + round(*to));
            a.cost(qk * L2NORM + scan + gated_norm)
        }
        Op::MoeSwiglu {
            norm_eps, k, to, ..
        } => {
            let k = f64::from(*k);
            let first = 2 + usize::from(norm_eps.is_some());
            let slots = first..a.operands.len();
            let products =
                slots.map(|w| multiplied(x * k * a.dim(w, 1), a.ty(w)) + a.experts_unread(w, k));
            let normed = norm_eps.map_or(0.0, |_| x * RMSNORM);
            let routed = a.elements(1) * (SOFTMAX + 1.0);
            let swiglu = y * (SIGMOID + 1.0 + round(*to));
            a.cost(normed + routed + swiglu) + a.rounded(0, first) + products.sum()
        }
        Op::MoeSum { .. } => {
            let k = a.dim(0, 1);
            let routed = a.elements(1) * (SOFTMAX + 1.0);
            let sums = y * (k + 2.0) + a.elements(3) * SIGMOID;
            a.cost(routed + sums)
                + multiplied(x * a.dim(5, 1), a.ty(5))
                + a.rounded(0, 5)
                + a.experts_unread(5, k)
        }
        Op::ProjectKv {
            norm_eps, n_rot, ..
        } => {
            let norm = a.operands.len().saturating_sub(1);
            let head = a.last(norm);
            let keys = a.tokens(0) * a.dim(norm.saturating_sub(1), 0);
            let stored = keys * RMSNORM + rope(keys, head, *n_rot) + 2.0 * keys;
            Cost {
                cache_bytes: a.cache_rows(2, shape.tokens),
                ..a.cost(stored) + a.products(3, norm, *norm_eps)
            }
        }
        Op::GatedAttention { n_rot, to, .. } => {
            let (q, head) = (x / 2.0, a.last(3));
            let around = q * (RMSNORM + SIGMOID + 1.0 + round(*to)) + rope(q, head, *n_rot);
            a.attention(2, q, q / head.max(1.0)) + f32(around)
        }
    }
}

/// Rounding of a result, where it is rounded.
fn round(to: DType) -> f64 {
    match to {
        DType::F32 => 0.0,
        _ => ROUND,
    }
}

/// RoPE on the first `n_rot` elements of each head.
fn rope(elements: f64, head: f64, n_rot: u32) -> f64 {
    ROPE * elements * f64::from(n_rot) / head.max(1.0)
}

fn f32(macs: f64) -> Cost {
    Cost {
        f32_macs: macs,
        ..Cost::default()
    }
}

/// Multiply-adds with a weight: of integers where its blocks are, of floats otherwise.
fn multiplied(macs: f64, weight: Option<&TensorType>) -> Cost {
    match weight {
        Some(w) if w.dtype.block_len() > 1 => Cost {
            int_macs: macs,
            ..Cost::default()
        },
        _ => f32(macs),
    }
}

/// An op's operands and results, with the symbols bound.
struct Args<'a> {
    graph: &'a Graph,
    node: NodeId,
    symbols: &'a Symbols,
    shape: &'a RunShape,
    operands: Operands,
}

impl<'a> Args<'a> {
    /// Type of the value or weight in a slot.
    fn ty(&self, slot: usize) -> Option<&'a TensorType> {
        match self.operands.get(slot)? {
            Operand::Value(v) => Some(self.graph.ty(*v)),
            Operand::Weight(w) => self.symbols.weight_of(*w).map(|(_, weight)| &weight.ty),
            Operand::State(_) => None,
        }
    }

    fn size(&self, dim: Dim) -> f64 {
        match dim {
            Dim::Fixed(n) => n as f64,
            Dim::Sym(s) => self.shape.bind(s) as f64,
        }
    }

    fn dim(&self, slot: usize, axis: usize) -> f64 {
        let dim = self.ty(slot).and_then(|ty| ty.shape.get(axis));
        dim.map_or(0.0, |dim| self.size(*dim))
    }

    fn tokens(&self, slot: usize) -> f64 {
        self.dim(slot, 0)
    }

    fn last(&self, slot: usize) -> f64 {
        self.ty(slot).map_or(0.0, |ty| self.size(ty.last()))
    }

    fn elements_of(&self, ty: &TensorType) -> f64 {
        ty.shape.iter().map(|dim| self.size(*dim)).product()
    }

    fn bytes_of(&self, ty: &TensorType) -> f64 {
        self.elements_of(ty) / ty.dtype.block_len() as f64 * ty.dtype.block_bytes() as f64
    }

    fn elements(&self, slot: usize) -> f64 {
        self.ty(slot).map_or(0.0, |ty| self.elements_of(ty))
    }

    fn bytes(&self, slot: usize) -> f64 {
        self.ty(slot).map_or(0.0, |ty| self.bytes_of(ty))
    }

    fn result_elements(&self) -> f64 {
        let results = self.graph.results(self.node).iter();
        results.map(|r| self.elements_of(&r.ty)).sum()
    }

    fn result_bytes(&self) -> f64 {
        let results = self.graph.results(self.node).iter();
        results.map(|r| self.bytes_of(&r.ty)).sum()
    }

    /// What the op moves if it reads each operand once and whole, with so much arithmetic on
    /// floats. What it does to a cache is its own affair.
    fn cost(&self, f32_macs: f64) -> Cost {
        let mut cost = Cost {
            activation_bytes: self.result_bytes(),
            ..f32(f32_macs)
        };
        for (slot, operand) in self.operands.iter().enumerate() {
            match operand {
                Operand::Value(_) => cost.activation_bytes += self.bytes(slot),
                Operand::Weight(_) => cost.weight_bytes += self.bytes(slot),
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
    fn product(&self, x: usize, weight: usize) -> Cost {
        multiplied(self.elements(x) * self.dim(weight, 0), self.ty(weight))
    }

    /// Rounding of an f32 operand to what the weight is multiplied with.
    fn rounded(&self, x: usize, weight: usize) -> Cost {
        let is_f32 = self.ty(x).is_some_and(|ty| ty.dtype == DType::F32);
        let to = self.ty(weight).and_then(|w| w.dtype.activation());
        match to {
            Some(to) if is_f32 => f32(self.elements(x) * round(to)),
            _ => f32(0.0),
        }
    }

    /// Products of operand 0 with the weights in slots `first..end`, of which the norm's comes
    /// first where there is one. It is rounded once for each activation type.
    fn products(&self, first: usize, end: usize, norm_eps: Option<f32>) -> Cost {
        let normed = norm_eps.map_or(0.0, |_| self.elements(0) * RMSNORM);
        let slots = first + usize::from(norm_eps.is_some())..end;
        let format = |slot| self.ty(slot).and_then(|w| w.dtype.activation());
        let new = |&slot: &usize| !(slots.start..slot).any(|s| format(s) == format(slot));
        let roundings = slots.clone().filter(new).map(|slot| self.rounded(0, slot));
        let products = slots.clone().map(|slot| self.product(0, slot));
        f32(normed) + roundings.sum() + products.sum()
    }

    /// [`Args::products`] of an op that does nothing else.
    fn projected(&self, first: usize, norm_eps: Option<f32>) -> Cost {
        self.cost(0.0) + self.products(first, self.operands.len(), norm_eps)
    }

    /// What of a weight of experts a run does not read, to be taken off: each token picks `k` of
    /// them by itself, all equally likely.
    fn experts_unread(&self, weight: usize, k: f64) -> Cost {
        let experts = self.dim(weight, 0).max(1.0);
        let unread = (1.0 - k / experts).max(0.0).powf(self.tokens(0));
        Cost {
            weight_bytes: -self.bytes(weight) * unread,
            ..Cost::default()
        }
    }

    /// Bytes of so many rows of a cache, keys and values.
    fn cache_rows(&self, slot: usize, rows: usize) -> f64 {
        let state = match self.operands.get(slot) {
            Some(Operand::State(s)) => self.symbols.state_of(*s),
            Some(Operand::Value(_) | Operand::Weight(_)) | None => None,
        };
        match state {
            Some((_, StateType::Kv { k, v, heads, dim })) => {
                let element = |ty: &DType| ty.block_bytes() as f64 / ty.block_len() as f64;
                rows as f64 * (heads * dim) as f64 * (element(k) + element(v))
            }
            Some((_, StateType::Recurrent(_))) | None => 0.0,
        }
    }

    /// Softmax attention of queries with `q` elements in `heads` heads of all tokens: each token
    /// meets the rows before the run and those of the run up to its own.
    fn attention(&self, cache: usize, q: f64, heads: f64) -> Cost {
        let tokens = self.tokens(0);
        let context = self.shape.context as f64;
        let rows = context + (tokens + 1.0) / 2.0;
        Cost {
            cache_bytes: self.cache_rows(cache, self.shape.context + self.shape.tokens),
            ..self.cost(rows * (2.0 * q + heads * (EXP + 1.0)))
        }
    }
}
