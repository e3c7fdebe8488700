//! Text of a module with what the passes have decided about it in the comment column.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use sharpi_ir::text::{graph_lines_in, print_with};
use sharpi_ir::{Graph, NodeId, Op, Symbols};

use crate::compile::Plan;
use crate::label::Labels;
use crate::manager::Snapshot;
use crate::plan_memory::{MemoryPlan, Placement};

/// Where the notes begin, as in the other renderings.
const NOTE_COLUMN: usize = 100;

/// The whole module; parses again. Ops that are scheduled have their step beside them, values that
/// are placed their offset and size.
pub fn print_snapshot(snapshot: &Snapshot) -> String {
    let decided = snapshot.decisions.iter().map(|(name, d)| {
        let steps = d.schedule.as_ref().map_or(&[][..], |s| &s.steps);
        (name.as_str(), (step_numbers(steps), d.memory.as_ref()))
    });
    let decided: HashMap<_, _> = decided.collect();
    print_with(&snapshot.module, &|name, node| {
        let (steps, memory) = decided.get(name)?;
        note(snapshot.module.graphs.get(name)?, node, steps, *memory)
    })
}

/// One graph in the order in which it runs, the views behind what they show, under a comment that
/// says how many steps there are and how large the arena is.
pub fn print_planned(name: &str, graph: &Graph, symbols: &Symbols, plan: &Plan) -> String {
    let Plan {
        steps,
        memory,
        rollback,
    } = plan;
    let mut text = String::new();
    let (count, barriers) = (steps.len(), steps.len().saturating_sub(1));
    let _ = writeln!(text, "; steps: {count}, barriers: {barriers}");
    let _ = writeln!(
        text,
        "; arena: {} bytes, {} without reuse, {} at the widest moment",
        memory.arena_bytes, memory.sum_bytes, memory.lower_bound_bytes
    );
    let bytes: usize = rollback.values().sum();
    let _ = writeln!(text, "; rollback: {bytes} bytes per token");
    let labels = Labels::new(graph);
    for v in graph.inputs().iter().flat_map(|n| graph.values(*n)) {
        let place = memory.placements.get(&v).map_or("nowhere".into(), place);
        let _ = writeln!(text, "; input {} at {place}", labels.value(v));
    }
    let step_of = step_numbers(steps);
    for line in graph_lines_in(&running_order(graph, steps), name, graph, symbols) {
        match (line.node).and_then(|n| note(graph, n, &step_of, Some(memory))) {
            Some(note) => {
                let _ = writeln!(text, "{:NOTE_COLUMN$}  ; {note}", line.text);
            }
            None => {
                let _ = writeln!(text, "{}", line.text);
            }
        }
    }
    text
}

/// `step 3, arena 4096+2048`.
fn note(
    graph: &Graph,
    node: NodeId,
    steps: &HashMap<NodeId, usize>,
    memory: Option<&MemoryPlan>,
) -> Option<String> {
    let step = steps.get(&node).map(|step| format!("step {step}"));
    let is_view = (graph.op(node)).is_some_and(|op| op.facts().view);
    let step = step.or_else(|| (is_view && !steps.is_empty()).then(|| "view".into()));
    let values = graph.values(node);
    let places = values.filter_map(|v| Some(place(memory?.placements.get(&v)?)));
    let places = places.collect::<Vec<_>>().join(", ");
    let places = (!places.is_empty()).then(|| format!("arena {places}"));
    match (step, places) {
        (Some(step), Some(places)) => Some(format!("{step}, {places}")),
        (step, places) => step.or(places),
    }
}

fn place(p: &Placement) -> String {
    format!("{}+{}", p.offset, p.bytes)
}

fn step_numbers(steps: &[Vec<NodeId>]) -> HashMap<NodeId, usize> {
    let steps = steps.iter().enumerate();
    steps
        .flat_map(|(step, nodes)| nodes.iter().map(move |n| (*n, step)))
        .collect()
}

/// Ops in the order of their steps, each with the views of its results behind it; at last what
/// stands in no step, so that nothing is left out of the picture.
fn running_order(graph: &Graph, steps: &[Vec<NodeId>]) -> Vec<NodeId> {
    let mut views: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
    let canonical = graph.order();
    for &node in &canonical {
        let is_view = |op: &Op| op.facts().view;
        if let Some(shown) = graph.value_operands(node).next()
            && graph.op(node).is_some_and(is_view)
        {
            views.entry(shown.node).or_default().push(node);
        }
    }
    let scheduled = graph.inputs().iter().chain(steps.iter().flatten());
    let (mut order, mut done) = (Vec::new(), HashSet::new());
    for &node in scheduled.chain(&canonical) {
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            if graph.contains(node) && done.insert(node) {
                order.push(node);
                open.extend(views.get(&node).into_iter().flatten().rev());
            }
        }
    }
    order
}
