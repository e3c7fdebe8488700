//! The only door that rewrites: new nodes built detached, checked as a whole, then applied.

mod check;
mod cycle;
mod effects;

use petgraph::visit::EdgeRef;

use crate::graph::{Edge, Graph, NodeId, NodeKind, Operand, ResultInfo, Value};
use crate::module::Symbols;
use crate::op::Op;

/// A value as a patch sees it: of the graph, or of a node that the patch adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatchOperand {
    /// What the graph already has.
    Old(Operand),
    /// A result of the patch's own node.
    New {
        /// Which of the added nodes.
        node: usize,
        /// Which of its results.
        result: u16,
    },
}

impl PatchOperand {
    /// Another result of the same added node; what the graph already has stays what it is.
    pub fn result(self, result: u16) -> PatchOperand {
        match self {
            PatchOperand::Old(old) => PatchOperand::Old(old),
            PatchOperand::New { node, .. } => PatchOperand::New { node, result },
        }
    }
}

impl<T: Into<Operand>> From<T> for PatchOperand {
    fn from(operand: T) -> PatchOperand {
        PatchOperand::Old(operand.into())
    }
}

/// A node of the graph as it will be.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// One that the graph already has.
    Old(NodeId),
    /// One that the patch adds.
    New(usize),
}

struct NewNode {
    op: Op,
    operands: Vec<PatchOperand>,
}

/// One rewrite: nodes to add, values to replace, nodes to erase.
pub struct Patch {
    rule: &'static str,
    added: Vec<NewNode>,
    replaced: Vec<(Value, PatchOperand)>,
    operands: Vec<(NodeId, usize, PatchOperand)>,
    erased: Vec<NodeId>,
}

/// What a patch did to the nodes of a graph.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// Nodes that it added, in the order of their adding.
    pub added: Vec<NodeId>,
    /// Nodes that it erased. Later patches may give their ids to new nodes.
    pub erased: Vec<NodeId>,
    /// Nodes that were there before and took over users of replaced values.
    pub heirs: Vec<NodeId>,
}

/// Why a patch was refused; the graph is as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: {message}")]
pub struct PatchError {
    /// Name of the rule that made the patch.
    pub rule: &'static str,
    /// What does not fit.
    pub message: String,
}

impl Patch {
    /// An empty patch of a named rule.
    pub fn new(rule: &'static str) -> Patch {
        Patch {
            rule,
            added: Vec::new(),
            replaced: Vec::new(),
            operands: Vec::new(),
            erased: Vec::new(),
        }
    }

    /// Adds a node; the answer is its first result. An op on a state takes the place of those
    /// that the patch erases from that state, after those added before it.
    pub fn add(&mut self, op: Op, operands: &[PatchOperand]) -> PatchOperand {
        let operands = operands.to_vec();
        self.added.push(NewNode { op, operands });
        let node = self.added.len() - 1;
        PatchOperand::New { node, result: 0 }
    }

    /// Every user of `old`, and every output that is `old`, takes `new` instead. The name of
    /// `old` goes over where `new` has none.
    pub fn replace(&mut self, old: Value, new: PatchOperand) {
        self.replaced.push((old, new));
    }

    /// One operand of one node becomes `new`, which may be of another type if the node's results
    /// stay what they are. States stay where they are.
    pub fn set_operand(&mut self, node: NodeId, slot: usize, new: PatchOperand) {
        self.operands.push((node, slot, new));
    }

    /// Takes a node away; nothing may use it once the patch is applied.
    pub fn erase(&mut self, node: NodeId) {
        self.erased.push(node);
    }
}

impl Graph {
    /// Checks and applies a patch. A refused one leaves the graph as it is.
    pub fn apply(&mut self, patch: Patch, symbols: &Symbols) -> Result<Applied, PatchError> {
        let refused = |message| PatchError {
            rule: patch.rule,
            message,
        };
        let types = self.check(&patch, symbols).map_err(refused)?;
        let chains = self.new_chains(&patch, symbols).map_err(refused)?;
        if self.would_cycle(&patch, &chains) {
            return Err(refused("the graph would have a cycle".into()));
        }
        let mut added: Vec<NodeId> = Vec::new();
        for (new, types) in patch.added.into_iter().zip(types) {
            let operands: Vec<Operand> =
                (new.operands.iter()).map(|o| resolve(o, &added)).collect();
            let results = types.into_iter().map(|ty| ResultInfo { ty, name: None });
            added.push(self.push(NodeKind::Op(new.op), &operands, results.collect()));
        }
        let mut heirs = Vec::new();
        for (old, new) in patch.replaced {
            if let Operand::Value(new) = resolve(&new, &added) {
                self.redirect(old, new, &added);
                if !added.contains(&new.node) {
                    heirs.push(new.node);
                }
            }
        }
        for (node, slot, new) in patch.operands {
            self.set_slot(node, slot, resolve(&new, &added));
        }
        self.set_chains(&chains, &added);
        for &node in &patch.erased {
            self.inner.remove_node(node.0);
            self.inputs.retain(|n| *n != node);
        }
        heirs.dedup();
        Ok(Applied {
            added,
            erased: patch.erased,
            heirs,
        })
    }

    fn redirect(&mut self, old: Value, new: Value, added: &[NodeId]) {
        for (user, slot) in self.users(old) {
            // A node of the patch that reads the old value does so on purpose.
            if !added.contains(&user) {
                self.set_slot(user, slot, Operand::Value(new));
            }
        }
        for output in self.outputs.values_mut() {
            if *output == old {
                *output = new;
            }
        }
        if self.name(new).is_none() {
            let name = self.name(old).map(str::to_string);
            self.set_name(old, None);
            self.set_name(new, name);
        }
    }

    fn set_slot(&mut self, user: NodeId, slot: usize, new: Operand) {
        let slot = slot as u16;
        let is_slot = |e: &Edge| matches!(e, Edge::Data { slot: s, .. } if *s == slot);
        let old = self.incoming(user).find(|e| is_slot(e.weight()));
        if let Some(edge) = old.map(|e| e.id()) {
            self.inner.remove_edge(edge);
        }
        let symbols = &mut self.inner[user.0].symbols;
        symbols.retain(|(s, _)| *s != slot);
        match new {
            Operand::Weight(_) | Operand::State(_) => symbols.push((slot, new)),
            Operand::Value(Value { node, result }) => {
                let data = Edge::Data { slot, result };
                self.inner.add_edge(node.0, user.0, data);
            }
        }
    }

    pub(crate) fn set_name(&mut self, v: Value, name: Option<String>) {
        self.inner[v.node.0].results[v.result as usize].name = name;
    }
}

fn resolve(operand: &PatchOperand, added: &[NodeId]) -> Operand {
    match *operand {
        PatchOperand::Old(o) => o,
        PatchOperand::New { node, result } => Operand::Value(Value {
            node: added[node],
            result,
        }),
    }
}
