//! The only door that makes nodes: infers result types, checks, orders effects.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use smallvec::SmallVec;

use crate::graph::{Graph, NodeId, NodeKind, Operand, ResultInfo, Value};
use crate::infer::{TypeError, infer};
use crate::module::{StateId, Symbols};
use crate::op::Op;
use crate::types::{Symbol, TensorType};

/// Why a node was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{op}: {source}")]
pub struct BuildError {
    /// Mnemonic of the refused op.
    pub op: &'static str,
    /// What does not fit.
    pub source: TypeError,
}

/// Builds one graph of a module.
pub struct Builder<'m> {
    symbols: &'m mut Symbols,
    graph: Graph,
    last_effect: HashMap<StateId, NodeId>,
}

impl<'m> Builder<'m> {
    /// Starts an empty graph over the module's weights and states.
    pub fn new(symbols: &'m mut Symbols) -> Builder<'m> {
        Builder {
            symbols,
            graph: Graph::default(),
            last_effect: HashMap::new(),
        }
    }

    /// The module's weights and states, to declare more of them.
    pub fn symbols(&mut self) -> &mut Symbols {
        self.symbols
    }

    /// Declares the range of a symbol.
    pub fn bound(&mut self, symbol: Symbol, range: RangeInclusive<usize>) {
        self.graph.bounds.insert(symbol, range);
    }

    /// Adds an input of the graph.
    pub fn input(&mut self, name: &str, ty: TensorType) -> Value {
        let info = ResultInfo { ty, name: None };
        let kind = NodeKind::Input(name.to_string());
        let node = self.graph.push(kind, &[], SmallVec::from_iter([info]));
        self.graph.inputs.push(node);
        Value { node, result: 0 }
    }

    /// Adds an op, with its types inferred.
    pub fn op(&mut self, op: Op, operands: &[Operand]) -> Result<NodeId, BuildError> {
        let refuse = |source| BuildError {
            op: op.mnemonic(),
            source,
        };
        let types = self.graph.operand_types(operands, self.symbols);
        let types = types.ok_or_else(|| refuse(TypeError("an operand is undeclared".into())))?;
        let results = infer(&op, &types).map_err(refuse)?;
        drop(types);
        let results = results.into_iter().map(|ty| ResultInfo { ty, name: None });
        Ok(self.place(op, operands, results.collect()))
    }

    /// Adds an op with declared result types: for the parser, whose graphs the verifier judges.
    pub(crate) fn declared(
        &mut self,
        op: Op,
        operands: &[Operand],
        results: SmallVec<[ResultInfo; 1]>,
    ) -> NodeId {
        self.place(op, operands, results)
    }

    fn place(
        &mut self,
        op: Op,
        operands: &[Operand],
        results: SmallVec<[ResultInfo; 1]>,
    ) -> NodeId {
        let id = self.graph.push(NodeKind::Op(op), operands, results);
        for operand in operands {
            if let Operand::State(state) = *operand
                && let Some(before) = self.last_effect.insert(state, id)
            {
                self.graph.add_effect(before, id, state);
            }
        }
        id
    }

    /// Adds an op with one result.
    pub fn value(&mut self, op: Op, operands: &[Operand]) -> Result<Value, BuildError> {
        let node = self.op(op, operands)?;
        Ok(Value { node, result: 0 })
    }

    /// Gives a value the name that the reference has for the tensor.
    pub fn name(&mut self, v: Value, name: impl Into<String>) -> Value {
        self.graph.set_name(v, Some(name.into()));
        v
    }

    /// The results of a node made so far.
    pub fn values(&self, node: NodeId) -> impl Iterator<Item = Value> + use<> {
        self.graph.values(node)
    }

    /// Type of a value made so far.
    pub fn ty(&self, v: Value) -> &TensorType {
        self.graph.ty(v)
    }

    /// Adds an output; the first of a name counts.
    pub fn output(&mut self, name: &str, v: Value) {
        self.graph.outputs.entry(name.to_string()).or_insert(v);
    }

    /// The graph as built.
    pub fn finish(self) -> Graph {
        self.graph
    }
}
