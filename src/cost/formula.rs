//! The formula of every op.

use sharpi_ir::{
    DType, Dim, Epilogue, Graph, NodeId, Op, Operand, Operands, OutputGate, SlotName, StateType,
    Symbols, TensorType, slot,
};

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
        op,
        symbols,
        shape,
        operands: graph.operands(node),
    };
    let (x, y) = (a.elements(SlotName::FIRST), a.result_elements());
    match op {
        Op::Embed {} => Cost {
            weight_bytes: a.tokens(slot::Embed::ids) * a.bytes(slot::Embed::table)
                / a.dim(slot::Embed::table, 0).max(1.0),
            ..a.cost(y)
        },
        Op::Matmul {} | Op::EhProj {} => {
            a.cost(0.0)
                + a.product(slot::Matmul::x, slot::Matmul::weight)
                + a.rounded(slot::Matmul::x, slot::Matmul::weight)
        }
        Op::Quantize { .. } => a.cost(x * ROUND),
        Op::Rmsnorm { .. } => a.cost(x * RMSNORM),
        Op::L2norm { .. } => a.cost(x * L2NORM),
        Op::Rope { n_rot, .. } => a.cost(rope(x, a.last(slot::Rope::x), *n_rot)),
        Op::KvStore {} => Cost {
            cache_bytes: a.cache_rows(slot::KvStore::cache, shape.tokens),
            ..a.cost(2.0 * x)
        },
        Op::Attention { .. } => a.attention(
            slot::Attention::cache,
            x,
            x / a.last(slot::Attention::q).max(1.0),
        ),
        Op::CausalConv {} => a.cost(x * a.last(slot::CausalConv::weight)),
        Op::GdnScan {} => a.cost(
            DELTA_RULE * a.elements(slot::GdnScan::v) * a.last(slot::GdnScan::v)
                + EXP * a.elements(slot::GdnScan::g),
        ),
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
            let chosen = a.elements(slot::MoeMatmul::experts);
            let macs =
                chosen * a.dim(slot::MoeMatmul::weight, 1) * a.dim(slot::MoeMatmul::weight, 2);
            let k = chosen / a.tokens(slot::MoeMatmul::experts).max(1.0);
            a.cost(0.0)
                + multiplied(macs, a.ty(slot::MoeMatmul::weight))
                + a.rounded(slot::MoeMatmul::x, slot::MoeMatmul::weight)
                + a.experts_unread(slot::MoeMatmul::weight, k)
        }
        Op::ExpertRows {} => Cost {
            weight_bytes: a.bytes(slot::ExpertRows::table).min(a.result_bytes()),
            activation_bytes: a.bytes(slot::ExpertRows::experts) + a.result_bytes(),
            ..Cost::default()
        },
        Op::Product { norm_eps, epilogue } => {
            let weights = a.weights(slot::Product::weights);
            a.products(&weights, *norm_eps) + a.epilogue(epilogue, y)
        }
        Op::GatedDeltaNet { to, .. } => {
            let (z, gates) = (
                a.elements(slot::GatedDeltaNet::z),
                a.elements(slot::GatedDeltaNet::alpha),
            );
            let qk = x - z;
            let scan = DELTA_RULE * z * a.last(slot::GatedDeltaNet::norm)
                + 3.0 * EXP * gates
                + SIGMOID * gates;
            let gated_norm = z * (RMSNORM + SIGMOID + 1.0 + round(*to));
            a.cost(qk * L2NORM + scan + gated_norm)
        }
        Op::MoeSwiglu { norm_eps, k, to } => {
            use slot::MoeSwiglu as of;
            let k = f64::from(*k);
            let weights = a.weights(of::weights);
            let products = weights
                .iter()
                .map(|&w| multiplied(x * k * a.dim(w, 1), a.ty(w)) + a.experts_unread(w, k));
            let routed = a.elements(of::logits) * (SOFTMAX + 1.0);
            let rounded = weights.first().map(|w| a.rounded(of::x, *w));
            a.cost(a.normed(*norm_eps) + routed + swiglu(y, *to))
                + rounded.into_iter().chain(products).sum()
        }
        Op::MoeSum { .. } => {
            use slot::MoeSum as of;
            let k = a.dim(of::x, 1);
            let routed = a.elements(of::logits) * (SOFTMAX + 1.0);
            let shared = a.elements(of::shared);
            let sums = y * (k + 1.0) + shared + a.elements(of::gate) * SIGMOID;
            a.cost(routed + sums)
                + multiplied(x * a.dim(of::weight, 1), a.ty(of::weight))
                + a.rounded(of::x, of::weight)
                + a.experts_unread(of::weight, k)
        }
        Op::RopeAttention {
            norm_eps,
            n_rot,
            gate,
            to,
            ..
        } => {
            use slot::RopeAttention as of;
            let head = a.head_size(of::cache);
            let gated = match gate {
                OutputGate::None => 0.0,
                OutputGate::Sigmoid => SIGMOID + 1.0,
            };
            let normed = norm_eps.map_or(0.0, |_| RMSNORM);
            let around = y * (normed + gated + round(*to)) + rope(y, head, *n_rot);
            a.attention(of::cache, y, y / head.max(1.0)) + f32(around)
        }
    }
}

/// SwiGLU of so many elements, rounded or not.
fn swiglu(elements: f64, to: DType) -> f64 {
    elements * (SIGMOID + 1.0 + round(to))
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
    op: &'a Op,
    symbols: &'a Symbols,
    shape: &'a RunShape,
    operands: Operands,
}

impl<'a> Args<'a> {
    /// Type of the value or weight under a name.
    fn ty(&self, name: SlotName) -> Option<&'a TensorType> {
        self.ty_of(self.operands.get(self.op.slot(name)?)?)
    }

    fn ty_of(&self, operand: &Operand) -> Option<&'a TensorType> {
        match operand {
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

    fn dim(&self, name: SlotName, axis: usize) -> f64 {
        let dim = self.ty(name).and_then(|ty| ty.shape.get(axis));
        dim.map_or(0.0, |dim| self.size(*dim))
    }

    fn tokens(&self, name: SlotName) -> f64 {
        self.dim(name, 0)
    }

    fn last(&self, name: SlotName) -> f64 {
        self.ty(name).map_or(0.0, |ty| self.size(ty.last()))
    }

    fn elements_of(&self, ty: &TensorType) -> f64 {
        ty.shape.iter().map(|dim| self.size(*dim)).product()
    }

    fn bytes_of(&self, ty: &TensorType) -> f64 {
        self.elements_of(ty) / ty.dtype.block_len() as f64 * ty.dtype.block_bytes() as f64
    }

    fn elements(&self, name: SlotName) -> f64 {
        self.ty(name).map_or(0.0, |ty| self.elements_of(ty))
    }

    fn bytes(&self, name: SlotName) -> f64 {
        self.ty(name).map_or(0.0, |ty| self.bytes_of(ty))
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
    fn product(&self, x: SlotName, weight: SlotName) -> Cost {
        multiplied(self.elements(x) * self.dim(weight, 0), self.ty(weight))
    }

    /// Rounding of an f32 operand to what the weight is multiplied with.
    fn rounded(&self, x: SlotName, weight: SlotName) -> Cost {
        let is_f32 = self.ty(x).is_some_and(|ty| ty.dtype == DType::F32);
        let to = self.ty(weight).and_then(|w| w.dtype.activation());
        match to {
            Some(to) if is_f32 => f32(self.elements(x) * round(to)),
            _ => f32(0.0),
        }
    }

    /// The weights under the last name.
    fn weights(&self, name: SlotName) -> Vec<SlotName> {
        let all = self.operands.len();
        let first = self.op.slot(name).unwrap_or(all);
        (0..all.saturating_sub(first))
            .map(|n| name.nth(n))
            .collect()
    }

    /// The RMS norm of the first operand, if it is normed.
    fn normed(&self, norm_eps: Option<f32>) -> f64 {
        norm_eps.map_or(0.0, |_| self.elements(SlotName::FIRST) * RMSNORM)
    }

    /// Products of the first operand, normed or not, with weights. It is rounded once for each
    /// activation type.
    fn products(&self, weights: &[SlotName], norm_eps: Option<f32>) -> Cost {
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

    /// What a `product` moves, and what its epilogue computes.
    fn epilogue(&self, epilogue: &Epilogue, y: f64) -> Cost {
        use slot::Product as of;
        match epilogue {
            Epilogue::None => self.cost(0.0),
            Epilogue::Swiglu { to } => self.cost(swiglu(y, *to)),
            Epilogue::Add => self.cost(y),
            Epilogue::ConvSilu => self.cost(y * (self.last(of::kernel) + SIGMOID)),
            Epilogue::Store {
                norm_eps, n_rot, ..
            } => {
                let keys = self.tokens(of::x) * self.dim(of::weights, 0);
                let normed = norm_eps.map_or(0.0, |_| keys * RMSNORM);
                let turned = rope(keys, self.head_size(of::cache), *n_rot);
                Cost {
                    cache_bytes: self.cache_rows(of::cache, self.shape.tokens),
                    ..self.cost(normed + turned + 2.0 * keys)
                }
            }
        }
    }

    /// What of a weight of experts a run does not read, to be taken off: each token picks `k` of
    /// them by itself, all equally likely.
    fn experts_unread(&self, weight: SlotName, k: f64) -> Cost {
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
    fn state(&self, name: SlotName) -> Option<&'a StateType> {
        match self.operands.get(self.op.slot(name)?)? {
            Operand::State(s) => self.symbols.state_of(*s).map(|(_, ty)| ty),
            Operand::Value(_) | Operand::Weight(_) => None,
        }
    }

    /// Elements of a head in a cache.
    fn head_size(&self, cache: SlotName) -> f64 {
        match self.state(cache) {
            Some(StateType::Kv { dim, .. }) => *dim as f64,
            Some(StateType::Recurrent(_)) | None => 0.0,
        }
    }

    /// Bytes of so many rows of a cache, keys and values.
    fn cache_rows(&self, cache: SlotName, rows: usize) -> f64 {
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
    fn attention(&self, cache: SlotName, q: f64, heads: f64) -> Cost {
        let tokens = self.tokens(SlotName::FIRST);
        let context = self.shape.context as f64;
        let rows = context + (tokens + 1.0) / 2.0;
        Cost {
            cache_bytes: self.cache_rows(cache, self.shape.context + self.shape.tokens),
            ..self.cost(rows * (2.0 * q + heads * (EXP + 1.0)))
        }
    }
}
