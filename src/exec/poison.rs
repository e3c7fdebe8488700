//! Which bytes of the arena nobody may read any more, step by step: a run that overwrites them
//! must give the same bits. Worked out from the graph, not from how the plan was made.

use std::collections::HashMap;
use std::ops::Range;

use sharpi_ir::{Graph, NodeId, Value};
use sharpi_passes::Plan;

/// For each step the bytes that are dead once it is done.
pub(super) fn dead_after_each_step(graph: &Graph, plan: &Plan) -> Vec<Vec<Range<usize>>> {
    let steps = plan.steps.iter().enumerate();
    let step_of: HashMap<NodeId, usize> = steps
        .flat_map(|(step, ops)| ops.iter().map(move |op| (*op, step)))
        .collect();
    let values = || graph.nodes().flat_map(|n| graph.values(n));
    let first = |v: Value| match maker(graph, v) {
        node if graph.op(node).is_some() => step_of.get(&node).copied().unwrap_or(0),
        _ => 0,
    };
    let last = |v: Value| match graph.is_output(v) {
        true => plan.steps.len(),
        false => {
            let users = graph
                .users(v)
                .into_iter()
                .filter_map(|(user, _)| step_of.get(&user));
            users.copied().max().unwrap_or(0)
        }
    };
    let lives: Vec<(usize, usize, Range<usize>)> = values()
        .filter_map(|v| {
            let place = plan.memory.placements.get(&v)?;
            Some((first(v), last(v), place.offset..place.offset + place.bytes))
        })
        .collect();
    let dead = |step: usize| {
        let alive = lives
            .iter()
            .filter(|(first, last, _)| *first <= step && *last > step);
        gaps(
            alive.map(|(_, _, bytes)| bytes.clone()).collect(),
            plan.memory.arena_bytes,
        )
    };
    (0..plan.steps.len()).map(dead).collect()
}

/// The op in whose step a value is made: for a view that of what it shows.
fn maker(graph: &Graph, mut v: Value) -> NodeId {
    while graph.op(v.node).is_some_and(|op| op.facts().view)
        && let Some(shown) = graph.value_operands(v.node).next()
    {
        v = shown;
    }
    v.node
}

/// What of `0..end` lies in none of the ranges.
fn gaps(mut ranges: Vec<Range<usize>>, end: usize) -> Vec<Range<usize>> {
    ranges.sort_by_key(|r| r.start);
    let (mut gaps, mut at) = (Vec::new(), 0);
    for range in ranges {
        if range.start > at {
            gaps.push(at..range.start);
        }
        at = at.max(range.end);
    }
    gaps.push(at..end);
    gaps
}
