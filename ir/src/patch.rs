//! The only door that rewrites: new nodes built detached, checked as a whole, then applied.

use smallvec::SmallVec;

use crate::graph::{Edge, Graph, NodeId, NodeKind, Operand, ResultInfo, Value};
use crate::infer::{OperandType, infer};
use crate::module::{StateId, Symbols};
use crate::op::Op;
use crate::types::TensorType;

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

impl<T: Into<Operand>> From<T> for PatchOperand {
    fn from(operand: T) -> PatchOperand {
        PatchOperand::Old(operand.into())
    }
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

    /// Adds a node; the answer is its first result.
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
    /// stay what they are.
    pub fn set_operand(&mut self, node: NodeId, slot: usize, new: PatchOperand) {
        self.operands.push((node, slot, new));
    }

    /// Takes a node away; nothing may use it once the patch is applied.
    pub fn erase(&mut self, node: NodeId) {
        self.erased.push(node);
    }
}

impl Graph {
    /// Checks and applies a patch.
    pub fn apply(&mut self, patch: Patch, symbols: &Symbols) -> Result<(), PatchError> {
        let types = self.check(&patch, symbols).map_err(|message| PatchError {
            rule: patch.rule,
            message,
        })?;
        let mut added: Vec<NodeId> = Vec::new();
        for (new, types) in patch.added.into_iter().zip(types) {
            let operands: Vec<Operand> =
                (new.operands.iter()).map(|o| resolve(o, &added)).collect();
            let results = types.into_iter().map(|ty| ResultInfo { ty, name: None });
            added.push(self.push(NodeKind::Op(new.op), &operands, results.collect()));
        }
        for (old, new) in patch.replaced {
            if let Operand::Value(new) = resolve(&new, &added) {
                self.redirect(old, new, &added);
            }
        }
        for (node, slot, new) in patch.operands {
            if let Operand::Value(new) = resolve(&new, &added) {
                self.rewire(node, slot, new);
            }
        }
        self.move_effects(&patch.erased, &added);
        for node in patch.erased {
            self.inner.remove_node(node.0);
            self.inputs.retain(|n| *n != node);
        }
        Ok(())
    }

    /// Types of the added nodes, or what is wrong with the patch.
    fn check(&self, patch: &Patch, symbols: &Symbols) -> Result<Vec<Vec<TensorType>>, String> {
        let mut types: Vec<Vec<TensorType>> = Vec::new();
        for new in &patch.added {
            let operands: Option<SmallVec<[OperandType; 6]>> = (new.operands.iter())
                .map(|o| self.patch_type(o, &types, symbols))
                .collect();
            let operands =
                operands.ok_or(format!("{} has an unknown operand", new.op.mnemonic()))?;
            let results = infer(&new.op, &operands);
            let results = results.map_err(|e| format!("{}: {e}", new.op.mnemonic()))?;
            drop(operands);
            types.push(results.into_vec());
        }
        for (old, new) in &patch.replaced {
            let before = self.ty(*old);
            match self.patch_type(new, &types, symbols) {
                Some(OperandType::Value(after)) if after == before => {}
                Some(OperandType::Value(after)) => {
                    return Err(format!("{before} replaced by {after}"));
                }
                Some(OperandType::Weight(_) | OperandType::State(_)) | None => {
                    return Err("a value replaced by what is none".into());
                }
            }
        }
        self.check_operands(patch, &types, symbols)?;
        self.check_erased(patch)?;
        Ok(types)
    }

    fn check_operands(
        &self,
        patch: &Patch,
        types: &[Vec<TensorType>],
        symbols: &Symbols,
    ) -> Result<(), String> {
        for (node, _, _) in &patch.operands {
            let Some(op) = self.op(*node) else {
                return Err("an input has no operands".into());
            };
            let mut operands: Vec<PatchOperand> = self
                .operands(*node)
                .into_iter()
                .map(PatchOperand::Old)
                .collect();
            for (n, slot, new) in &patch.operands {
                if n == node {
                    let old = operands.get_mut(*slot).ok_or("no such operand slot")?;
                    *old = *new;
                }
            }
            let operand_types: Option<Vec<OperandType>> = (operands.iter())
                .map(|o| self.patch_type(o, types, symbols))
                .collect();
            let operand_types = operand_types.ok_or("an unknown operand")?;
            let results =
                infer(op, &operand_types).map_err(|e| format!("{}: {e}", op.mnemonic()))?;
            if !results.iter().eq(self.results(*node).iter().map(|r| &r.ty)) {
                return Err(format!("{} would change its result type", op.mnemonic()));
            }
        }
        Ok(())
    }

    fn check_erased(&self, patch: &Patch) -> Result<(), String> {
        for node in &patch.erased {
            for v in self.values(*node) {
                let replaced = patch.replaced.iter().any(|(old, _)| *old == v);
                let still_read = (self.users(v).iter()).any(|(n, slot)| {
                    !patch.erased.contains(n)
                        && !patch.operands.iter().any(|(p, s, _)| p == n && s == slot)
                });
                if !replaced && (still_read || self.is_output(v)) {
                    return Err(format!(
                        "erases a value of type {} that is used",
                        self.ty(v)
                    ));
                }
            }
        }
        Ok(())
    }

    fn patch_type<'a>(
        &'a self,
        operand: &PatchOperand,
        added: &'a [Vec<TensorType>],
        symbols: &'a Symbols,
    ) -> Option<OperandType<'a>> {
        match *operand {
            PatchOperand::Old(o) => self.operand_types(&[o], symbols)?.pop(),
            PatchOperand::New { node, result } => {
                let ty = added.get(node)?.get(result as usize)?;
                Some(OperandType::Value(ty))
            }
        }
    }

    fn redirect(&mut self, old: Value, new: Value, added: &[NodeId]) {
        for (user, slot) in self.users(old) {
            // A node of the patch that reads the old value does so on purpose.
            if !added.contains(&user) {
                self.rewire(user, slot, new);
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

    fn rewire(&mut self, user: NodeId, slot: usize, new: Value) {
        let slot = slot as u16;
        let is_slot = |e: &Edge| matches!(e, Edge::Data { slot: s, .. } if *s == slot);
        let old = self.incoming(user).find(|e| is_slot(e.weight()));
        if let Some(edge) = old.map(|e| petgraph::visit::EdgeRef::id(&e)) {
            self.inner.remove_edge(edge);
        }
        let result = new.result;
        self.inner
            .add_edge(new.node.0, user.0, Edge::Data { slot, result });
    }

    /// What came before or after an erased op on a state comes before or after the added op on
    /// that state; where none was added the neighbours are joined.
    fn move_effects(&mut self, erased: &[NodeId], added: &[NodeId]) {
        for &node in erased {
            let Some(state) = self.state(node) else {
                continue;
            };
            let before: Vec<_> = self.effect_predecessors(node).collect();
            let after: Vec<_> = self.effect_successors(node).collect();
            let heir = added
                .iter()
                .copied()
                .find(|n| self.state(*n) == Some(state));
            let outside = |n: &NodeId| !erased.contains(n) && Some(*n) != heir;
            match heir {
                Some(heir) => {
                    before
                        .iter()
                        .filter(|n| outside(n))
                        .for_each(|&b| self.add_effect(b, heir, state));
                    after
                        .iter()
                        .filter(|n| outside(n))
                        .for_each(|&a| self.add_effect(heir, a, state));
                }
                None => {
                    for &b in &before {
                        after.iter().for_each(|&a| self.add_effect(b, a, state));
                    }
                }
            }
        }
    }

    pub(crate) fn add_effect(&mut self, before: NodeId, after: NodeId, state: StateId) {
        let known = self.inner.edges_connecting(before.0, after.0);
        if !known
            .into_iter()
            .any(|e| *e.weight() == Edge::Effect(state))
        {
            self.inner.add_edge(before.0, after.0, Edge::Effect(state));
        }
    }

    pub(crate) fn effect_successors(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        use petgraph::visit::EdgeRef;
        let out = self
            .inner
            .edges_directed(id.0, petgraph::Direction::Outgoing);
        let effects = out.filter(|e| matches!(e.weight(), Edge::Effect(_)));
        effects.map(|e| NodeId(e.target()))
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
