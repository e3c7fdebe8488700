//! What going back costs.
//!
//! A run of drafted tokens may have to be taken back. KV caches forget rows for nothing. A
//! recurrent state stays as it was in such a run, and its op logs what the tokens would do to it:
//! the convolution its inputs, the delta rule its δ, and k and the decay twice, as one run reads
//! the last run's while it writes its own.

use indexmap::IndexMap;
use sharpi_ir::{Graph, NodeId, Op, Operand, StateId, Value};

/// Bytes that one token of a tentative run takes in the log of each recurrent state of a graph.
pub fn rollback_bytes(graph: &Graph) -> IndexMap<StateId, usize> {
    let floats = |node| Some((graph.state(node)?, log_floats(graph, node)?));
    let logs = graph.nodes().filter_map(floats);
    logs.map(|(state, floats)| (state, floats * size_of::<f32>()))
        .collect()
}

fn log_floats(graph: &Graph, node: NodeId) -> Option<usize> {
    let operands = graph.operands(node);
    let operand = |slot: usize| match operands.get(slot)? {
        Operand::Value(v) => width(graph, *v),
        Operand::Weight(_) | Operand::State(_) => None,
    };
    match graph.op(node)? {
        Op::CausalConv {} => operand(0),
        Op::ProjectConv { .. } => width(graph, graph.values(node).next()?),
        // q, k, v, g, beta.
        Op::GdnScan {} => Some(operand(2)? + 2 * (operand(1)? + operand(3)?)),
        // q, k and v as one, z as wide as v, alpha as wide as g.
        Op::GatedDeltaNet { .. } => {
            let (all, v) = (operand(0)?, operand(1)?);
            Some(v + (all - v) + 2 * operand(2)?)
        }
        _ => None,
    }
}

/// Elements for each token.
fn width(graph: &Graph, v: Value) -> Option<usize> {
    let dims = graph.ty(v).shape.get(1..)?.iter().map(|d| d.fixed());
    dims.product()
}
