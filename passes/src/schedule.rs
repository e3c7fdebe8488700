//! Decides when each op runs.
//!
//! Ops are grouped into steps; the ops of a step are independent of each other in data and in
//! effects and run side by side between two barriers. `reshape` moves no bytes and is in no step.
//!
//! There are as few steps as the longest chain of ops has links. An op runs as soon as it can, so
//! that its operands can be freed and ops that read the same value stand side by side; but where
//! waiting frees nothing later, because all its operands are read by others that long anyway, it
//! waits for its first user, so that its result is not made needlessly early. Linear in the
//! number of operands.

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
        Ok(Stats::default())
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
            let latest: usize = user - 1;
            let read_till_then = |v| last_read.get(v).is_some_and(|&last| last >= latest);
            if latest > step_of[i] && op.reads.iter().all(read_till_then) {
                step_of[i] = latest;
            }
        }
        for &before in &op.after {
            let user = first_user[before].unwrap_or(usize::MAX);
            first_user[before] = Some(user.min(step_of[i]));
        }
    }
}
