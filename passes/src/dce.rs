//! Dead code.
//!
//! Looks for ops whose results nobody needs: no output of the graph and no op with a state, not
//! even through others, reads them. Ops with a state stay, because later runs see what they
//! wrote; so do the graph's inputs, which are its callers' business, and results that nobody
//! reads of an op that stays.

use std::collections::HashSet;

use sharpi_ir::{Graph, NodeId, Patch};

use crate::pass::{Context, Pass, PassError, Stats};
use crate::rewrite::apply;

/// Takes away ops whose results nobody needs.
pub struct Dce;

const RULE: &str = "erase-unused-op";

impl Pass for Dce {
    fn name(&self) -> &'static str {
        "dce"
    }

    fn doc(&self) -> &'static str {
        "erases ops that neither an output nor a state depends on"
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        let mut stats = Stats::default();
        let needed = needed(graph);
        // Users come after what they use, so from the back nothing erased is still read.
        for node in graph.order().into_iter().rev() {
            if graph.op(node).is_none() || needed.contains(&node) {
                continue;
            }
            let mut patch = Patch::new(RULE);
            patch.erase(node);
            if !apply(graph, patch, (RULE, node), context, &mut stats)? {
                break;
            }
        }
        Ok(stats)
    }
}

/// Everything that an output or an op with a state depends on, and these themselves.
fn needed(graph: &Graph) -> HashSet<NodeId> {
    let outputs = graph.outputs().values().map(|v| v.node);
    let effects = graph.nodes().filter(|n| graph.state(*n).is_some());
    let mut open: Vec<NodeId> = outputs.chain(effects).collect();
    let mut needed = HashSet::new();
    while let Some(node) = open.pop() {
        if needed.insert(node) {
            open.extend(graph.value_operands(node).map(|v| v.node));
        }
    }
    needed
}
