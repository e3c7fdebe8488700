//! An attention block in two ops between its projections.
//!
//! Looks for keys and values that are projected, normed, rotated and stored, and nothing else:
//! `project_kv` does all of it, head by head. And for queries that are normed, rotated and attend,
//! times a sigmoid of the gate that was projected beside them, with the rounding of the result:
//! `gated_attention`, for each token by the heads that share a kv head. Each takes the place of
//! the op on the cache that it replaces. The rounding goes in only if those heads are whole
//! blocks of it. Whatever is an output or has another reader stays a value, and the ops stay.

use sharpi_ir::{DType, Graph, NodeId, Op, Operand, Patch, RopeScaling, StateType, Symbols, Value};

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
struct Rotated {
    rope: NodeId,
    norm: NodeId,
    eps: f32,
    n_rot: u32,
    freq_base: f32,
    scaling: RopeScaling,
}

impl Rotated {
    fn feeding(graph: &Graph, reader: NodeId, pos: Value) -> Option<Rotated> {
        let rope = feeder(graph, reader, 0)?;
        let Op::Rope {
            n_rot,
            freq_base,
            scaling,
        } = graph.op(rope)?
        else {
            return None;
        };
        let norm = feeder(graph, rope, 0)?;
        let Op::Rmsnorm { eps } = *graph.op(norm)? else {
            return None;
        };
        (value(graph, rope, 1)? == pos).then_some(Rotated {
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
    let (pos, state) = (value(graph, node, 2)?, graph.state(node)?);
    let turned = Rotated::feeding(graph, node, pos)?;
    let keys = reshape(graph, feeder(graph, turned.norm, 0)?)?;
    let values = reshape(graph, feeder(graph, node, 1)?)?;
    let (k, v) = (
        Product::feeding(graph, keys, 0)?,
        Product::feeding(graph, values, 0)?,
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
    let norm = weight(graph, turned.norm, 1)?;
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
    let (pos, state) = (value(graph, node, 1)?, graph.state(node)?);
    let turned = Rotated::feeding(graph, node, pos)?;
    let query = value(graph, turned.norm, 0)?;
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
    let heads = reshape(graph, feeder(graph, split, 0)?)?;
    let flat_gate = reshape(graph, only_user(graph, gate)?)?;
    let sigmoid = only_user(graph, result(flat_gate))?;
    let flat = reshape(graph, only_user(graph, result(node))?)?;
    let gated = only_user(graph, result(flat))?;
    let (Op::Sigmoid {}, Op::Mul {}) = (graph.op(sigmoid)?, graph.op(gated)?) else {
        return None;
    };
    let q = value(graph, heads, 0)?;
    let one_gate = only_user(graph, query) == Some(turned.norm)
        && feeder(graph, gated, 1) == Some(sigmoid)
        && value(graph, gated, 0) == Some(result(flat));
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
    let norm = weight(graph, turned.norm, 1)?;
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
