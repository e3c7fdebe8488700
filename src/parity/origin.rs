//! Where a tensor comes from: the ops that made it, and the named tensors they read.

use std::collections::HashSet;

use serde::Serialize;
use sharpi_ir::text::graph_lines;
use sharpi_ir::{Graph, Module, NodeId, Value};

use super::bisect::Seen;
use super::deviation::Deviation;

/// How a tensor is made.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Origin {
    /// The op that made it and the ops without a name in the dump that feed it, in the order they
    /// run, as `dump-graph` prints them.
    pub lines: Vec<String>,
    /// The tensors of the dump that these ops read, and how far they are off.
    pub operands: Vec<(String, Deviation)>,
}

/// The origin of a run's tensor; `None` if no value has its name.
pub(super) fn origin(seen: &Seen<'_>, tensor: usize, module: &Module) -> Option<Origin> {
    let name = &seen.pass.graph;
    let graph = module.graphs.get(name)?;
    let mut search = Search {
        values: named(graph),
        graph,
        seen,
        ops: HashSet::new(),
        operands: Vec::new(),
    };
    let node = search.value_of(tensor)?.node;
    search.visit(node);
    let lines = graph_lines(name, graph, &module.symbols).into_iter();
    let lines = lines.filter(|line| line.node.is_some_and(|n| search.ops.contains(&n)));
    Some(Origin {
        lines: lines
            .map(|line| line.text.trim_start().to_string())
            .collect(),
        operands: search.operands,
    })
}

/// Values with their names, in the order they are made.
fn named(graph: &Graph) -> Vec<(Value, &str)> {
    let values = graph.order().into_iter().flat_map(|n| graph.values(n));
    values.filter_map(|v| Some((v, graph.name(v)?))).collect()
}

struct Search<'a> {
    values: Vec<(Value, &'a str)>,
    graph: &'a Graph,
    seen: &'a Seen<'a>,
    ops: HashSet<NodeId>,
    operands: Vec<(String, Deviation)>,
}

impl Search<'_> {
    /// The value that a tensor of the run shows. Of equal names the same one in order.
    fn value_of(&self, tensor: usize) -> Option<Value> {
        let tensors = &self.seen.pass.tensors;
        let name = &tensors[tensor].name;
        let before = tensors[..tensor].iter().filter(|t| t.name == *name).count();
        let mut values = self.values.iter().filter(|(_, n)| n == name);
        values.nth(before).map(|(v, _)| *v)
    }

    /// The run's tensor that shows a value.
    fn tensor_of(&self, value: Value) -> Option<usize> {
        (0..self.seen.pass.tensors.len()).find(|i| self.value_of(*i) == Some(value))
    }

    /// Takes an op down, and goes back from it to the tensors of the dump.
    fn visit(&mut self, node: NodeId) {
        if !self.ops.insert(node) {
            return;
        }
        // What a cache holds came through the op that stored it.
        let graph = self.graph;
        graph
            .effect_predecessors(node)
            .for_each(|before| self.visit(before));
        for value in graph.value_operands(node) {
            let tensor = self.tensor_of(value);
            match tensor.and_then(|i| Some((i, self.seen.deviations[i]?))) {
                None => self.visit(value.node),
                Some((i, deviation)) => {
                    let operand = (self.seen.pass.tensors[i].name.clone(), deviation);
                    if !self.operands.contains(&operand) {
                        self.operands.push(operand);
                    }
                }
            }
        }
    }
}
