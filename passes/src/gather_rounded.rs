//! Rows are rounded before they are gathered, not after: fewer bytes go from rank to rank.
//!
//! Looks for a gathered value that is rounded and not read in any other way. Blocks of an
//! activation format do not meet, so each rank rounds its own, if all ranks have whole blocks.

use sharpi_ir::{Graph, NodeId, Op, Patch, Symbols, slot};

use crate::pass::{Context, Pass, PassError, Stats};
use crate::pattern::{only_user, result, value};
use crate::rewrite::{Rule, rewrite};

/// Rounds before gathering.
pub struct GatherRounded;

const RULES: &[Rule] = &[Rule {
    name: "round-before-gather",
    find: round_before_gather,
}];

impl Pass for GatherRounded {
    fn name(&self) -> &'static str {
        "gather-rounded"
    }

    fn doc(&self) -> &'static str {
        "rounds activations before they are gathered from all ranks"
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        rewrite(graph, context, RULES)
    }
}

fn round_before_gather(graph: &Graph, node: NodeId, _: &Symbols) -> Option<Patch> {
    let gather = graph.op(node)?;
    let Op::AllGather { axis, parts, .. } = gather else {
        return None;
    };
    let rounding = only_user(graph, result(node))?;
    let Op::Quantize { to } = *graph.op(rounding)? else {
        return None;
    };
    let along_rows = *axis as usize + 1 == graph.ty(result(node)).rank();
    let block = if along_rows { to.block_len() } else { 1 };
    parts.map(|part| part.divided(block))?;
    let x = value(graph, node, slot::AllGather::x)?;
    let mut patch = Patch::new("round-before-gather");
    let rounded = patch.add(Op::Quantize { to }, &[x.into()]);
    let gathered = patch.add(gather.clone(), &[rounded]);
    patch.replace(result(rounding), gathered);
    patch.erase(node);
    patch.erase(rounding);
    Some(patch)
}
