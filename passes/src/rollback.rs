//! What going back costs.
//!
//! A run of drafted tokens may have to be taken back. KV caches forget rows for nothing. A
//! recurrent state stays as it was in such a run, and its op logs what the tokens would do to it:
//! the convolution its inputs, the delta rule its δ, and k and the decay twice, as one run reads
//! the last run's while it writes its own.

use indexmap::IndexMap;
use sharpi_ir::{Graph, NodeId, StateId, Value};

use crate::pattern::value;

/// Bytes that one token of a tentative run takes in the log of each recurrent state of a graph.
pub fn rollback_bytes(graph: &Graph) -> IndexMap<StateId, usize> {
    let floats = |node| Some((graph.state(node)?, log_floats(graph, node)?));
    let logs = graph.nodes().filter_map(floats);
    logs.map(|(state, floats)| (state, floats * size_of::<f32>()))
        .collect()
}

fn log_floats(graph: &Graph, node: NodeId) -> Option<usize> {
    let op = graph.op(node)?;
    if !op.is_recurrent() {
        return None;
    }
    let facts = op.facts();
    let mut floats = 0;
    for (name, times) in facts.logged_operands() {
        floats += times * width(graph, value(graph, node, name)?)?;
    }
    if facts.logged_result() > 0 {
        floats += facts.logged_result() * width(graph, graph.values(node).next()?)?;
    }
    Some(floats)
}

/// Elements for each token.
fn width(graph: &Graph, v: Value) -> Option<usize> {
    let dims = graph.ty(v).shape.get(1..)?.iter().map(|d| d.fixed());
    dims.product()
}
