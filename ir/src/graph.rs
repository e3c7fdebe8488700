//! One graph: nodes over petgraph, operand slots on the edges, effects made explicit.

use std::ops::RangeInclusive;

use indexmap::IndexMap;
use petgraph::Direction;
use petgraph::stable_graph::{EdgeReference, NodeIndex, StableDiGraph};
use petgraph::visit::EdgeRef;
use smallvec::SmallVec;

use crate::infer::OperandType;
use crate::module::{StateId, Symbols, WeightId};
use crate::op::Op;
use crate::signature::SlotName;
use crate::types::{Symbol, TensorType};

/// A node of a graph; stays valid while other nodes come and go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct NodeId(pub(crate) NodeIndex);

impl NodeId {
    /// A number that no other living node of the graph has; not dense.
    pub fn index(self) -> usize {
        self.0.index()
    }
}

/// One result of a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Value {
    /// The node that makes it.
    pub node: NodeId,
    /// Which of its results.
    pub result: u16,
}

/// What stands in an operand slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    /// A value of the graph.
    Value(Value),
    /// A weight of the module.
    Weight(WeightId),
    /// A state of the module.
    State(StateId),
}

impl From<Value> for Operand {
    fn from(v: Value) -> Operand {
        Operand::Value(v)
    }
}

impl From<WeightId> for Operand {
    fn from(w: WeightId) -> Operand {
        Operand::Weight(w)
    }
}

impl From<StateId> for Operand {
    fn from(s: StateId) -> Operand {
        Operand::State(s)
    }
}

/// Operands of a node in slot order.
pub type Operands = SmallVec<[Operand; 6]>;

/// Type and name of a result.
#[derive(Clone, PartialEq, Debug)]
pub struct ResultInfo {
    /// Its type.
    pub ty: TensorType,
    /// The name that the reference gives the same tensor, where it has one.
    pub name: Option<String>,
}

/// What a node is.
#[derive(Clone, PartialEq, Debug)]
pub enum NodeKind {
    /// A named input of the graph.
    Input(String),
    /// An operation.
    Op(Op),
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    /// Slots that hold weights and states; values are edges.
    pub(crate) symbols: SmallVec<[(u16, Operand); 1]>,
    pub(crate) results: SmallVec<[ResultInfo; 1]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// The source's result `result` stands in the target's slot `slot`.
    Data { slot: u16, result: u16 },
    /// Both touch this state, the source first.
    Effect(StateId),
}

/// A graph of a module.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) inner: StableDiGraph<Node, Edge>,
    pub(crate) inputs: Vec<NodeId>,
    pub(crate) outputs: IndexMap<String, Value>,
    pub(crate) bounds: IndexMap<Symbol, RangeInclusive<usize>>,
}

impl Graph {
    /// Input nodes in the order of the signature.
    pub fn inputs(&self) -> &[NodeId] {
        &self.inputs
    }

    /// Outputs by name in the order of the signature.
    pub fn outputs(&self) -> &IndexMap<String, Value> {
        &self.outputs
    }

    /// The range of every symbol that the graph's types use.
    pub fn bounds(&self) -> &IndexMap<Symbol, RangeInclusive<usize>> {
        &self.bounds
    }

    /// Whether the node is (still) part of the graph.
    pub fn contains(&self, id: NodeId) -> bool {
        self.inner.contains_node(id.0)
    }

    /// Number of ops, inputs not counted.
    pub fn op_count(&self) -> usize {
        self.inner.node_count() - self.inputs.len()
    }

    /// What the node is.
    pub fn kind(&self, id: NodeId) -> &NodeKind {
        &self.inner[id.0].kind
    }

    /// The node's op; `None` for an input.
    pub fn op(&self, id: NodeId) -> Option<&Op> {
        match &self.inner[id.0].kind {
            NodeKind::Op(op) => Some(op),
            NodeKind::Input(_) => None,
        }
    }

    /// Types and names of the node's results.
    pub fn results(&self, id: NodeId) -> &[ResultInfo] {
        &self.inner[id.0].results
    }

    /// The node's results as values.
    pub fn values(&self, id: NodeId) -> impl Iterator<Item = Value> + use<> {
        let count = self.inner[id.0].results.len() as u16;
        (0..count).map(move |result| Value { node: id, result })
    }

    /// Type of a value.
    pub fn ty(&self, v: Value) -> &TensorType {
        &self.info(v).ty
    }

    /// Name of a value, as the reference calls the tensor.
    pub fn name(&self, v: Value) -> Option<&str> {
        self.info(v).name.as_deref()
    }

    fn info(&self, v: Value) -> &ResultInfo {
        &self.inner[v.node.0].results[v.result as usize]
    }

    /// Type and name of a value, if there is such a value.
    pub(crate) fn find(&self, v: Value) -> Option<&ResultInfo> {
        let node = self.inner.node_weight(v.node.0)?;
        node.results.get(v.result as usize)
    }

    /// Operands in slot order.
    pub fn operands(&self, id: NodeId) -> Operands {
        let mut slots: SmallVec<[(u16, Operand); 6]> =
            self.inner[id.0].symbols.iter().copied().collect();
        slots.extend(self.incoming(id).filter_map(|e| match *e.weight() {
            Edge::Data { slot, result } => {
                let node = NodeId(e.source());
                Some((slot, Operand::Value(Value { node, result })))
            }
            Edge::Effect(_) => None,
        }));
        slots.sort_by_key(|(slot, _)| *slot);
        slots.into_iter().map(|(_, operand)| operand).collect()
    }

    /// The operand of a node by its name; `None` for an input, or if it has no such operand.
    pub fn operand(&self, id: NodeId, name: SlotName) -> Option<Operand> {
        let wanted = self.op(id)?.slot(name)? as u16;
        let mut symbols = self.inner[id.0].symbols.iter();
        let symbol = symbols.find(|(slot, _)| *slot == wanted);
        symbol.map(|(_, operand)| *operand).or_else(|| {
            self.incoming(id).find_map(|e| match *e.weight() {
                Edge::Data { slot, result } if slot == wanted => {
                    let node = NodeId(e.source());
                    Some(Operand::Value(Value { node, result }))
                }
                Edge::Data { .. } | Edge::Effect(_) => None,
            })
        })
    }

    /// The values among the operands, in slot order.
    pub fn value_operands(&self, id: NodeId) -> impl Iterator<Item = Value> + use<> {
        self.operands(id).into_iter().filter_map(|o| match o {
            Operand::Value(v) => Some(v),
            Operand::Weight(_) | Operand::State(_) => None,
        })
    }

    /// The state that the node reads or writes.
    pub fn state(&self, id: NodeId) -> Option<StateId> {
        (self.inner[id.0].symbols.iter()).find_map(|(_, o)| match o {
            Operand::State(s) => Some(*s),
            Operand::Weight(_) | Operand::Value(_) => None,
        })
    }

    /// Nodes that must run before this one because of a state.
    pub fn effect_predecessors(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let effects = self
            .incoming(id)
            .filter(|e| matches!(e.weight(), Edge::Effect(_)));
        effects.map(|e| NodeId(e.source()))
    }

    /// Nodes and slots that read a value, in a fixed order. Graph outputs are not among them.
    pub fn users(&self, v: Value) -> Vec<(NodeId, usize)> {
        let out = self.inner.edges_directed(v.node.0, Direction::Outgoing);
        let mut users: Vec<_> = out
            .filter_map(|e| match *e.weight() {
                Edge::Data { slot, result } if result == v.result => {
                    Some((NodeId(e.target()), slot as usize))
                }
                Edge::Data { .. } | Edge::Effect(_) => None,
            })
            .collect();
        users.sort_unstable();
        users
    }

    /// Whether a value is an output of the graph.
    pub fn is_output(&self, v: Value) -> bool {
        self.outputs.values().any(|o| *o == v)
    }

    /// Whether nothing depends on the node.
    pub(crate) fn is_sink(&self, id: NodeId) -> bool {
        let mut out = self.inner.edges_directed(id.0, Direction::Outgoing);
        out.next().is_none()
    }

    /// All nodes in order of their making.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.inner.node_indices().map(NodeId)
    }

    /// The operand types of a node, as inference takes them; `None` where one does not exist.
    pub(crate) fn operand_types<'a>(
        &'a self,
        operands: &[Operand],
        symbols: &'a Symbols,
    ) -> Option<SmallVec<[OperandType<'a>; 6]>> {
        let of = |o: &Operand| {
            Some(match *o {
                Operand::Value(v) => OperandType::Value(&self.find(v)?.ty),
                Operand::Weight(w) => OperandType::Weight(&symbols.weight_of(w)?.1.ty),
                Operand::State(s) => OperandType::State(symbols.state_of(s)?.1),
            })
        };
        operands.iter().map(of).collect()
    }

    pub(crate) fn incoming(&self, id: NodeId) -> impl Iterator<Item = EdgeReference<'_, Edge>> {
        self.inner.edges_directed(id.0, Direction::Incoming)
    }

    /// Adds a node and its data edges; types are the caller's word, effects are not made.
    pub(crate) fn push(
        &mut self,
        kind: NodeKind,
        operands: &[Operand],
        results: SmallVec<[ResultInfo; 1]>,
    ) -> NodeId {
        let symbols = (operands.iter().enumerate())
            .filter(|(_, o)| !matches!(o, Operand::Value(_)))
            .map(|(slot, o)| (slot as u16, *o))
            .collect();
        let id = self.inner.add_node(Node {
            kind,
            symbols,
            results,
        });
        for (slot, operand) in operands.iter().enumerate() {
            if let Operand::Value(v) = operand {
                let (slot, result) = (slot as u16, v.result);
                self.inner
                    .add_edge(v.node.0, id, Edge::Data { slot, result });
            }
        }
        NodeId(id)
    }
}
