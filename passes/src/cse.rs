//! Common subexpressions.
//!
//! Looks for ops with the same attributes on the same operands. Ops are pure but for their
//! states, so two of them without a state give the same bits, and one is enough: in canonical
//! order the first stays and takes over the users and outputs of the others. Ops with a state are
//! never merged, nor told apart by it: two `causal_conv` on one state are two.
//!
//! Names: a survivor without a name takes the name of what it replaces. Where both have one, the
//! first keeps its own and the other is forgotten; the two were the same tensor.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use sharpi_ir::{Graph, NodeId, Operands, Patch, Value};

use crate::pass::{Context, Pass, PassError, Stats};
use crate::rewrite::apply;

/// Merges ops that compute the same.
pub struct Cse;

const RULE: &str = "merge-equal-ops";

impl Pass for Cse {
    fn name(&self) -> &'static str {
        "cse"
    }

    fn doc(&self) -> &'static str {
        "merges ops without a state that have equal attributes and operands"
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        let mut stats = Stats::default();
        let mut seen: HashMap<Expression, NodeId> = HashMap::new();
        // Each op comes after its operands, which are merged by then: one sweep is enough.
        for node in graph.order() {
            let Some(expression) = expression(graph, node) else {
                continue;
            };
            match seen.entry(expression) {
                Entry::Vacant(entry) => {
                    entry.insert(node);
                }
                Entry::Occupied(entry) => {
                    let patch = merge(graph, node, *entry.get());
                    if !apply(graph, patch, (RULE, node), context, &mut stats)? {
                        break;
                    }
                }
            }
        }
        Ok(stats)
    }
}

/// Mnemonic, attributes as printed (so that equal floats are equal bits), operands.
type Expression = (&'static str, String, Operands);

/// What the op computes; `None` for inputs and for ops with a state.
fn expression(graph: &Graph, node: NodeId) -> Option<Expression> {
    let op = graph.op(node)?;
    if op.state_slot().is_some() {
        return None;
    }
    let attrs: Vec<String> = op.attrs().iter().map(|(_, a)| a.to_string()).collect();
    Some((op.mnemonic(), attrs.join(" "), graph.operands(node)))
}

fn merge(graph: &Graph, node: NodeId, survivor: NodeId) -> Patch {
    let mut patch = Patch::new(RULE);
    for old in graph.values(node) {
        let new = Value {
            node: survivor,
            result: old.result,
        };
        patch.replace(old, new.into());
    }
    patch.erase(node);
    patch
}
