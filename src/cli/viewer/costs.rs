//! What ops cost in runs of some widths: rows of numbers that many ops share.

use indexmap::IndexSet;
use serde::Serialize;
use serde_json::{Number, Value as Json};
use sharpi_compile::cost::{Ceilings, Cost, RunShape, of, of_graph};

use super::body::{Section, Source};

/// The widths that can be chosen: a token alone, and a piece of a prompt.
pub(super) const SHAPES: [RunShape; 2] = [
    RunShape {
        tokens: 1,
        rows: 1,
        context: 0,
    },
    RunShape {
        tokens: 512,
        rows: 1,
        context: 0,
    },
];

/// Multiply-adds of integers and of floats; bytes of weights, states, caches and activations.
pub(super) type Row = Vec<Json>;

/// All costs, each once, and the lists of them that sections have.
#[derive(Default)]
pub(super) struct Costs {
    pub(super) rows: IndexSet<Row>,
    pub(super) lists: IndexSet<Vec<usize>>,
}

/// What a machine does at most.
#[derive(Serialize)]
pub(in crate::cli) struct Machine {
    cpu: String,
    simd: String,
    threads: usize,
    int_macs: f64,
    f32_macs: f64,
    #[serde(skip)]
    ceilings: Ceilings,
}

impl Machine {
    /// With all the threads that were measured.
    pub(in crate::cli) fn new(ceilings: Ceilings) -> Machine {
        let threads = ceilings.most_threads();
        Machine::with_threads(ceilings, threads)
    }

    pub(in crate::cli) fn with_threads(ceilings: Ceilings, threads: usize) -> Machine {
        let rates = ceilings.at(threads);
        Machine {
            cpu: ceilings.cpu.clone(),
            simd: ceilings.simd.clone(),
            threads,
            int_macs: rates.int_macs,
            f32_macs: rates.f32_macs,
            ceilings,
        }
    }

    /// Bytes that a run of the graph reads in a second, for each width.
    pub(super) fn read_rates(&self, source: &Source<'_>) -> Vec<f64> {
        let rate = |shape: &RunShape| {
            let bytes = of_graph(source.graph, source.symbols, shape).resident_bytes();
            self.ceilings.read_rate(self.threads, bytes)
        };
        SHAPES.iter().map(rate).collect()
    }
}

impl Costs {
    /// For each width the number of the list of a section's costs.
    pub(super) fn add(&mut self, source: &Source<'_>, section: &Section) -> Vec<usize> {
        let lists = SHAPES.iter().map(|shape| {
            let ops = section.ops.iter();
            let costs = ops.map(|node| of(source.graph, *node, source.symbols, shape));
            let rows = costs.map(|cost| self.rows.insert_full(row(&cost)).0);
            let list = rows.collect();
            self.lists.insert_full(list).0
        });
        lists.collect()
    }
}

fn row(cost: &Cost) -> Row {
    let parts = [
        cost.int_macs,
        cost.f32_macs,
        cost.weight_bytes,
        cost.state_bytes,
        cost.cache_bytes,
        cost.activation_bytes,
    ];
    parts.map(number).to_vec()
}

/// A whole number without a point: most are, and the page is shorter.
fn number(x: f64) -> Json {
    match x.fract() == 0.0 && x.abs() < 9e15 {
        true => Json::from(x as i64),
        false => Number::from_f64(x).map_or(Json::Null, Json::Number),
    }
}
