//! The canonical order of a graph's nodes.

use std::collections::HashSet;

use crate::graph::{Graph, NodeId};

impl Graph {
    /// All nodes, each after what it depends on: inputs first, then depth-first from the outputs
    /// through operands in slot order, at last what no output needs. The order depends on the
    /// graph's shape alone, not on how it was made. Nodes on a cycle come out in some order.
    pub fn order(&self) -> Vec<NodeId> {
        let mut done: HashSet<NodeId> = self.inputs.iter().copied().collect();
        let mut order = self.inputs.clone();
        let live: Vec<NodeId> = self.outputs.values().map(|v| v.node).collect();
        for root in live.into_iter().chain(self.nodes()) {
            self.visit(root, &mut done, &mut order);
        }
        order
    }

    fn visit(&self, root: NodeId, done: &mut HashSet<NodeId>, order: &mut Vec<NodeId>) {
        // The second visit of a node, after its operands, puts it out. A stack of our own: the
        // depth grows with the number of layers.
        let mut stack = vec![(root, false)];
        let mut open = HashSet::new();
        while let Some((node, operands_done)) = stack.pop() {
            if operands_done {
                if done.insert(node) {
                    order.push(node);
                }
                continue;
            }
            if done.contains(&node) || !open.insert(node) {
                continue;
            }
            stack.push((node, true));
            let mut needs: Vec<NodeId> = self.value_operands(node).map(|v| v.node).collect();
            let mut effects: Vec<NodeId> = self.effect_predecessors(node).collect();
            effects.sort_unstable();
            needs.extend(effects);
            stack.extend(needs.into_iter().rev().map(|n| (n, false)));
        }
    }
}
