//! Decides where each value lies.
//!
//! All values of a run lie in one arena, 64-byte aligned, at the sizes that they have at the upper
//! bounds of the symbols. A value's bytes are taken from the step that makes it through the step
//! of its last reader, both included: ops of one step may run at the same time, so nothing is
//! reused within a step. Inputs are there before the first step, outputs stay to the end. A value
//! and its views are one buffer. So are an op's result and an operand that it may overwrite, if
//! nothing else reads the operand in that step or later: see [`Facts::in_place`](sharpi_ir::Facts::in_place).

use std::collections::HashMap;
use std::ops::RangeInclusive;

use indexmap::IndexMap;
use sharpi_ir::{Dim, Graph, NodeId, Symbol, Value};

use crate::flow::Flow;
use crate::label;
use crate::pack::{Block, pack, widest_moment};
use crate::pass::{Context, Pass, PassError, Stats};
use crate::pattern::value;
use crate::schedule::Schedule;

/// Every placement starts at a multiple of this many bytes: a cache line, a register's width.
pub const ALIGNMENT: usize = 64;

/// Gives every value its place in the arena.
pub struct PlanMemory;

/// Where a value lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placement {
    /// Bytes from the start of the arena.
    pub offset: usize,
    /// Bytes at the upper bounds of the symbols.
    pub bytes: usize,
}

/// Where the values of a graph lie.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemoryPlan {
    /// The place of every value; views have that of the value they show.
    pub placements: HashMap<Value, Placement>,
    /// Size of the arena.
    pub arena_bytes: usize,
    /// What the arena would be if nothing were reused.
    pub sum_bytes: usize,
    /// Bytes taken at the widest moment: no arena can be smaller.
    pub lower_bound_bytes: usize,
}

impl Pass for PlanMemory {
    fn name(&self) -> &'static str {
        "plan-memory"
    }

    fn doc(&self) -> &'static str {
        "places every value in one arena, reusing bytes of values that are no longer read"
    }

    fn required(&self) -> bool {
        true
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        let schedule = context.decisions.schedule.as_ref();
        let schedule = schedule.ok_or(PassError::NotYet { pass: "schedule" })?;
        let memory = plan(graph, schedule)?;
        let stats = Stats::with_figures([
            ("arena_bytes", memory.arena_bytes),
            ("sum_bytes", memory.sum_bytes),
            ("lower_bound_bytes", memory.lower_bound_bytes),
        ]);
        context.decisions.memory = Some(memory);
        Ok(stats)
    }
}

fn plan(graph: &Graph, schedule: &Schedule) -> Result<MemoryPlan, PassError> {
    let flow = Flow::new(graph)?;
    let lifetimes = lifetimes(graph, &flow, &schedule.steps)?;
    let homes = homes(graph, &flow, &lifetimes);
    let home = |v: Value| homes.get(&v).copied().unwrap_or(v);
    let mut sum_bytes = 0usize;
    let mut blocks: IndexMap<Value, Block> = IndexMap::with_capacity(lifetimes.len());
    for (&v, life) in &lifetimes {
        let bytes = largest_bytes(graph, v)?.checked_next_multiple_of(ALIGNMENT);
        let sum = bytes.and_then(|bytes| sum_bytes.checked_add(bytes));
        let (Some(bytes), Some(sum)) = (bytes, sum) else {
            return Err(unaddressable(graph, v));
        };
        sum_bytes = sum;
        let block = blocks.entry(home(v)).or_insert(Block {
            bytes,
            first: life.first,
            last: life.last,
        });
        block.last = block.last.max(life.last);
    }
    let in_order: Vec<Block> = blocks.values().copied().collect();
    let (offsets, arena_bytes) = pack(&in_order);
    let mut placements = HashMap::new();
    for v in graph.nodes().flat_map(|node| graph.values(node)) {
        if let Some(block) = blocks.get_index_of(&home(flow.buffer(v))) {
            let (offset, bytes) = (offsets[block], largest_bytes(graph, v)?);
            placements.insert(v, Placement { offset, bytes });
        }
    }
    Ok(MemoryPlan {
        placements,
        arena_bytes,
        sum_bytes,
        lower_bound_bytes: widest_moment(&in_order),
    })
}

/// The steps in which the bytes of each value are taken, views left out.
///
/// # Errors
/// Steps that leave out an op, or a graph with a cycle.
pub fn live_steps(
    graph: &Graph,
    steps: &[Vec<NodeId>],
) -> Result<IndexMap<Value, RangeInclusive<usize>>, PassError> {
    let lifetimes = lifetimes(graph, &Flow::new(graph)?, steps)?;
    Ok(lifetimes
        .into_iter()
        .map(|(v, life)| (v, life.first..=life.last))
        .collect())
}

/// Steps at which a buffer's bytes are taken.
struct Lifetime {
    first: usize,
    last: usize,
    /// How many operands read it at the last of them; an output is read once more, at the end.
    last_reads: usize,
}

fn lifetimes(
    graph: &Graph,
    flow: &Flow,
    steps: &[Vec<NodeId>],
) -> Result<IndexMap<Value, Lifetime>, PassError> {
    let end = steps.len();
    let steps = steps.iter().enumerate();
    let step_of: HashMap<_, _> = steps
        .flat_map(|(step, ops)| ops.iter().map(move |op| (*op, step)))
        .collect();
    let made = |first| Lifetime {
        first,
        last: first,
        last_reads: 0,
    };
    let mut lifetimes = IndexMap::new();
    for v in graph.inputs().iter().flat_map(|n| graph.values(*n)) {
        lifetimes.insert(v, made(0));
    }
    let read = |lifetimes: &mut IndexMap<Value, Lifetime>, v: &Value, step: usize| {
        if let Some(life) = lifetimes.get_mut(v) {
            if step > life.last {
                (life.last, life.last_reads) = (step, 0);
            }
            life.last_reads += usize::from(step == life.last);
        }
    };
    for op in &flow.ops {
        let step = step_of.get(&op.node).copied();
        let step = step.ok_or(PassError::NotYet { pass: "schedule" })?;
        lifetimes.extend(graph.values(op.node).map(|v| (v, made(step))));
        for v in &op.reads {
            read(&mut lifetimes, v, step);
        }
    }
    for v in graph.outputs().values() {
        read(&mut lifetimes, &flow.buffer(*v), end);
    }
    // There is no step behind the last.
    for life in lifetimes.values_mut() {
        life.last = life.last.min(end.saturating_sub(1));
    }
    Ok(lifetimes)
}

/// The first of those buffers whose bytes each in turn takes over, for those that take over any.
fn homes(
    graph: &Graph,
    flow: &Flow,
    lifetimes: &IndexMap<Value, Lifetime>,
) -> HashMap<Value, Value> {
    let mut homes: HashMap<Value, Value> = HashMap::new();
    for op in &flow.ops {
        let in_place = graph.op(op.node).and_then(|op| op.facts().in_place);
        let overwritten = in_place.and_then(|name| value(graph, op.node, name));
        let overwritten = overwritten.map(|v| flow.buffer(v));
        let (Some(old), Some(new)) = (overwritten, graph.values(op.node).next()) else {
            continue;
        };
        let (Some(life), Some(next)) = (lifetimes.get(&old), lifetimes.get(&new)) else {
            continue;
        };
        let is_output = graph.outputs().values().any(|v| flow.buffer(*v) == old);
        if life.last == next.first && life.last_reads == 1 && !is_output {
            let home = homes.get(&old).copied().unwrap_or(old);
            homes.insert(new, home);
        }
    }
    homes
}

/// Bytes of a value at the upper bounds of its symbols.
fn largest_bytes(graph: &Graph, v: Value) -> Result<usize, PassError> {
    let upper = |s: Symbol| graph.bounds().get(&s).map(|range| *range.end());
    let unbounded = |d: &Dim| match d {
        Dim::Sym(s) if upper(*s).is_none() => Some(*s),
        Dim::Sym(_) | Dim::Fixed(_) => None,
    };
    let ty = graph.ty(v);
    if let Some(symbol) = ty.shape.iter().find_map(unbounded) {
        return Err(PassError::Unbounded {
            value: label::value(graph, v),
            symbol,
        });
    }
    let bytes = ty.bytes(&|s| upper(s).unwrap_or(0));
    bytes.ok_or_else(|| unaddressable(graph, v))
}

fn unaddressable(graph: &Graph, v: Value) -> PassError {
    PassError::Unaddressable {
        value: label::value(graph, v),
    }
}
