//! How errors name ops and values: as the line of the dump that shows them begins.

use std::cell::OnceCell;

use sharpi_ir::plain::Plain;
use sharpi_ir::text::Numbering;
use sharpi_ir::{Graph, NodeId, NodeKind, Value};

/// Names of a graph's ops and values, numbered as the printer numbers them when first asked.
pub(crate) struct Labels<'a> {
    graph: &'a Graph,
    numbers: OnceCell<Numbering>,
}

impl<'a> Labels<'a> {
    pub(crate) fn new(graph: &'a Graph) -> Labels<'a> {
        let numbers = OnceCell::new();
        Labels { graph, numbers }
    }

    /// `%12 = matmul : f32[T, 1280]`.
    pub(crate) fn node(&self, id: NodeId) -> String {
        if !self.graph.contains(id) {
            return "an op that is not in the graph".into();
        }
        let values: Vec<String> = self.graph.values(id).map(|v| self.value(v)).collect();
        let types = (self.graph.results(id).iter()).map(|r| r.ty.to_string());
        let types = types.collect::<Vec<_>>().join(", ");
        match self.graph.kind(id) {
            NodeKind::Input(_) => format!("input {} : {types}", values.join(", ")),
            NodeKind::Op(op) if values.is_empty() => op.mnemonic().to_string(),
            NodeKind::Op(op) => {
                format!("{} = {} : {types}", values.join(", "), op.mnemonic())
            }
        }
    }

    /// `%12`, with its name where it has one: `%12 (q_conv-0)`.
    pub(crate) fn value(&self, v: Value) -> String {
        let number = || Numbering::new(self.graph, &self.graph.order());
        let number = self.numbers.get_or_init(number).of(v);
        match self.graph.name(v) {
            Some(name) => format!("{number} ({})", Plain(name)),
            None => number.to_string(),
        }
    }
}

/// The name of one op, for an error that ends the run.
pub(crate) fn node(graph: &Graph, id: NodeId) -> String {
    Labels::new(graph).node(id)
}

/// The name of one value, for an error that ends the run.
pub(crate) fn value(graph: &Graph, v: Value) -> String {
    Labels::new(graph).value(v)
}
