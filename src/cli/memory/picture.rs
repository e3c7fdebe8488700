//! Where the values of a run lie in the arena, and for how long: steps across, bytes down.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde::Serialize;
use sharpi_compile::Executable;
use sharpi_ir::text::Numbering;
use sharpi_passes::live_steps;

use crate::cli::failure::Failure;
use crate::cli::units::si;

/// Steps that are drawn unless others are asked for: with these the picture has 102 columns.
const STEPS: usize = 14;
/// Columns of a step.
const WIDTH: usize = 6;

/// The arena of one graph.
#[derive(Serialize)]
pub(super) struct Arena {
    pub(super) graph: String,
    pub(super) bytes: usize,
    /// Bytes if nothing were reused.
    sum: usize,
    /// Bytes at the widest moment.
    widest: usize,
    steps: usize,
    values: Vec<Placed>,
}

/// A value's bytes, and the steps in which they are taken.
#[derive(Serialize)]
struct Placed {
    /// As `dump-graph` numbers it.
    value: String,
    offset: usize,
    bytes: usize,
    first: usize,
    last: usize,
}

pub(super) fn arenas(executable: &Executable) -> Result<Vec<Arena>, Failure> {
    let graphs = executable.module().graphs.iter();
    let planned = graphs.filter_map(|(name, graph)| Some((name, graph, executable.plan(name)?)));
    let arena = |(name, graph, plan): (&String, &sharpi_ir::Graph, &sharpi_passes::Plan)| {
        let numbers = Numbering::new(graph, &graph.order());
        let lives = live_steps(graph, &plan.steps).map_err(|error| {
            Failure::plain(
                format!("the plan of `{name}` does not fit its graph: {error}"),
                "this is a fault of the program: report it with the model's name",
            )
        })?;
        let placed = lives.into_iter().filter_map(|(v, steps)| {
            let place = plan.memory.placements.get(&v)?;
            Some(Placed {
                value: numbers.of(v).to_string(),
                offset: place.offset,
                bytes: place.bytes,
                first: *steps.start(),
                last: *steps.end(),
            })
        });
        Ok(Arena {
            graph: name.clone(),
            bytes: plan.memory.arena_bytes,
            sum: plan.memory.sum_bytes,
            widest: plan.memory.lower_bound_bytes,
            steps: plan.steps.len(),
            values: placed.collect(),
        })
    };
    planned.map(arena).collect()
}

/// The picture of these steps, or of the first ones.
pub(super) fn draw(arena: &Arena, steps: Option<RangeInclusive<usize>>) -> Result<String, Failure> {
    let last = arena.steps.saturating_sub(1);
    let steps = steps.unwrap_or(0..=STEPS - 1);
    let steps = *steps.start()..=last.min(*steps.end());
    if steps.is_empty() {
        return Err(Failure::usage(
            format!("@{} has no step {}", arena.graph, steps.start()),
            format!("its steps are 0 to {last}"),
        ));
    }
    let mut text = format!(
        "@{}: arena of {}, {} without reuse, {} at the widest moment; steps {} to {} of {}\n",
        arena.graph,
        si(arena.bytes as f64, "B"),
        si(arena.sum as f64, "B"),
        si(arena.widest as f64, "B"),
        steps.start(),
        steps.end(),
        arena.steps
    );
    let mut line = |offset: &str, bytes: &str, cells: String| {
        text += format!("{offset:>10} {bytes:>7}  {cells}").trim_end();
        text.push('\n');
    };
    let head = steps.clone().map(|s| format!("{s:<WIDTH$}")).collect();
    line("offset", "bytes", head);
    for (from, to) in bands(arena, &steps) {
        let cells = steps.clone().map(|s| arena.cell(from, to, s, &steps));
        let bytes = si((to - from) as f64, "B");
        line(&from.to_string(), &bytes, cells.collect());
    }
    Ok(text)
}

/// Ranges of bytes between the places where values drawn begin or end.
fn bands(arena: &Arena, steps: &RangeInclusive<usize>) -> Vec<(usize, usize)> {
    let drawn = arena
        .values
        .iter()
        .filter(|v| v.first <= *steps.end() && v.last >= *steps.start());
    let edges: BTreeSet<usize> = drawn.flat_map(|v| [v.offset, v.offset + v.bytes]).collect();
    let edges: Vec<usize> = edges.into_iter().collect();
    edges.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

impl Arena {
    /// What stands in these bytes at a step: the value's number where it begins, then a bar.
    fn cell(&self, from: usize, to: usize, step: usize, drawn: &RangeInclusive<usize>) -> String {
        let here = self.values.iter().filter(|v| {
            let bytes = v.offset <= from && to <= v.offset + v.bytes;
            bytes && (v.first..=v.last).contains(&step)
        });
        // Where one takes over the bytes of another, both have this step.
        let Some(value) = here.max_by_key(|v| v.first) else {
            return format!("{:<WIDTH$}", "·");
        };
        match step == value.first.max(*drawn.start()) {
            true => format!("{:━<WIDTH$}", value.value),
            false => "━".repeat(WIDTH),
        }
    }
}
