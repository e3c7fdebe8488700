//! When ops run and where their results lie, as the page draws it.

use std::collections::HashMap;

use serde::Serialize;
use sharpi_ir::{NodeId, Value};
use sharpi_passes::{Decisions, live_steps};

use super::body::Source;

/// What is decided about a graph.
#[derive(Serialize)]
pub(super) struct Plan {
    steps: usize,
    /// The step of each op that is shown; -1 for a view, which takes none.
    step_of: Vec<i64>,
    arena: Option<Arena>,
}

#[derive(Serialize)]
struct Arena {
    bytes: usize,
    /// Without reuse, and at the widest moment.
    sum: usize,
    least: usize,
    /// Number of the value, or -1 and below for the inputs in their order; first byte, bytes; the
    /// first and the last step in which they are taken.
    values: Vec<[i64; 5]>,
}

impl Plan {
    pub(super) fn new(source: &Source<'_>, decided: &Decisions) -> Option<Plan> {
        let steps = &decided.schedule.as_ref()?.steps;
        let numbered = steps.iter().enumerate();
        let step_of: HashMap<NodeId, usize> = numbered
            .flat_map(|(step, ops)| ops.iter().map(move |op| (*op, step)))
            .collect();
        let of = |node| step_of.get(&node).map_or(-1, |step| *step as i64);
        Some(Plan {
            steps: steps.len(),
            step_of: source.ops().map(of).collect(),
            arena: Arena::new(source, decided, steps),
        })
    }
}

impl Arena {
    fn new(source: &Source<'_>, decided: &Decisions, steps: &[Vec<NodeId>]) -> Option<Arena> {
        let memory = decided.memory.as_ref()?;
        let lives = live_steps(source.graph, steps).ok()?;
        let inputs = source.graph.inputs();
        let number = |v: &Value| match source.numbers.get(v) {
            Some(number) => Some(*number as i64),
            None => Some(-1 - inputs.iter().position(|n| *n == v.node)? as i64),
        };
        let values = lives.iter().filter_map(|(v, life)| {
            let place = memory.placements.get(v)?;
            let (offset, bytes) = (place.offset as i64, place.bytes as i64);
            let (first, last) = (*life.start() as i64, *life.end() as i64);
            Some([number(v)?, offset, bytes, first, last])
        });
        Some(Arena {
            bytes: memory.arena_bytes,
            sum: memory.sum_bytes,
            least: memory.lower_bound_bytes,
            values: values.collect(),
        })
    }
}
