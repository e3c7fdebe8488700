//! Faults of one graph.

use std::collections::{HashMap, HashSet};

use petgraph::algo::kosaraju_scc;
use petgraph::visit::EdgeRef;

use super::Found;
use super::declarations::countable;
use crate::graph::{Edge, Graph, NodeId, NodeKind, Operand};
use crate::infer::infer;
use crate::module::{StateId, Symbols};
use crate::op::Op;
use crate::plain::Plain;
use crate::text::{Numbering, Site};
use crate::types::{Symbol, TensorType};

pub(super) fn check(name: &str, graph: &Graph, symbols: &Symbols) -> Vec<Found> {
    let order = graph.order();
    let mut verifier = Verifier {
        name,
        graph,
        symbols,
        numbers: Numbering::new(graph, &order),
        found: Vec::new(),
    };
    verifier.signature();
    verifier.cycles();
    verifier.effects(&order);
    verifier.types(&order);
    for &node in &order {
        if let NodeKind::Op(op) = graph.kind(node) {
            verifier.op(node, op);
        }
    }
    verifier.found
}

struct Verifier<'g> {
    name: &'g str,
    graph: &'g Graph,
    symbols: &'g Symbols,
    numbers: Numbering,
    found: Vec<Found>,
}

impl Verifier<'_> {
    fn fault(&mut self, site: Site, message: impl Into<String>) {
        self.found.push(Found {
            graph: Some(self.name.to_string()),
            site,
            message: message.into(),
        });
    }

    /// A node as messages call it: `%3 = silu`.
    fn shown(&self, node: NodeId) -> String {
        let values: Vec<_> = self
            .graph
            .values(node)
            .map(|v| self.numbers.of(v))
            .collect();
        let values = values.join(", ");
        match self.graph.op(node) {
            Some(op) if values.is_empty() => op.mnemonic().to_string(),
            Some(op) => format!("{values} = {}", op.mnemonic()),
            None => values,
        }
    }

    /// Inputs, outputs and bounds.
    fn signature(&mut self) {
        let mut names = HashSet::new();
        for &input in self.graph.inputs() {
            match self.graph.kind(input) {
                NodeKind::Input(name) if !names.insert(name) => {
                    self.fault(
                        Site::Signature,
                        format!("two inputs have the name %{}", Plain(name)),
                    );
                }
                NodeKind::Input(_) => {}
                NodeKind::Op(op) => {
                    let message = format!("an op ({}) stands among the inputs", op.mnemonic());
                    self.fault(Site::Signature, message);
                }
            }
        }
        for (symbol, range) in self.graph.bounds() {
            if range.is_empty() {
                let (low, high) = (range.start(), range.end());
                let message = format!("the range {low}..={high} of {symbol} is empty");
                self.fault(Site::Signature, message);
            }
        }
        for (name, v) in self.graph.outputs() {
            if self.graph.find(*v).is_none() {
                self.fault(
                    Site::Return,
                    format!("output %{} is no value of the graph", Plain(name)),
                );
            }
        }
    }

    /// Names every op of a cycle.
    fn cycles(&mut self) {
        for component in kosaraju_scc(&self.graph.inner) {
            let mut nodes: Vec<NodeId> = component.into_iter().map(NodeId).collect();
            let first = nodes[0];
            if nodes.len() == 1 && !self.graph.inner.contains_edge(first.0, first.0) {
                continue;
            }
            nodes.sort_unstable();
            let shown: Vec<_> = nodes.iter().map(|n| self.shown(*n)).collect();
            let message = format!("on a cycle of {}", shown.join("; "));
            self.fault(Site::Node(nodes[0]), message);
        }
    }

    /// The effect edges of a state form one chain through all ops on it.
    fn effects(&mut self, order: &[NodeId]) {
        let mut last: HashMap<StateId, NodeId> = HashMap::new();
        for &node in order {
            let preceding: Vec<NodeId> = self.graph.effect_predecessors(node).collect();
            let state = self.graph.state(node);
            let expected = state.and_then(|s| last.insert(s, node));
            if let Some(before) = expected
                && !preceding.contains(&before)
            {
                let message = format!("is not ordered with {} on their state", self.shown(before));
                self.fault(Site::Node(node), message);
            }
            for before in preceding {
                if Some(before) != expected {
                    let message = format!("has an effect edge from {}", self.shown(before));
                    self.fault(
                        Site::Node(node),
                        message + ", which is not the op before it on its state",
                    );
                }
            }
        }
    }

    /// Every symbol has bounds, and every value a size at the upper ones.
    fn types(&mut self, order: &[NodeId]) {
        let mut unbound: HashSet<Symbol> = HashSet::new();
        let bounds = self.graph.bounds();
        let bind = |s: Symbol| bounds.get(&s).map_or(1, |range| *range.end());
        for &node in order {
            for result in self.graph.results(node) {
                for symbol in result.ty.symbols() {
                    if !bounds.contains_key(&symbol) && unbound.insert(symbol) {
                        self.fault(Site::Node(node), format!("{symbol} has no range"));
                    }
                }
                if let Err(message) = countable(&result.ty, &bind) {
                    self.fault(Site::Node(node), message);
                }
            }
        }
    }

    /// Operands are whole, and the types follow from them.
    fn op(&mut self, node: NodeId, op: &Op) {
        if !self.operands_are_whole(node) {
            return;
        }
        let operands = self.graph.operands(node);
        let Some(types) = self.graph.operand_types(&operands, self.symbols) else {
            return self.fault(Site::Node(node), "an operand is not declared");
        };
        match infer(op, &types) {
            Err(e) => self.fault(Site::Node(node), e.to_string()),
            Ok(types) => self.results(node, &types),
        }
    }

    /// One operand in each slot from 0 on, and each a value that there is.
    fn operands_are_whole(&mut self, node: NodeId) -> bool {
        let before = self.found.len();
        let data = self.graph.incoming(node).filter_map(|e| match *e.weight() {
            Edge::Data { slot, result } => Some((slot, result, NodeId(e.source()))),
            Edge::Effect(_) => None,
        });
        let data: Vec<_> = data.collect();
        let fixed = self.graph.inner[node.0].symbols.iter();
        let mut slots: Vec<u16> = fixed.map(|(slot, _)| *slot).collect();
        slots.extend(data.iter().map(|(slot, _, _)| *slot));
        slots.sort_unstable();
        if !slots.iter().copied().eq(0..slots.len() as u16) {
            self.fault(
                Site::Node(node),
                format!("operand slots are {slots:?}, expected each once from 0"),
            );
        }
        for (slot, result, source) in data {
            let count = self.graph.results(source).len();
            if usize::from(result) >= count {
                let source = self.shown(source);
                let message =
                    format!("operand {slot} is result {result} of {source}, which has {count}");
                self.fault(Site::Node(node), message);
            }
        }
        let misplaced = |o: &(u16, Operand)| matches!(o.1, Operand::Value(_));
        if self.graph.inner[node.0].symbols.iter().any(misplaced) {
            self.fault(
                Site::Node(node),
                "a value stands among the weights and states",
            );
        }
        self.found.len() == before
    }

    /// The types given are those that follow.
    fn results(&mut self, node: NodeId, inferred: &[TensorType]) {
        let given = self.graph.results(node);
        if given.len() != inferred.len() {
            let message = format!(
                "result count is {}, expected {}",
                given.len(),
                inferred.len()
            );
            self.fault(Site::Node(node), message);
        }
        for (i, (given, inferred)) in given.iter().zip(inferred).enumerate() {
            if given.ty != *inferred {
                let message = format!("result {i} has type {}, expected {inferred}", given.ty);
                self.fault(Site::Node(node), message);
            }
        }
    }
}
