//! Decides when each op runs.
//!
//! Ops are grouped into steps; the ops of a step are independent of each other in data and in
//! effects and run side by side between two barriers. `reshape` moves no bytes and is in no step.
//!
//! There are as few steps as the longest chain of ops has links. An op runs as soon as it can, so
//! that its operands can be freed and ops that read the same value stand side by side; but as long
//! as others read all its operands anyway, so that it frees nothing, it waits for its first user,
//! lest its result be made needlessly early. Linear in the number of operands.

use std::collections::HashMap;

use sharpi_ir::{Graph, NodeId, Value};

use crate::flow::Flow;
use crate::pass::{Context, Pass, PassError, Stats};

/// Groups ops into steps between barriers.
pub struct ScheduleSteps;

/// When each op of a graph runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Schedule {
    /// Ops that run side by side, step after step; views and inputs are in none.
    pub steps: Vec<Vec<NodeId>>,
}

impl Pass for ScheduleSteps {
    fn name(&self) -> &'static str {
        "schedule"
    }

    fn doc(&self) -> &'static str {
        "groups ops into steps: independent ops side by side, few buffers alive at once"
    }

    fn required(&self) -> bool {
        true
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        let flow = Flow::new(graph)?;
        let mut step_of = as_soon_as_possible(&flow);
        delay_what_frees_nothing(graph, &flow, &mut step_of);
        let count = step_of.iter().max().map_or(0, |last| last + 1);
        let mut steps = vec![Vec::new(); count];
        for (op, &step) in flow.ops.iter().zip(&step_of) {
            steps[step].push(op.node);
        }
        context.decisions.schedule = Some(Schedule { steps });
        context.decisions.memory = None;
        Ok(Stats::with_figures([
            ("steps", count),
            ("barriers", count.saturating_sub(1)),
        ]))
    }
}

fn as_soon_as_possible(flow: &Flow) -> Vec<usize> {
    let mut step_of: Vec<usize> = Vec::with_capacity(flow.ops.len());
    for op in &flow.ops {
        let earliest = op.after.iter().map(|&before| step_of[before] + 1).max();
        step_of.push(earliest.unwrap_or(0));
    }
    step_of
}

fn delay_what_frees_nothing(graph: &Graph, flow: &Flow, step_of: &mut [usize]) {
    let mut last_read: HashMap<Value, usize> = HashMap::new();
    for (op, &step) in flow.ops.iter().zip(step_of.iter()) {
        for &v in &op.reads {
            let last = last_read.entry(v).or_default();
            *last = step.max(*last);
        }
    }
    for &v in graph.outputs().values() {
        last_read.insert(flow.buffer(v), usize::MAX);
    }
    // From the back: the users of an op stand where they will stay when it is looked at.
    let mut first_user = vec![None; step_of.len()];
    for (i, op) in flow.ops.iter().enumerate().rev() {
        if let Some(user) = first_user[i] {
            // Its own step is among the last reads, so it waits only beside other readers.
            let reads = op.reads.iter().filter_map(|v| last_read.get(v).copied());
            step_of[i] = reads.fold(user - 1, usize::min).max(step_of[i]);
        }
        for &before in &op.after {
            let user = first_user[before].unwrap_or(usize::MAX);
            first_user[before] = Some(user.min(step_of[i]));
        }
    }
}
