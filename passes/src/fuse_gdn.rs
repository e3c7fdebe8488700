//! A DeltaNet block in two ops besides its projections.
//!
//! Looks for a projection that is convolved and goes through SiLU, and nothing else: the channels
//! of a convolution do not meet, so `conv_silu` behind the projection convolves the columns that a
//! chunk has made. And for a scan with all around it: the split and L2 norms of q and k, decay
//! and beta before it, the norm by heads, the gate and the rounding behind it. None of that crosses
//! heads, so `gated_delta_net` does it head by head. The rounding goes in only where some heads
//! together are whole blocks of it. Each op takes the place of the one on its state that it
//! replaces. Whatever is an output or has another reader stays a value, and the ops stay.

use sharpi_ir::{
    DType, Epilogue, Graph, NodeId, Op, Operand, Patch, ScanGate, SlotName, Symbols, Value,
    WeightId, slot,
};

use crate::pass::{Context, Pass, PassError, Stats};
use crate::pattern::{
    Product, erase_with_roundings, feeder, norm_weight, only_user, result, value, weight,
};
use crate::rewrite::{Rule, rewrite};

/// Fuses what stands around a convolution and a scan.
pub struct FuseGdn;

const RULES: &[Rule] = &[
    Rule {
        name: "project-and-convolve",
        find: project_and_convolve,
    },
    Rule {
        name: "scan-and-gate",
        find: scan_and_gate,
    },
];

impl Pass for FuseGdn {
    fn name(&self) -> &'static str {
        "fuse-gdn"
    }

    fn doc(&self) -> &'static str {
        "takes the convolution into its projection; norms, decay, beta and gate into the scan"
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        rewrite(graph, context, RULES)
    }
}

fn project_and_convolve(graph: &Graph, node: NodeId, _: &Symbols) -> Option<Patch> {
    let Op::CausalConv {} = graph.op(node)? else {
        return None;
    };
    let silu = only_user(graph, result(node))?;
    let Op::Silu {} = graph.op(silu)? else {
        return None;
    };
    let (product, state) = (
        Product::feeding(graph, node, slot::CausalConv::x)?,
        graph.state(node)?,
    );
    let mut patch = Patch::new("project-and-convolve");
    let operands = [
        product.x.into(),
        Operand::State(state).into(),
        weight(graph, node, slot::CausalConv::weight)?.into(),
        product.weight.into(),
    ];
    let op = Op::Product {
        norm_eps: None,
        epilogue: Epilogue::ConvSilu,
    };
    let u = patch.add(op, &operands);
    patch.replace(result(silu), u);
    erase_with_roundings(graph, &mut patch, &[product.node, node, silu]);
    Some(patch)
}

/// What a scan takes, with the nodes between that and the scan.
struct Inputs {
    u: Value,
    l2_eps: f32,
    alpha: Value,
    dt: WeightId,
    a: WeightId,
    beta: Value,
    nodes: Vec<NodeId>,
}

fn inputs(graph: &Graph, scan: NodeId) -> Option<Inputs> {
    let mut nodes = Vec::new();
    let (q, l2_eps) = normed_part(graph, scan, slot::GdnScan::q, &mut nodes)?;
    let (k, k_eps) = normed_part(graph, scan, slot::GdnScan::k, &mut nodes)?;
    let v = part(graph, scan, slot::GdnScan::v, &mut nodes)?;
    let split = q.node;
    let Op::Split { axis: 1, sizes } = graph.op(split)? else {
        return None;
    };
    let in_order = [q, k, v].iter().zip(0..).all(|(part, i)| {
        let result = i;
        *part
            == Value {
                node: split,
                result,
            }
    });
    let bits_agree = l2_eps.to_bits() == k_eps.to_bits();
    if !in_order || !bits_agree || sizes.len() != 3 || sizes[0] != sizes[1] {
        return None;
    }
    nodes.push(split);
    let scaled = feeder(graph, scan, slot::GdnScan::g)?;
    let softplus = feeder(graph, scaled, slot::Mul::a)?;
    let biased = feeder(graph, softplus, slot::Softplus::x)?;
    let sigmoid = feeder(graph, scan, slot::GdnScan::beta)?;
    let (Op::Mul {}, Op::Softplus {}, Op::Add {}, Op::Sigmoid {}) = (
        graph.op(scaled)?,
        graph.op(softplus)?,
        graph.op(biased)?,
        graph.op(sigmoid)?,
    ) else {
        return None;
    };
    nodes.extend([scaled, softplus, biased, sigmoid]);
    Some(Inputs {
        u: value(graph, split, slot::Split::x)?,
        l2_eps,
        alpha: value(graph, biased, slot::Add::a)?,
        dt: weight(graph, biased, slot::Add::b)?,
        a: weight(graph, scaled, slot::Mul::b)?,
        beta: value(graph, sigmoid, slot::Sigmoid::x)?,
        nodes,
    })
}

/// The flat value that a `reshape` alone shows to `reader` alone.
fn part(graph: &Graph, reader: NodeId, name: SlotName, nodes: &mut Vec<NodeId>) -> Option<Value> {
    let heads = feeder(graph, reader, name)?;
    let Op::Reshape { .. } = graph.op(heads)? else {
        return None;
    };
    nodes.push(heads);
    let flat = value(graph, heads, slot::Reshape::x)?;
    (only_user(graph, flat) == Some(heads)).then_some(flat)
}

/// [`part`] behind an L2 norm, and its `eps`.
fn normed_part(
    graph: &Graph,
    scan: NodeId,
    name: SlotName,
    nodes: &mut Vec<NodeId>,
) -> Option<(Value, f32)> {
    let norm = feeder(graph, scan, name)?;
    let Op::L2norm { eps } = *graph.op(norm)? else {
        return None;
    };
    nodes.push(norm);
    Some((part(graph, norm, slot::L2norm::x, nodes)?, eps))
}

fn scan_and_gate(graph: &Graph, node: NodeId, symbols: &Symbols) -> Option<Patch> {
    let Op::GdnScan { keys } = *graph.op(node)? else {
        return None;
    };
    let inputs = inputs(graph, node)?;
    let state = graph.state(node)?;
    let norm = only_user(graph, result(node))?;
    let flat = only_user(graph, result(norm))?;
    let gated = only_user(graph, result(flat))?;
    let gate = feeder(graph, gated, slot::Mul::b)?;
    let (Op::Rmsnorm { eps }, Op::Reshape { .. }, Op::Mul {}) =
        (graph.op(norm)?, graph.op(flat)?, graph.op(gated)?)
    else {
        return None;
    };
    let by = match graph.op(gate)? {
        Op::Silu {} => ScanGate::Silu,
        Op::Sigmoid {} => ScanGate::Sigmoid,
        _ => return None,
    };
    let z = value(graph, gate, SlotName::FIRST)?;
    let by_heads = value(graph, gated, slot::Mul::a) == Some(result(flat));
    if !by_heads || graph.ty(z) != graph.ty(result(gated)) || graph.ty(z).rank() != 2 {
        return None;
    }
    let rounding = only_user(graph, result(gated)).and_then(|user| match graph.op(user)? {
        Op::Quantize { to } => Some((user, *to)),
        _ => None,
    });
    let op = Op::GatedDeltaNet {
        keys,
        gate: by,
        l2_eps: inputs.l2_eps,
        eps: *eps,
        to: rounding.map_or(DType::F32, |(_, to)| to),
    };
    let mut patch = Patch::new("scan-and-gate");
    let operands = [
        inputs.u.into(),
        z.into(),
        inputs.alpha.into(),
        inputs.beta.into(),
        Operand::State(state).into(),
        inputs.dt.into(),
        inputs.a.into(),
        norm_weight(graph, norm, symbols)?.into(),
    ];
    let y = patch.add(op, &operands);
    let rounding = rounding.map(|(rounding, _)| rounding);
    patch.replace(result(rounding.unwrap_or(gated)), y);
    let around = [node, norm, flat, gated, gate];
    let replaced = around.into_iter().chain(inputs.nodes).chain(rounding);
    replaced.for_each(|n| patch.erase(n));
    Some(patch)
}
