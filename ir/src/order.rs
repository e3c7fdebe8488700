//! The canonical order of a graph's nodes.

use std::collections::HashMap;

use petgraph::visit::NodeIndexable;
use smallvec::SmallVec;

use crate::graph::{Graph, NodeId, NodeKind, Operand};
use crate::hash::Fnv;

/// Nodes put out so far, in order.
struct Walk<'g> {
    graph: &'g Graph,
    order: Vec<NodeId>,
    /// How far each node is, by its index.
    marks: Vec<Mark>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    /// Met, and its operands are on their way.
    Open,
    Done,
}

impl Graph {
    /// All nodes, each after what it depends on: inputs first, then depth-first from the outputs
    /// through operands in slot order, at last what no output needs, sorted by what it computes.
    /// The order depends on the graph's shape alone, not on how it was made, except among nodes
    /// without use that compute the same. Nodes on a cycle come out in some order.
    pub fn order(&self) -> Vec<NodeId> {
        let mut walk = Walk {
            graph: self,
            order: self.inputs.clone(),
            marks: vec![Mark::New; self.inner.node_bound()],
        };
        for input in &self.inputs {
            walk.marks[input.index()] = Mark::Done;
        }
        self.outputs.values().for_each(|v| walk.visit(v.node));
        if walk.order.len() < self.inner.node_count() {
            walk.unused_roots().into_iter().for_each(|n| walk.visit(n));
            // What is left hangs on a cycle.
            self.nodes().for_each(|n| walk.visit(n));
        }
        walk.order
    }
}

impl Walk<'_> {
    /// Puts out all that `root` needs and then `root`.
    fn visit(&mut self, root: NodeId) {
        // The second visit of a node, after its operands, puts it out. A stack of our own: the
        // depth grows with the number of layers.
        let mut stack = vec![(root, false)];
        while let Some((node, operands_done)) = stack.pop() {
            if operands_done {
                self.marks[node.index()] = Mark::Done;
                self.order.push(node);
                continue;
            }
            if !self.graph.contains(node) || self.marks[node.index()] != Mark::New {
                continue;
            }
            self.marks[node.index()] = Mark::Open;
            stack.push((node, true));
            let values = self.graph.value_operands(node);
            let mut needs: SmallVec<[NodeId; 8]> = values.map(|v| v.node).collect();
            // At most one for each state, and an op has one state at most.
            needs.extend(self.graph.effect_predecessors(node));
            stack.extend(needs.into_iter().rev().map(|n| (n, false)));
        }
    }

    /// Nodes without a user among those not yet put out, sorted by what they compute.
    fn unused_roots(&self) -> Vec<NodeId> {
        let mut ahead = Walk {
            graph: self.graph,
            order: self.order.clone(),
            marks: self.marks.clone(),
        };
        self.graph.nodes().for_each(|n| ahead.visit(n));
        let mut keys: HashMap<NodeId, u64> = HashMap::new();
        let (known, unused) = ahead.order.split_at(self.order.len());
        keys.extend(known.iter().zip(0..).map(|(n, place)| (*n, place)));
        for &node in unused {
            let key = self.key(node, &keys);
            keys.insert(node, key);
        }
        let mut roots: Vec<NodeId> = unused.to_vec();
        roots.retain(|n| self.graph.is_sink(*n));
        roots.sort_by_key(|n| (keys[n], *n));
        roots
    }

    /// A hash of a node over the keys of its operands.
    fn key(&self, node: NodeId, keys: &HashMap<NodeId, u64>) -> u64 {
        let mut key = Fnv::new();
        match self.graph.kind(node) {
            NodeKind::Input(name) => key.text(name),
            NodeKind::Op(op) => key.text(&format!("{op:?}")),
        }
        let mut number = |of: NodeId, tag: u64| {
            key.number(keys.get(&of).copied().unwrap_or(0));
            key.number(tag);
        };
        for before in self.graph.effect_predecessors(node) {
            number(before, 0);
        }
        let mut symbols = Vec::new();
        for operand in self.graph.operands(node) {
            match operand {
                Operand::Value(v) => number(v.node, 1 + u64::from(v.result)),
                Operand::Weight(w) => symbols.push(w.index()),
                Operand::State(s) => symbols.push(s.index()),
            }
        }
        symbols.iter().for_each(|n| key.number(*n as u64));
        for result in self.graph.results(node) {
            key.text(&result.ty.to_string());
            key.text(result.name.as_deref().unwrap_or(""));
        }
        key.0
    }
}
