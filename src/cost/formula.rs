//! The formula of every op.

use sharpi_ir::{Bias, Epilogue, Graph, NodeId, Op, OutputGate, SlotName, Symbols, slot};

use super::operands::{
    Args, DELTA_RULE, EXP, L2NORM, RMSNORM, ROUND, SIGMOID, SOFTMAX, f32, multiplied, rope, round,
    swiglu,
};
use super::{Cost, RunShape};

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
            weight_bytes: a.elements(slot::Embed::ids) * a.bytes(slot::Embed::table)
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
        Op::PoolKeys { .. } => Cost {
            cache_bytes: a.cache_rows(slot::PoolKeys::cache, shape.tokens),
            ..a.cost(x * (RMSNORM + 2.0))
        },
        Op::ChooseBlocks { pool, .. } => {
            // Half of a row is pooled, and of one row in so many.
            let rows = (shape.context + shape.tokens) as f64 / f64::from(*pool);
            let read = a.cache_rows(slot::ChooseBlocks::cache, 1) / 2.0 * rows;
            Cost {
                cache_bytes: read,
                ..a.cost(x * (RMSNORM + rows))
            }
        }
        Op::CausalConv {} => a.cost(x * a.last(slot::CausalConv::weight)),
        Op::DilatedConv { .. } => a.cost(x * a.last(slot::DilatedConv::weight)),
        Op::StreamConv { .. } => a.cost(x * (a.last(slot::StreamConv::weight) + SIGMOID + 2.0)),
        Op::StreamGate { .. } => a.cost(2.0 * x),
        Op::NgramRows { .. } => a.cost(y),
        Op::GdnScan { .. } => a.cost(
            DELTA_RULE * a.elements(slot::GdnScan::v) * a.last(slot::GdnScan::v)
                + EXP * a.elements(slot::GdnScan::g),
        ),
        Op::Silu {} | Op::Sigmoid {} => a.cost(x * SIGMOID),
        Op::Softplus {} => a.cost(x * 2.0 * EXP),
        Op::Softmax {} => a.cost(x * SOFTMAX),
        Op::Add {}
        | Op::Mul {}
        | Op::Div {}
        | Op::ClampMin { .. }
        | Op::Scale { .. }
        | Op::SignedSqrt { .. } => a.cost(y),
        Op::Streams { .. } => a.cost(0.0),
        Op::StreamMix { .. } => a.cost(x * (SIGMOID + 1.0)),
        Op::StreamAdd {} => a.cost(x + SIGMOID * a.elements(slot::StreamAdd::inject)),
        Op::RowSum {} | Op::ExpertSum {} | Op::TopkRouter { .. } => a.cost(x),
        Op::Concat { .. } | Op::Split { .. } => a.cost(0.0),
        Op::Reshape { .. } => Cost::default(),
        Op::AllGather { .. } => Cost {
            exchanges: 1.0,
            exchanged_bytes: a.result_bytes() - a.bytes(SlotName::FIRST),
            ..a.cost(0.0)
        },
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
        Op::MoeSwiglu {
            norm_eps, k, to, ..
        } => {
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
            let sums = y * k + a.elements(of::residual) + shared + a.elements(of::gate) * SIGMOID;
            a.cost(routed + sums)
                + multiplied(x * a.dim(of::weight, 1), a.ty(of::weight))
                + a.rounded(of::x, of::weight)
                + a.experts_unread(of::weight, k)
        }
        Op::RopeAttention {
            biased,
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
            let around = y * (normed + gated + added(*biased) + round(*to)) + rope(y, head, *n_rot);
            a.attention(of::cache, y, y / head.max(1.0)) + f32(around)
        }
    }
}

impl Args<'_> {
    /// What a `product` moves, and what its epilogue computes.
    fn epilogue(&self, epilogue: &Epilogue, y: f64) -> Cost {
        use slot::Product as of;
        match epilogue {
            Epilogue::None => self.cost(0.0),
            Epilogue::Swiglu { to } => self.cost(swiglu(y, *to)),
            Epilogue::Add => self.cost(y),
            Epilogue::Silu { to, .. } => self.cost(swiglu(y, *to)),
            Epilogue::ConvSilu => self.cost(y * (self.last(of::kernel) + SIGMOID)),
            Epilogue::Store {
                bias,
                norm_eps,
                n_rot,
                ..
            } => {
                let keys = self.tokens(of::x) * self.dim(of::weights, 0);
                let normed = norm_eps.map_or(0.0, |_| keys * RMSNORM);
                let turned = rope(keys, self.head_size(of::cache), *n_rot);
                Cost {
                    cache_bytes: self.cache_rows(of::cache, self.shape.tokens),
                    ..self.cost(normed + turned + 2.0 * keys * (1.0 + added(*bias)))
                }
            }
        }
    }
}

/// Operations on each element for a bias.
fn added(bias: Bias) -> f64 {
    match bias {
        Bias::None => 0.0,
        Bias::Added => 1.0,
    }
}
