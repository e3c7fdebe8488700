//! RMS norms go into the products that read them.
//!
//! Looks for an `rmsnorm` whose result only fused products read, which round it by themselves.
//! Each of them then takes the norm's input and weight and norms for itself: every worker does so
//! for every row, with the same arithmetic, because that costs less than waiting for one that does
//! it for all. A result that is an output, or that any other op reads, keeps its norm.

use sharpi_ir::{Graph, NodeId, Op, Patch, PatchOperand, SlotName, Symbols, slot};

use crate::pass::{Context, Pass, PassError, Stats};
use crate::pattern::{norm_weight, value};
use crate::rewrite::{Rule, rewrite};

/// Fuses norms into the products that read them.
pub struct FuseNorm;

const RULES: &[Rule] = &[Rule {
    name: "norm-into-product",
    find: norm_into_product,
}];

impl Pass for FuseNorm {
    fn name(&self) -> &'static str {
        "fuse-norm"
    }

    fn doc(&self) -> &'static str {
        "takes an RMS norm and its rounding into the products that alone read it"
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        rewrite(graph, context, RULES)
    }
}

fn norm_into_product(graph: &Graph, reader: NodeId, symbols: &Symbols) -> Option<Patch> {
    let normed_value = value(graph, reader, SlotName::FIRST)?;
    let node = normed_value.node;
    let Op::Rmsnorm { eps } = *graph.op(node)? else {
        return None;
    };
    let readers = graph.users(normed_value);
    let takes_it_in = |(n, slot): &(NodeId, usize)| {
        *slot == 0 && graph.op(*n).is_some_and(|op| normed(op, eps).is_some())
    };
    if graph.is_output(normed_value) || !readers.iter().all(takes_it_in) {
        return None;
    }
    let (op, norm) = normed(graph.op(reader)?, eps)?;
    let by = norm_weight(graph, node, symbols)?;
    let operands = graph.operands(reader).into_iter();
    let mut operands: Vec<PatchOperand> = operands.map(PatchOperand::Old).collect();
    operands[0] = value(graph, node, slot::Rmsnorm::x)?.into();
    operands.insert(op.slot(norm)?, by.into());
    let mut patch = Patch::new("norm-into-product");
    let added = patch.add(op, &operands);
    for v in graph.values(reader) {
        patch.replace(v, added.result(v.result));
    }
    patch.erase(reader);
    // The last reader takes the norm away.
    if readers.len() == 1 {
        patch.erase(node);
    }
    Some(patch)
}

/// The op with a norm before it, and the name of the norm's weight.
fn normed(op: &Op, eps: f32) -> Option<(Op, SlotName)> {
    let mut op = op.clone();
    let (norm_eps, name) = match &mut op {
        Op::Product { norm_eps, .. } => (norm_eps, slot::Product::norm),
        Op::MoeSwiglu { norm_eps, .. } => (norm_eps, slot::MoeSwiglu::norm),
        _ => return None,
    };
    let has_none = norm_eps.replace(eps).is_none();
    has_none.then_some((op, name))
}
