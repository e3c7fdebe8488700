//! Rows are chosen before they are worked on, not after.
//!
//! Looks for an op of whose results nothing but the same rows is read, by `get_rows`. Ops without
//! a state work on each row of the token axis for itself, so the rows of its operands are chosen
//! instead, and the op works on them alone: the head, and all that stands behind the mixer of the
//! last block, are then computed for positions whose logits are asked for. A value that is an
//! output is needed whole, as are the operands of ops with a state; there it ends. From the back
//! to the front, so that one sweep is enough.
//!
//! Runs behind the passes that fuse around states, which end where rows are chosen.

use sharpi_ir::{Dim, Graph, NodeId, Op, Operand, Patch, PatchOperand, Value, slot};

use crate::pass::{Context, Pass, PassError, Stats};
use crate::pattern::{result, value};
use crate::rewrite::apply;

/// Chooses rows as early as possible.
pub struct SelectRows;

const RULE: &str = "rows-before-op";

impl Pass for SelectRows {
    fn name(&self) -> &'static str {
        "select-rows"
    }

    fn doc(&self) -> &'static str {
        "chooses rows before the ops that work on each row by itself"
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        let mut stats = Stats::default();
        for node in graph.order().into_iter().rev() {
            if let Some(patch) = rows_before_op(graph, node)
                && !apply(graph, patch, (RULE, node), context, &mut stats)?
            {
                break;
            }
        }
        Ok(stats)
    }
}

fn rows_before_op(graph: &Graph, node: NodeId) -> Option<Patch> {
    let op = graph.op(node)?;
    if op.state_slot().is_some() || matches!(op, Op::GetRows {}) {
        return None;
    }
    let (rows, readers) = chosen_alone(graph, node)?;
    // A value that is broadcast along the tokens has no rows to choose from.
    let tokens = graph.ty(result(node)).shape.first()?;
    let has_rows = |v| graph.ty(v).shape.first() == Some(tokens);
    if !matches!(tokens, Dim::Sym(_)) || !graph.value_operands(node).all(has_rows) {
        return None;
    }
    let mut patch = Patch::new(RULE);
    let mut chosen: Vec<(Value, PatchOperand)> = Vec::new();
    let mut operands: Vec<PatchOperand> = Vec::new();
    for operand in graph.operands(node) {
        let Operand::Value(v) = operand else {
            operands.push(operand.into());
            continue;
        };
        let known = chosen.iter().find(|(of, _)| *of == v).map(|(_, by)| *by);
        let by = known.unwrap_or_else(|| match choice(graph, v, rows) {
            Some(by) => result(by).into(),
            None => patch.add(Op::GetRows {}, &[v.into(), rows.into()]),
        });
        chosen.push((v, by));
        operands.push(by);
    }
    let added = patch.add(op.clone(), &operands);
    for (reader, v) in readers {
        patch.replace(result(reader), added.result(v.result));
        patch.erase(reader);
    }
    patch.erase(node);
    Some(patch)
}

/// The rows that alone are read of a node's results, and the `get_rows` that do with what they
/// read.
fn chosen_alone(graph: &Graph, node: NodeId) -> Option<(Value, Vec<(NodeId, Value)>)> {
    let values = graph.values(node);
    let readers = values.flat_map(|v| graph.users(v).into_iter().map(move |(user, _)| (user, v)));
    let readers: Vec<(NodeId, Value)> = readers.collect();
    let (first, _) = *readers.first()?;
    let rows = value(graph, first, slot::GetRows::rows)?;
    let chooses = |(reader, v): &(NodeId, Value)| {
        matches!(graph.op(*reader), Some(Op::GetRows {}))
            && value(graph, *reader, slot::GetRows::x) == Some(*v)
            && value(graph, *reader, slot::GetRows::rows) == Some(rows)
    };
    let is_output = graph.values(node).any(|v| graph.is_output(v));
    (!is_output && rows.node != node && readers.iter().all(chooses)).then_some((rows, readers))
}

/// The `get_rows` that chooses these rows of a value already.
fn choice(graph: &Graph, v: Value, rows: Value) -> Option<NodeId> {
    let mut users = graph.users(v).into_iter();
    let found = users.find(|(user, _)| {
        matches!(graph.op(*user), Some(Op::GetRows {}))
            && value(graph, *user, slot::GetRows::x) == Some(v)
            && value(graph, *user, slot::GetRows::rows) == Some(rows)
    });
    found.map(|(user, _)| user)
}
