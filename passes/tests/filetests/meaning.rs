//! What a module computes: the evaluator's numbers before a pass and after it.
//!
//! Fused ops are evaluated by way of their definition in the ops that they are made of, in f64 and
//! in the same order, so the numbers are the same to the bit.

use std::collections::BTreeMap;

use sharpi_evaluator::{Evaluator, Sizes, Tensor, fill};
use sharpi_ir::{Graph, Index, Module, NodeKind, Symbol, Weight};

/// Widths of runs that follow each other: tokens, and chosen rows.
pub const RUNS: [[usize; 2]; 4] = [[5, 3], [1, 1], [2, 0], [3, 2]];

/// Ranks of a module that gathers.
const RANKS: usize = 2;

/// Whether both modules give the same outputs, run after run on the same states.
pub fn same(before: &Module, after: &Module) -> Result<(), String> {
    for name in before.graphs.keys() {
        let (before, after) = (outputs(before, name)?, outputs(after, name)?);
        for (run, (before, after)) in before.iter().zip(&after).enumerate() {
            if let Some((output, _)) = before
                .iter()
                .find(|(output, x)| after.get(*output) != Some(x))
            {
                return Err(format!("@{name}: %{output} of run {run} has other numbers"));
            }
        }
    }
    Ok(())
}

type Outputs = BTreeMap<String, Tensor>;

/// The outputs of several runs of a graph.
fn outputs(module: &Module, name: &str) -> Result<Vec<Outputs>, String> {
    let evaluator = Evaluator::new(module, &|name, weight| Some(made_up(name, weight)));
    let evaluator = evaluator.map_err(|e| e.to_string())?;
    // In a case all ranks have the same.
    let mut evaluator = evaluator.with_ranks(|x| Ok(vec![x.clone(); RANKS]));
    let graph = &module.graphs[name];
    let runs = RUNS.iter().zip(1..).map(|(widths, seed)| {
        let outputs = evaluator.run(name, &inputs(graph, *widths, seed));
        let outputs = outputs.map_err(|e| e.to_string())?;
        let finite = |x: &Tensor| x.data().iter().all(|x| x.is_finite());
        match outputs.values().all(finite) {
            true => Ok(outputs),
            false => Err(format!("@{name}: run {seed} has numbers that are none")),
        }
    });
    runs.collect()
}

pub fn made_up(name: &str, weight: &Weight) -> Tensor {
    let seed = name.bytes().fold(7, |seed: u64, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    fill::floats(seed, &Sizes::default().dims(&weight.ty))
}

/// Made-up inputs, but for positions, which follow from the states.
pub fn inputs(graph: &Graph, [tokens, rows]: [usize; 2], seed: u64) -> Vec<(&str, Tensor)> {
    let within = |symbol, wanted: usize| {
        let range = graph.bounds().get(&symbol);
        let size = range.map_or(wanted, |range| wanted.clamp(*range.start(), *range.end()));
        (symbol, size)
    };
    let sizes = Sizes::new([within(Symbol::TOKENS, tokens), within(Symbol::ROWS, rows)]);
    let mut inputs = Vec::new();
    for (node, i) in graph.inputs().iter().zip(0..) {
        let (NodeKind::Input(name), [result]) = (graph.kind(*node), graph.results(*node)) else {
            panic!("an input has a name and one value");
        };
        let (seed, dims) = (seed * 1000 + i, sizes.dims(&result.ty));
        let tensor = match result.ty.index {
            Some(Index::Position) => continue,
            Some(index) => fill::numbers(seed, &dims, index, &|symbol| sizes.of(symbol)),
            None => fill::floats(seed, &dims),
        };
        inputs.push((name.as_str(), tensor));
    }
    inputs
}
