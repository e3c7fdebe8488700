//! Judges a plan without trusting how it was made.
//!
//! Shares no code with the scheduler and the planner: it works out for itself which buffer a value
//! lies in, when that buffer is taken and how large it must be, in the most obvious way, and then
//! compares every two buffers that are taken at the same step. All faults are reported, not the
//! first.

use std::collections::HashMap;

use sharpi_ir::{Graph, NodeId, NodeKind, Op, Operand, Value, slot};

use crate::compile::Plan;
use crate::label::Labels;
use crate::plan_memory::{ALIGNMENT, MemoryPlan, Placement};

/// Something that would make a planned graph compute wrong values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PlanFault {
    /// An op that must run and is in no step.
    #[error("{op} is in no step")]
    NeverRuns { op: String },
    /// An op in two steps, or twice in one.
    #[error("{op} is in step {first} and again in step {second}")]
    RunsTwice {
        op: String,
        first: usize,
        second: usize,
    },
    /// A node in a step that is no op or moves no bytes.
    #[error("{op} is in step {step}, expected only ops that move bytes")]
    NothingToRun { op: String, step: usize },
    /// An op beside or before the maker of its operand.
    #[error(
        "{op} runs in step {step}, expected after step {made}, which makes its operand {operand}"
    )]
    BeforeOperand {
        op: String,
        step: usize,
        operand: String,
        made: usize,
    },
    /// An op beside or before the one that must touch their state first.
    #[error(
        "{op} runs in step {step}, expected after step {first}, in which {other} touches the same state"
    )]
    EffectOrder {
        op: String,
        step: usize,
        other: String,
        first: usize,
    },
    /// A gather beside or before one that stands before it in the canonical order, in which all
    /// ranks gather.
    #[error("{op} runs in step {step}, expected after step {first}, in which {other} gathers")]
    GatherOrder {
        op: String,
        step: usize,
        other: String,
        first: usize,
    },
    /// A value without a place.
    #[error("{value} has no place in the arena")]
    Unplaced { value: String },
    /// A place smaller than its value.
    #[error("{value} has {bytes} bytes, expected {needed}")]
    TooSmall {
        value: String,
        bytes: usize,
        needed: usize,
    },
    /// A place that vector loads would not like.
    #[error("{value} lies at {offset}, expected a multiple of {ALIGNMENT}")]
    Misaligned { value: String, offset: usize },
    /// A place that ends behind the arena.
    #[error("{value} ends at {end}, expected at most {arena}, the size of the arena")]
    Outside {
        value: String,
        end: usize,
        arena: usize,
    },
    /// A view that shows other bytes than its operand's.
    #[error("{view} lies at {offset}, expected {expected}, where its operand lies")]
    ViewElsewhere {
        view: String,
        offset: usize,
        expected: usize,
    },
    /// Two values on the same bytes at the same time.
    #[error("{one} and {other} lie on the same bytes in step {step}")]
    Overlap {
        one: String,
        other: String,
        step: usize,
    },
}

/// All faults of a plan: of its steps and of its memory.
pub fn check_plan(graph: &Graph, plan: &Plan) -> Vec<PlanFault> {
    let mut faults = check_schedule(graph, &plan.steps);
    faults.extend(check_memory(graph, &plan.steps, &plan.memory));
    faults
}

/// Every op runs once, after what makes its operands and after what touches its state first; gathers run
/// one after another.
pub fn check_schedule(graph: &Graph, steps: &[Vec<NodeId>]) -> Vec<PlanFault> {
    let labels = Labels::new(graph);
    let mut faults = Vec::new();
    let mut step_of: HashMap<NodeId, usize> = HashMap::new();
    for (step, &node) in in_steps(steps) {
        let op = || labels.node(node);
        if !graph.contains(node) || !runs(graph, node) {
            faults.push(PlanFault::NothingToRun { op: op(), step });
        } else if let Some(first) = step_of.insert(node, step) {
            let (op, second) = (op(), step);
            faults.push(PlanFault::RunsTwice { op, first, second });
        }
    }
    for node in graph.nodes().filter(|n| runs(graph, *n)) {
        match step_of.get(&node) {
            None => faults.push(PlanFault::NeverRuns {
                op: labels.node(node),
            }),
            Some(_) => check_order(graph, &labels, &step_of, node, &mut faults),
        }
    }
    check_gathers(graph, &labels, &step_of, &mut faults);
    faults
}

/// One gather in a step, in the canonical order.
fn check_gathers(
    graph: &Graph,
    labels: &Labels,
    step_of: &HashMap<NodeId, usize>,
    faults: &mut Vec<PlanFault>,
) {
    let gathers = |node: &NodeId| matches!(graph.op(*node), Some(Op::AllGather { .. }));
    let gathers: Vec<NodeId> = graph.order().into_iter().filter(gathers).collect();
    for pair in gathers.windows(2) {
        if let (Some(&first), Some(&step)) = (step_of.get(&pair[0]), step_of.get(&pair[1]))
            && step <= first
        {
            faults.push(PlanFault::GatherOrder {
                op: labels.node(pair[1]),
                step,
                other: labels.node(pair[0]),
                first,
            });
        }
    }
}

fn check_order(
    graph: &Graph,
    labels: &Labels,
    step_of: &HashMap<NodeId, usize>,
    node: NodeId,
    faults: &mut Vec<PlanFault>,
) {
    let step = step_of[&node];
    for operand in graph.value_operands(node) {
        let maker = buffer(graph, operand).node;
        if let Some(&made) = step_of.get(&maker).filter(|made| **made >= step) {
            faults.push(PlanFault::BeforeOperand {
                op: labels.node(node),
                step,
                operand: labels.value(operand),
                made,
            });
        }
    }
    for other in graph.effect_predecessors(node) {
        if let Some(&first) = step_of.get(&other).filter(|first| **first >= step) {
            faults.push(PlanFault::EffectOrder {
                op: labels.node(node),
                step,
                other: labels.node(other),
                first,
            });
        }
    }
}

/// Every value lies in the arena, aligned, large enough, and alone on its bytes while it is alive.
pub fn check_memory(graph: &Graph, steps: &[Vec<NodeId>], memory: &MemoryPlan) -> Vec<PlanFault> {
    let labels = Labels::new(graph);
    let mut faults = Vec::new();
    for v in graph.nodes().flat_map(|n| graph.values(n)) {
        check_place(graph, &labels, memory, v, &mut faults);
    }
    let mut alive: Vec<Alive> = Vec::new();
    for next in lifetimes(graph, steps, memory) {
        alive.retain(|a| a.last >= next.first);
        let clashes =
            |a: &&Alive| a.shares_bytes_with(&next) && !takes_over(graph, steps, &next, a);
        for a in alive.iter().filter(clashes) {
            faults.push(PlanFault::Overlap {
                one: labels.value(a.value),
                other: labels.value(next.value),
                step: next.first,
            });
        }
        alive.push(next);
    }
    faults
}

/// Whether a value is made on the bytes of another that its op alone reads, in the one slot whose
/// elements it overwrites as it goes, and that nobody reads afterwards.
fn takes_over(graph: &Graph, steps: &[Vec<NodeId>], new: &Alive, old: &Alive) -> bool {
    let maker = new.value.node;
    // No other op may: one that does is a fault until it is written down here too.
    let overwritten = match graph.op(maker) {
        Some(op @ Op::Product { .. }) => op.slot(slot::Product::residual),
        Some(op @ Op::MoeSum { .. }) => op.slot(slot::MoeSum::residual),
        Some(op @ Op::StreamAdd {}) => op.slot(slot::StreamAdd::streams),
        Some(_) | None => None,
    };
    let Some(slot) = overwritten else {
        return false;
    };
    let shows = |v: &Value| buffer(graph, *v) == old.value;
    let operands = graph.operands(maker).into_iter().enumerate();
    let slots = operands.filter(|(_, o)| matches!(o, Operand::Value(v) if shows(v)));
    let only_there = slots.map(|(i, _)| i).eq([slot]);
    let beside = steps.get(new.first).into_iter().flatten();
    let read_beside = beside
        .filter(|n| **n != maker)
        .any(|n| graph.value_operands(*n).any(|v| shows(&v)));
    let ends_here = old.last == new.first && !graph.outputs().values().any(shows);
    old.place == new.place && only_there && ends_here && !read_beside
}

fn check_place(
    graph: &Graph,
    labels: &Labels,
    memory: &MemoryPlan,
    v: Value,
    faults: &mut Vec<PlanFault>,
) {
    let value = || labels.value(v);
    let Some(&Placement { offset, bytes }) = memory.placements.get(&v) else {
        faults.push(PlanFault::Unplaced { value: value() });
        return;
    };
    let needed = bytes_needed(graph, v);
    if bytes < needed {
        let value = value();
        faults.push(PlanFault::TooSmall {
            value,
            bytes,
            needed,
        });
    }
    if !offset.is_multiple_of(ALIGNMENT) {
        let value = value();
        faults.push(PlanFault::Misaligned { value, offset });
    }
    let (end, arena) = (offset.saturating_add(bytes), memory.arena_bytes);
    if end > arena {
        let value = value();
        faults.push(PlanFault::Outside { value, end, arena });
    }
    let shown = memory.placements.get(&buffer(graph, v));
    if let Some(expected) = shown.map(|p| p.offset).filter(|o| *o != offset) {
        faults.push(PlanFault::ViewElsewhere {
            view: value(),
            offset,
            expected,
        });
    }
}

/// A buffer with its place and the steps in which it is taken.
struct Alive {
    value: Value,
    place: Placement,
    first: usize,
    last: usize,
}

impl Alive {
    fn shares_bytes_with(&self, other: &Alive) -> bool {
        let end = |p: &Placement| p.offset.saturating_add(p.bytes);
        self.place.offset < end(&other.place) && other.place.offset < end(&self.place)
    }
}

/// Buffers in order of the step from which they are taken: as soon as their op runs, or from the
/// start for inputs, until their last reader has run, or to the end for outputs.
fn lifetimes(graph: &Graph, steps: &[Vec<NodeId>], memory: &MemoryPlan) -> Vec<Alive> {
    let mut touched: HashMap<Value, (usize, usize)> = HashMap::new();
    let mut touch = |v: Value, step: usize| {
        let (first, last) = touched.entry(buffer(graph, v)).or_insert((step, step));
        (*first, *last) = (step.min(*first), step.max(*last));
    };
    for v in graph.inputs().iter().flat_map(|n| graph.values(*n)) {
        touch(v, 0);
    }
    for (step, &node) in in_steps(steps).filter(|(_, n)| graph.contains(**n)) {
        graph.values(node).for_each(|v| touch(v, step));
        graph.value_operands(node).for_each(|v| touch(v, step));
    }
    for &v in graph.outputs().values() {
        touch(v, steps.len().saturating_sub(1));
    }
    let with_place = touched.into_iter().filter_map(|(value, (first, last))| {
        let place = *memory.placements.get(&value)?;
        Some(Alive {
            value,
            place,
            first,
            last,
        })
    });
    let mut lifetimes: Vec<Alive> = with_place.collect();
    lifetimes.sort_by_key(|a| (a.first, a.value));
    lifetimes
}

fn in_steps(steps: &[Vec<NodeId>]) -> impl Iterator<Item = (usize, &NodeId)> {
    let steps = steps.iter().enumerate();
    steps.flat_map(|(step, nodes)| nodes.iter().map(move |n| (step, n)))
}

fn is_view(graph: &Graph, node: NodeId) -> bool {
    matches!(graph.kind(node), NodeKind::Op(Op::Reshape { .. }))
}

fn runs(graph: &Graph, node: NodeId) -> bool {
    graph.op(node).is_some() && !is_view(graph, node)
}

/// The value in whose bytes `v` lies.
fn buffer(graph: &Graph, mut v: Value) -> Value {
    // No chain of views is longer than the graph; the bound ends a walk on a cycle.
    for _ in 0..graph.op_count() {
        match graph.value_operands(v.node).next() {
            Some(shown) if is_view(graph, v.node) => v = shown,
            Some(_) | None => break,
        }
    }
    v
}

/// Bytes at the upper bounds of the symbols; what cannot be counted fits nowhere.
fn bytes_needed(graph: &Graph, v: Value) -> usize {
    let upper = |s| graph.bounds().get(&s).map_or(usize::MAX, |r| *r.end());
    graph.ty(v).bytes(&upper).unwrap_or(usize::MAX)
}
