//! An attention block in two ops between its projections.
//!
//! Looks for keys and values that are projected, rotated and stored, and nothing else: `store`
//! behind their product does all of it, head by head. And for queries that are rotated and attend,
//! with the rounding of the result: `rope_attention`, for each token by the heads that share a kv
//! head. There may be no RoPE, a norm by heads before it, and biases of the projections before that,
//! which go in too, and so does a sigmoid of the gate that was projected beside the queries. Each takes the place of the op on the cache
//! that it replaces. The rounding goes in only if those heads are whole blocks of it. Whatever is
//! an output or has another reader stays a value, and the ops stay.

use sharpi_ir::{
    Bias, DType, Epilogue, Graph, NodeId, Op, Operand, OutputGate, Patch, PatchOperand,
    RopeScaling, SlotName, StateId, StateType, Symbols, Value, WeightId, slot,
};

use crate::pass::{Context, Pass, PassError, Stats};
use crate::pattern::{
    Product, erase_with_roundings, feeder, norm_weight, only_user, result, value, weight,
};
use crate::rewrite::{Rule, rewrite};

/// Fuses what stands around an attention.
pub struct FuseAttention;

const RULES: &[Rule] = &[
    Rule {
        name: "project-and-store",
        find: project_and_store,
    },
    Rule {
        name: "rotate-and-attend",
        find: rotate_and_attend,
    },
];

impl Pass for FuseAttention {
    fn name(&self) -> &'static str {
        "fuse-attention"
    }

    fn doc(&self) -> &'static str {
        "takes norms, RoPE, the cache's store and the output gate into the ops of an attention"
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        rewrite(graph, context, RULES)
    }
}

/// `rope(x, pos)` or `rope(rmsnorm(x), pos)` or either without `rope`, of which nothing else reads a
/// part.
struct Rotated {
    x: Value,
    /// The op that reads `x`.
    reader: NodeId,
    /// The ops, that which reads `x` first.
    nodes: Vec<NodeId>,
    norm: Option<(f32, WeightId)>,
    n_rot: u32,
    freq_base: f32,
    scaling: RopeScaling,
}

impl Rotated {
    fn feeding(
        graph: &Graph,
        reader: NodeId,
        name: SlotName,
        (pos, symbols): (Value, &Symbols),
    ) -> Option<Rotated> {
        let mut turned = Rotated {
            x: value(graph, reader, name)?,
            reader,
            nodes: Vec::new(),
            norm: None,
            n_rot: 0,
            freq_base: 1.0,
            scaling: RopeScaling::default(),
        };
        if let Some(rope) = feeder(graph, reader, name)
            && let Some(Op::Rope {
                n_rot,
                freq_base,
                scaling,
            }) = graph.op(rope)
        {
            (turned.n_rot, turned.freq_base) = (*n_rot, *freq_base);
            turned.scaling = scaling.clone();
            turned.take(rope, value(graph, rope, slot::Rope::x)?);
            if value(graph, rope, slot::Rope::pos)? != pos {
                return None;
            }
        }
        if only_user(graph, turned.x) == Some(turned.reader)
            && let Some(Op::Rmsnorm { eps }) = graph.op(turned.x.node)
        {
            let norm = turned.x.node;
            turned.norm = Some((*eps, norm_weight(graph, norm, symbols)?));
            turned.take(norm, value(graph, norm, slot::Rmsnorm::x)?);
        }
        Some(turned)
    }

    /// One more op, of this input, before those that there are.
    fn take(&mut self, node: NodeId, x: Value) {
        (self.x, self.reader) = (x, node);
        self.nodes.insert(0, node);
    }

    /// Whether nothing else reads what is turned.
    fn is_only_reader(&self, graph: &Graph) -> bool {
        only_user(graph, self.x) == Some(self.reader)
    }

    fn norm_eps(&self) -> Option<f32> {
        self.norm.map(|(eps, _)| eps)
    }

    fn norm_weight(&self) -> Option<PatchOperand> {
        self.norm.map(|(_, weight)| weight.into())
    }
}

/// A `reshape` at `node`.
fn reshape(graph: &Graph, node: NodeId) -> Option<NodeId> {
    matches!(graph.op(node)?, Op::Reshape { .. }).then_some(node)
}

/// The product that `reader` alone reads, or the sum of it and a bias, and the bias with the op that
/// adds it.
fn projected(
    graph: &Graph,
    reader: NodeId,
    symbols: &Symbols,
) -> Option<(Product, Option<(NodeId, WeightId)>)> {
    let sum = feeder(graph, reader, SlotName::FIRST)?;
    match bias(graph, sum, symbols) {
        Some(bias) => {
            let product = Product::feeding(graph, sum, slot::Add::a)?;
            Some((product, Some((sum, bias))))
        }
        None => Some((Product::at(graph, sum)?, None)),
    }
}

/// The vector that an `add` at `node` gives every token.
fn bias(graph: &Graph, node: NodeId, symbols: &Symbols) -> Option<WeightId> {
    let Op::Add {} = graph.op(node)? else {
        return None;
    };
    let bias = weight(graph, node, slot::Add::b)?;
    let shape = &symbols.weight_of(bias)?.1.ty.shape;
    (shape[..] == [graph.ty(result(node)).last()]).then_some(bias)
}

fn project_and_store(graph: &Graph, node: NodeId, symbols: &Symbols) -> Option<Patch> {
    let Op::KvStore {} = graph.op(node)? else {
        return None;
    };
    let pos = value(graph, node, slot::KvStore::pos)?;
    let state = graph.state(node)?;
    let turned = Rotated::feeding(graph, node, slot::KvStore::k, (pos, symbols))?;
    if !turned.is_only_reader(graph) {
        return None;
    }
    let keys = reshape(graph, turned.x.node)?;
    let values = reshape(graph, feeder(graph, node, slot::KvStore::v)?)?;
    let (k, key_bias) = projected(graph, keys, symbols)?;
    let (v, value_bias) = projected(graph, values, symbols)?;
    let biases: Vec<(NodeId, WeightId)> = key_bias.into_iter().chain(value_bias).collect();
    let bias = match biases[..] {
        [] => Bias::None,
        [_, _] => Bias::Added,
        _ => return None,
    };
    if k.x != v.x || graph.ty(k.x).dtype != DType::F32 || graph.ty(k.x).rank() != 2 {
        return None;
    }
    let mut operands: Vec<PatchOperand> =
        vec![k.x.into(), pos.into(), Operand::State(state).into()];
    operands.extend(biases.iter().map(|(_, bias)| PatchOperand::from(*bias)));
    operands.extend(turned.norm_weight());
    operands.extend([k.weight, v.weight].map(PatchOperand::from));
    let mut replaced = vec![node, keys, values, k.node, v.node];
    replaced.extend(&turned.nodes);
    replaced.extend(biases.iter().map(|(node, _)| node));
    let mut patch = Patch::new("project-and-store");
    let op = Op::Product {
        norm_eps: None,
        epilogue: Epilogue::Store {
            bias,
            norm_eps: turned.norm_eps(),
            n_rot: turned.n_rot,
            freq_base: turned.freq_base,
            scaling: turned.scaling,
        },
    };
    patch.add(op, &operands);
    erase_with_roundings(graph, &mut patch, &replaced);
    Some(patch)
}

/// What an attention's queries are made of and its result becomes.
struct Around {
    /// Queries, with their gates or without, `[T, ..]`.
    q: Value,
    gate: OutputGate,
    /// The op whose result stands for the attention's.
    last: NodeId,
    nodes: Vec<NodeId>,
}

/// Queries alone, `[T, H·D]`, and the result in the same shape.
fn ungated(graph: &Graph, node: NodeId, query: Value) -> Option<Around> {
    let heads = reshape(graph, query.node)?;
    let flat = reshape(graph, only_user(graph, result(node))?)?;
    Some(Around {
        q: value(graph, heads, slot::Reshape::x)?,
        gate: OutputGate::None,
        last: flat,
        nodes: vec![heads, flat],
    })
}

/// Heads of a query and its gate, of which the sigmoid multiplies the result.
fn gated(graph: &Graph, node: NodeId, query: Value) -> Option<Around> {
    let split = query.node;
    let Op::Split { axis: 2, sizes } = graph.op(split)? else {
        return None;
    };
    let gate = Value {
        node: split,
        result: 1,
    };
    if query != result(split) || sizes.len() != 2 || sizes[0] != sizes[1] {
        return None;
    }
    let heads = reshape(graph, feeder(graph, split, slot::Split::x)?)?;
    let flat_gate = reshape(graph, only_user(graph, gate)?)?;
    let sigmoid = only_user(graph, result(flat_gate))?;
    let flat = reshape(graph, only_user(graph, result(node))?)?;
    let last = only_user(graph, result(flat))?;
    let (Op::Sigmoid {}, Op::Mul {}) = (graph.op(sigmoid)?, graph.op(last)?) else {
        return None;
    };
    let one_gate = feeder(graph, last, slot::Mul::b) == Some(sigmoid)
        && value(graph, last, slot::Mul::a) == Some(result(flat));
    one_gate.then_some(Around {
        q: value(graph, heads, slot::Reshape::x)?,
        gate: OutputGate::Sigmoid,
        last,
        nodes: vec![heads, split, flat, flat_gate, sigmoid, last],
    })
}

/// The `quantize` that alone reads a result of attention, if the query heads of a kv head are whole
/// blocks of its format.
fn rounding(
    graph: &Graph,
    attended: Value,
    cache: StateId,
    symbols: &Symbols,
) -> Option<(NodeId, DType)> {
    let (_, StateType::Kv { heads, .. }) = symbols.state_of(cache)? else {
        return None;
    };
    let group = graph.ty(attended).last().fixed()?.checked_div(*heads)?;
    let user = only_user(graph, attended)?;
    let Op::Quantize { to } = *graph.op(user)? else {
        return None;
    };
    group.is_multiple_of(to.block_len()).then_some((user, to))
}

fn rotate_and_attend(graph: &Graph, node: NodeId, symbols: &Symbols) -> Option<Patch> {
    let Op::Attention { scale, pool } = *graph.op(node)? else {
        return None;
    };
    let pos = value(graph, node, slot::Attention::pos)?;
    let state = graph.state(node)?;
    let turned = Rotated::feeding(graph, node, slot::Attention::q, (pos, symbols))?;
    let around = gated(graph, node, turned.x).or_else(|| ungated(graph, node, turned.x))?;
    let attended = result(around.last);
    let sum = around.q.node;
    let alone = around.gate == OutputGate::None && only_user(graph, around.q).is_some();
    let bias = bias(graph, sum, symbols).filter(|_| alone);
    let q = match bias {
        Some(_) => value(graph, sum, slot::Add::a)?,
        None => around.q,
    };
    let flat = |v| graph.ty(v).rank() == 2 && graph.ty(v).dtype == DType::F32;
    if !turned.is_only_reader(graph) || !flat(around.q) || !flat(attended) {
        return None;
    }
    let rounding = rounding(graph, attended, state, symbols);
    let mut operands: Vec<PatchOperand> = vec![q.into(), pos.into(), Operand::State(state).into()];
    let blocks = value(graph, node, slot::Attention::blocks);
    operands.extend(blocks.map(PatchOperand::from));
    operands.extend(bias.map(PatchOperand::from));
    operands.extend(turned.norm_weight());
    let op = Op::RopeAttention {
        biased: match bias {
            Some(_) => Bias::Added,
            None => Bias::None,
        },
        norm_eps: turned.norm_eps(),
        n_rot: turned.n_rot,
        freq_base: turned.freq_base,
        scaling: turned.scaling,
        scale,
        gate: around.gate,
        to: rounding.map_or(DType::F32, |(_, to)| to),
        pool,
    };
    let mut patch = Patch::new("rotate-and-attend");
    let y = patch.add(op, &operands);
    let rounding = rounding.map(|(rounding, _)| rounding);
    patch.replace(result(rounding.unwrap_or(around.last)), y);
    let replaced = [node].into_iter().chain(turned.nodes).chain(around.nodes);
    let summed = bias.map(|_| sum);
    let replaced = replaced.chain(rounding).chain(summed);
    replaced.for_each(|n| patch.erase(n));
    Some(patch)
}
