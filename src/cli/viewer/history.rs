//! Which op of a stage is which of the stage before, and what a pass did to them.
//!
//! Ids of nodes are given again once a node is gone; here every op of all stages of a graph has a
//! number of its own, so that one that stays keeps it.

use std::collections::HashMap;

use serde::Serialize;
use sharpi_ir::{Graph, NodeId};
use sharpi_passes::Rewrite;

/// The numbers of a graph's ops, as far as the stages were walked through.
#[derive(Default)]
pub(super) struct History {
    ids: HashMap<NodeId, usize>,
    next: usize,
}

/// Rule, numbers of the ops that went, of those that came, of those that took over.
#[derive(Serialize)]
pub(super) struct Step(&'static str, Vec<usize>, Vec<usize>, Vec<usize>);

impl History {
    /// Walks on to a graph that these rewrites have made, and tells what they did.
    pub(super) fn advance(&mut self, graph: &Graph, rewrites: &[Rewrite]) -> Vec<Step> {
        let steps = rewrites.iter().map(|rewrite| {
            let applied = &rewrite.applied;
            let heirs = applied
                .heirs
                .iter()
                .filter_map(|n| self.ids.get(n).copied());
            let heirs = heirs.collect();
            let gone = applied.erased.iter().filter_map(|n| self.ids.remove(n));
            let gone = gone.collect();
            let added = applied.added.iter().map(|n| self.begin(*n));
            let added: Vec<usize> = added.collect();
            Step(rewrite.rule, gone, added, heirs)
        });
        let steps = steps.collect();
        // A pass of one's own may rewrite without telling.
        self.ids.retain(|node, _| graph.contains(*node));
        for node in graph.order() {
            if graph.op(node).is_some() && !self.ids.contains_key(&node) {
                self.begin(node);
            }
        }
        steps
    }

    /// The number of an op of the graph at which the walk has arrived.
    pub(super) fn id(&self, node: NodeId) -> usize {
        self.ids.get(&node).copied().unwrap_or(usize::MAX)
    }

    fn begin(&mut self, node: NodeId) -> usize {
        let id = self.next;
        self.next += 1;
        self.ids.insert(node, id);
        id
    }
}
