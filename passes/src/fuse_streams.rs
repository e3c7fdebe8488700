//! What is remembered of n-grams, in two ops behind its products.
//!
//! Looks for a row of a token that goes to each of its residual streams, weighted by how a key and a
//! query of the stream agree; and for a dilated convolution, its SiLU and the two sums that bring it
//! and what it convolves to the streams. None of that crosses streams or channels. What is an output
//! or has another reader stays a value, and the ops stay.

use sharpi_ir::{Graph, NodeId, Op, Operand, Patch, SlotName, Symbols, slot};

use crate::pass::{Context, Pass, PassError, Stats};
use crate::pattern::{feeder, result, value, weight};
use crate::rewrite::{Rule, rewrite};

/// Fuses what stands around what streams remember.
pub struct FuseStreams;

const RULES: &[Rule] = &[
    Rule {
        name: "gate-by-agreement",
        find: gate_by_agreement,
    },
    Rule {
        name: "convolve-and-add",
        find: convolve_and_add,
    },
];

impl Pass for FuseStreams {
    fn name(&self) -> &'static str {
        "fuse-streams"
    }

    fn doc(&self) -> &'static str {
        "makes two ops of what weighs, convolves and adds to residual streams"
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        rewrite(graph, context, RULES)
    }
}

fn gate_by_agreement(graph: &Graph, node: NodeId, _: &Symbols) -> Option<Patch> {
    let Op::Mul {} = graph.op(node)? else {
        return None;
    };
    let streams = feeder(graph, node, slot::Mul::a)?;
    let sigmoid = feeder(graph, node, slot::Mul::b)?;
    let root = feeder(graph, sigmoid, SlotName::FIRST)?;
    let scale = feeder(graph, root, SlotName::FIRST)?;
    let sum = feeder(graph, scale, SlotName::FIRST)?;
    let products = feeder(graph, sum, SlotName::FIRST)?;
    let (Op::Streams { .. }, Op::Sigmoid {}, Op::SignedSqrt { min }) =
        (graph.op(streams)?, graph.op(sigmoid)?, graph.op(root)?)
    else {
        return None;
    };
    let (Op::Scale { by }, Op::RowSum {}, Op::Mul {}) =
        (graph.op(scale)?, graph.op(sum)?, graph.op(products)?)
    else {
        return None;
    };
    let key = value(graph, products, slot::Mul::a)?;
    let query = value(graph, products, slot::Mul::b)?;
    let y = graph.ty(result(node));
    if graph.ty(key) != y || graph.ty(query) != y {
        return None;
    }
    let mut patch = Patch::new("gate-by-agreement");
    let value = value(graph, streams, slot::Streams::x)?;
    let op = Op::StreamGate { by: *by, min: *min };
    let gated = patch.add(op, &[key.into(), query.into(), value.into()]);
    patch.replace(result(node), gated);
    let replaced = [node, streams, sigmoid, root, scale, sum, products];
    replaced.into_iter().for_each(|node| patch.erase(node));
    Some(patch)
}

fn convolve_and_add(graph: &Graph, node: NodeId, _: &Symbols) -> Option<Patch> {
    let Op::Add {} = graph.op(node)? else {
        return None;
    };
    let sum = feeder(graph, node, slot::Add::b)?;
    let shape = feeder(graph, sum, slot::Add::b)?;
    let silu = feeder(graph, shape, SlotName::FIRST)?;
    let conv = feeder(graph, silu, SlotName::FIRST)?;
    let (Op::Add {}, Op::Reshape { .. }, Op::Silu {}, Op::DilatedConv { dilation }) = (
        graph.op(sum)?,
        graph.op(shape)?,
        graph.op(silu)?,
        graph.op(conv)?,
    ) else {
        return None;
    };
    let streams = value(graph, node, slot::Add::a)?;
    let gated = value(graph, sum, slot::Add::a)?;
    let y = graph.ty(result(shape));
    if y.rank() != 3 || graph.ty(streams) != y || graph.ty(gated) != y {
        return None;
    }
    let mut patch = Patch::new("convolve-and-add");
    let operands = [
        value(graph, conv, slot::DilatedConv::x)?.into(),
        streams.into(),
        gated.into(),
        weight(graph, conv, slot::DilatedConv::weight)?.into(),
        Operand::State(graph.state(conv)?).into(),
    ];
    let op = Op::StreamConv {
        dilation: *dilation,
    };
    let added = patch.add(op, &operands);
    patch.replace(result(node), added);
    let replaced = [node, sum, shape, silu, conv];
    replaced.into_iter().for_each(|node| patch.erase(node));
    Some(patch)
}
