//! A graph as the scheduler and the planner see it: ops that run, and the buffers they read and
//! write. Views are looked through, so that a value and its reshapes are one buffer.

use std::collections::HashMap;

use sharpi_ir::{Graph, NodeId, Op, Value};
use smallvec::SmallVec;

use crate::label;
use crate::pass::PassError;

/// One op that runs.
pub(crate) struct Running {
    pub(crate) node: NodeId,
    /// Positions of the ops that must have run, for their results or for their effects.
    pub(crate) after: SmallVec<[usize; 6]>,
    /// Buffers it reads.
    pub(crate) reads: SmallVec<[Value; 6]>,
}

/// Ops that run in canonical order, each after what it needs.
pub(crate) struct Flow {
    pub(crate) ops: Vec<Running>,
    views: HashMap<Value, Value>,
}

impl Flow {
    /// # Errors
    /// An op on a cycle.
    pub(crate) fn new(graph: &Graph) -> Result<Flow, PassError> {
        let mut flow = Flow {
            ops: Vec::with_capacity(graph.op_count()),
            views: HashMap::new(),
        };
        let mut positions: HashMap<NodeId, usize> = HashMap::new();
        // All ranks gather in one order, one value at a time.
        let mut last_gather = None;
        for node in graph.order() {
            let Some(op) = graph.op(node) else { continue };
            let reads: SmallVec<[Value; 6]> =
                graph.value_operands(node).map(|v| flow.buffer(v)).collect();
            if op.facts().view {
                let shown = graph.values(node).zip(reads.iter().copied());
                flow.views.extend(shown);
                continue;
            }
            let producers = reads.iter().map(|v| v.node);
            let gathers = matches!(op, Op::AllGather { .. });
            let gathered_before = gathers.then(|| last_gather.replace(node)).flatten();
            let after = (producers.filter(|n| graph.op(*n).is_some()))
                .chain(graph.effect_predecessors(node))
                .chain(gathered_before)
                .map(|n| positions.get(&n).copied())
                .collect::<Option<_>>()
                .ok_or_else(|| PassError::Cycle {
                    node: label::node(graph, node),
                })?;
            positions.insert(node, flow.ops.len());
            flow.ops.push(Running { node, after, reads });
        }
        Ok(flow)
    }

    /// The value whose buffer `v` is; itself unless it is a view.
    pub(crate) fn buffer(&self, v: Value) -> Value {
        self.views.get(&v).copied().unwrap_or(v)
    }
}
