//! What going back costs.
//!
//! A run of drafted tokens may have to be taken back. KV caches forget rows for nothing. A
//! recurrent state stays as it was in such a run, and its op logs what the tokens would do to it:
//! the convolution its inputs, the delta rule its δ, and k and the decay twice, as one run reads
//! the last run's while it writes its own.

use indexmap::IndexMap;
use sharpi_ir::{Graph, NodeId, Op, Operand, StateId};

/// Bytes that one token of a tentative run takes in the log of each recurrent state of a graph.
pub fn rollback_bytes(graph: &Graph) -> IndexMap<StateId, usize> {
    let floats = |node| Some((graph.state(node)?, log_floats(graph, node)?));
    let logs = graph.nodes().filter_map(floats);
    logs.map(|(state, floats)| (state, floats * size_of::<f32>()))
        .collect()
}

fn log_floats(graph: &Graph, node: NodeId) -> Option<usize> {
    let operands = graph.operands(node);
    // Elements for each token.
    let width = |slot: usize| match operands.get(slot)? {
        Operand::Value(v) => {
            let dims = graph.ty(*v).shape[1..].iter().map(|d| d.fixed());
            dims.product::<Option<usize>>()
        }
        Operand::Weight(_) | Operand::State(_) => None,
    };
    match graph.op(node)? {
        Op::CausalConv {} => width(0),
        // q, k, v, g, beta.
        Op::GdnScan {} => Some(width(2)? + 2 * (width(1)? + width(3)?)),
        _ => None,
    }
}
