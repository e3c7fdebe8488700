//! An attention block in two ops between its projections.
//!
//! Looks for keys and values that are projected, normed, rotated and stored, and nothing else:
//! `project_kv` does all of it, head by head. And for queries that are normed, rotated and attend,
//! times a sigmoid of the gate that was projected beside them, with the rounding of the result:
//! `gated_attention`, for each token by the heads that share a kv head. Each takes the place of
//! the op on the cache that it replaces. The rounding goes in only if those heads are whole
//! blocks of it. Whatever is an output or has another reader stays a value, and the ops stay.

use sharpi_ir::{
    DType, Graph, NodeId, Op, Operand, Patch, RopeScaling, SlotName, StateType, Symbols, Value,
    slot,
};

use crate::pass::{Context, Pass, PassError, Stats};
use crate::pattern::{Product, erase_with_roundings, feeder, only_user, result, value, weight};
use crate::rewrite::{Rule, rewrite};

/// Fuses what stands around an attention.
pub struct FuseAttention;

const RULES: &[Rule] = &[
    Rule {
        name: "project-and-store",
        find: project_and_store,
    },
    Rule {
        name: "attend-and-gate",
        find: attend_and_gate,
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

/// `rope(rmsnorm(x), pos)`, of which nothing else reads a part.
struct Turned {
    rope: NodeId,
    norm: NodeId,
    eps: f32,
    n_rot: u32,
    freq_base: f32,
    scaling: RopeScaling,
}

impl Turned {
    fn feeding(graph: &Graph, reader: NodeId, name: SlotName, pos: Value) -> Option<Turned> {
        let rope = feeder(graph, reader, name)?;
        let Op::Rope {
            n_rot,
            freq_base,
            scaling,
        } = graph.op(rope)?
        else {
            return None;
        };
        let norm = feeder(graph, rope, slot::Rope::x)?;
        let Op::Rmsnorm { eps } = *graph.op(norm)? else {
            return None;
        };
        (value(graph, rope, slot::Rope::pos)? == pos).then_some(Turned {
            rope,
            norm,
            eps,
            n_rot: *n_rot,
            freq_base: *freq_base,
            scaling: scaling.clone(),
        })
    }
}

/// The `reshape` that alone reads a value for `reader`, or that `reader` alone reads.
fn reshape(graph: &Graph, node: NodeId) -> Option<NodeId> {
    matches!(graph.op(node)?, Op::Reshape { .. }).then_some(node)
}

fn project_and_store(graph: &Graph, node: NodeId, _: &Symbols) -> Option<Patch> {
    let Op::KvStore {} = graph.op(node)? else {
        return None;
    };
    let pos = value(graph, node, slot::KvStore::pos)?;
    let state = graph.state(node)?;
    let turned = Turned::feeding(graph, node, slot::KvStore::k, pos)?;
    let keys = reshape(graph, feeder(graph, turned.norm, slot::Rmsnorm::x)?)?;
    let values = reshape(graph, feeder(graph, node, slot::KvStore::v)?)?;
    let (k, v) = (
        Product::feeding(graph, keys, slot::Reshape::x)?,
        Product::feeding(graph, values, slot::Reshape::x)?,
    );
    if k.x != v.x || graph.ty(k.x).rank() != 2 {
        return None;
    }
    let op = Op::ProjectKv {
        norm_eps: None,
        eps: turned.eps,
        n_rot: turned.n_rot,
        freq_base: turned.freq_base,
        scaling: turned.scaling,
    };
    let norm = weight(graph, turned.norm, slot::Rmsnorm::weight)?;
    let mut patch = Patch::new("project-and-store");
    let weights = [k.weight.into(), v.weight.into(), norm.into()];
    patch.add(
        op,
        &[
            &[k.x.into(), pos.into(), Operand::State(state).into()],
            &weights[..],
        ]
        .concat(),
    );
    let replaced = [node, turned.rope, turned.norm, keys, values, k.node, v.node];
    erase_with_roundings(graph, &mut patch, &replaced);
    Some(patch)
}

fn attend_and_gate(graph: &Graph, node: NodeId, symbols: &Symbols) -> Option<Patch> {
    let Op::Attention { scale } = *graph.op(node)? else {
        return None;
    };
    let pos = value(graph, node, slot::Attention::pos)?;
    let state = graph.state(node)?;
    let turned = Turned::feeding(graph, node, slot::Attention::q, pos)?;
    let query = value(graph, turned.norm, slot::Rmsnorm::x)?;
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
    let gated = only_user(graph, result(flat))?;
    let (Op::Sigmoid {}, Op::Mul {}) = (graph.op(sigmoid)?, graph.op(gated)?) else {
        return None;
    };
    let q = value(graph, heads, slot::Reshape::x)?;
    let one_gate = only_user(graph, query) == Some(turned.norm)
        && feeder(graph, gated, slot::Mul::b) == Some(sigmoid)
        && value(graph, gated, slot::Mul::a) == Some(result(flat));
    if !one_gate || graph.ty(q).rank() != 2 || graph.ty(result(gated)).rank() != 2 {
        return None;
    }
    let (_, ty) = symbols.state_of(state)?;
    let StateType::Kv {
        heads: kv_heads, ..
    } = ty
    else {
        return None;
    };
    let group = graph.ty(result(gated)).last().fixed()? / kv_heads;
    let rounding = only_user(graph, result(gated)).and_then(|user| match graph.op(user)? {
        Op::Quantize { to } if group.is_multiple_of(to.block_len()) => Some((user, *to)),
        _ => None,
    });
    let op = Op::GatedAttention {
        eps: turned.eps,
        n_rot: turned.n_rot,
        freq_base: turned.freq_base,
        scaling: turned.scaling,
        scale,
        to: rounding.map_or(DType::F32, |(_, to)| to),
    };
    let norm = weight(graph, turned.norm, slot::Rmsnorm::weight)?;
    let mut patch = Patch::new("attend-and-gate");
    let operands = [
        q.into(),
        pos.into(),
        Operand::State(state).into(),
        norm.into(),
    ];
    let y = patch.add(op, &operands);
    patch.replace(result(rounding.map_or(gated, |(rounding, _)| rounding)), y);
    let between = [
        heads,
        split,
        turned.norm,
        turned.rope,
        node,
        flat,
        flat_gate,
        sigmoid,
        gated,
    ];
    let rounding = rounding.map(|(rounding, _)| rounding);
    between
        .into_iter()
        .chain(rounding)
        .for_each(|n| patch.erase(n));
    Some(patch)
}
