//! What must hold of the ops on a state before a graph can be run.

use std::collections::HashSet;

use indexmap::IndexMap;
use sharpi_ir::{Graph, Module, StateId};

use super::executable::BoundGraph;
use super::ops::BindError;

/// Checks the ops on all states.
pub(super) fn check_states(
    module: &Module,
    graphs: &IndexMap<String, BoundGraph>,
) -> Result<(), BindError> {
    one_op_each(module, graphs)?;
    graphs
        .keys()
        .try_for_each(|name| stored_before_read(module, &module.graphs[name]))
}

/// A recurrent state belongs to one op of a graph, and to ops that log alike in several: what one
/// logs of tokens that may be taken back, the next takes in.
fn one_op_each(module: &Module, graphs: &IndexMap<String, BoundGraph>) -> Result<(), BindError> {
    let mut logs: IndexMap<StateId, usize> = IndexMap::new();
    for (name, bound) in graphs {
        let graph = &module.graphs[name];
        for (&state, &bytes) in &bound.rollback {
            let mut ops = graph.nodes().filter(|n| graph.state(*n) == Some(state));
            let op = ops.next().and_then(|node| graph.op(node));
            let others = ops.next().is_some() || *logs.entry(state).or_insert(bytes) != bytes;
            if let Some(op) = op.filter(|_| others) {
                let name = module.symbols.state_of(state).map_or("", |(name, _)| name);
                let message = format!(
                    "its state @{name} is another op's too: a recurrent state belongs to one op of a \
                     graph, and to ops of the same shape in several"
                );
                let op = op.mnemonic();
                return Err(BindError { op, message });
            }
        }
    }
    Ok(())
}

/// Attention reads what the run itself has stored: whatever else lies at the positions of its
/// tokens may be of tokens that were taken back.
fn stored_before_read(module: &Module, graph: &Graph) -> Result<(), BindError> {
    let mut stored: HashSet<StateId> = HashSet::new();
    for node in graph.order() {
        let (Some(op), Some(state)) = (graph.op(node), graph.state(node)) else {
            continue;
        };
        if op.is_recurrent() || graph.results(node).is_empty() {
            stored.insert(state);
        } else if !stored.contains(&state) {
            let name = module.symbols.state_of(state).map_or("", |(name, _)| name);
            let message =
                format!("its state @{name} has no keys and values of the run's tokens yet");
            let op = op.mnemonic();
            return Err(BindError { op, message });
        }
    }
    Ok(())
}
