//! What ops cost: how much they compute, how many bytes they move, and how long that takes at best.
//!
//! [`of`] gives the [`Cost`] of one op of a graph at any stage of the compiler, for a run of a given
//! [`RunShape`]; the formulas stand in one file, `formula.rs`. [`Ceilings`] turn a cost into
//! seconds on a machine, and [`forecast`] whole graphs into tokens per second, with and without
//! drafting. Nothing here looks at a weight: the shapes are enough.
//!
//! # What is counted
//! - A *multiply-add* is one `a·b + c`. Other arithmetic on an f32 counts as one multiply-add per
//!   instruction that a vector kernel needs for it, an exponential as ten.
//! - Weights and states are counted once per run however many tokens share them, as a kernel that
//!   reads them once would. Recurrent states are read and written. K/V rows are read once per run
//!   for all heads and tokens.
//! - Experts: each token of a run picks its experts by itself, all equally likely, so that `T`
//!   tokens with `k` of `X` experts read the weights of `X·(1 − (1 − k/X)^T)` of them.
//! - Runs whose weights and states fit into a cache read them from there, at the speed at which sets
//!   of so many bytes were read over and over.
//! - Activations are listed, but are taken to stay in the caches: they add nothing to the time.

mod ceilings;
mod forecast;
mod formula;
mod link;
mod operands;

use std::iter::Sum;
use std::ops::Add;

use serde::Serialize;
use sharpi_ir::{Graph, Symbol, Symbols};

pub use ceilings::{Ceilings, Rates, SetReads, UnusableCeilings};
pub use forecast::{Drafting, Forecast, Question, forecast};
pub use formula::of;
pub use link::{Link, NoLink};

/// How many tokens a run has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct RunShape {
    /// Tokens of the run.
    pub tokens: usize,
    /// Tokens of the run whose logits are wanted.
    pub rows: usize,
    /// Tokens before the run: rows of the K/V caches that it finds there.
    pub context: usize,
}

impl RunShape {
    fn bind(&self, symbol: Symbol) -> usize {
        match symbol {
            Symbol::ROWS => self.rows,
            _ => self.tokens,
        }
    }
}

/// What an op, or several together, compute and move. Not whole numbers where chance decides, as
/// in the choice of experts.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Cost {
    /// Multiply-adds of small integers: products with quantised weights.
    pub int_macs: f64,
    /// Multiply-adds of floats, and other arithmetic on them.
    pub f32_macs: f64,
    /// Bytes of weights read.
    pub weight_bytes: f64,
    /// Bytes of recurrent states read and written.
    pub state_bytes: f64,
    /// Bytes of K/V caches read and written.
    pub cache_bytes: f64,
    /// Bytes of values read and written.
    pub activation_bytes: f64,
    /// Exchanges with other ranks,
    #[serde(skip_serializing_if = "is_none")]
    pub exchanges: f64,
    /// and the bytes that a rank takes in them.
    #[serde(skip_serializing_if = "is_none")]
    pub exchanged_bytes: f64,
}

/// Where nothing is exchanged nothing is said of it.
fn is_none(count: &f64) -> bool {
    *count == 0.0
}

impl Cost {
    /// Multiply-adds of both kinds.
    pub fn macs(&self) -> f64 {
        self.int_macs + self.f32_macs
    }

    /// Bytes that have to come from memory: all but the activations.
    pub fn memory_bytes(&self) -> f64 {
        self.weight_bytes + self.state_bytes + self.cache_bytes
    }

    /// Bytes that the next run reads again: those of memory, where what is read and written counts
    /// once.
    pub fn resident_bytes(&self) -> f64 {
        self.weight_bytes + self.state_bytes / 2.0 + self.cache_bytes
    }

    /// Multiply-adds for each byte from memory; `None` for an op that reads none.
    pub fn intensity(&self) -> Option<f64> {
        let bytes = self.memory_bytes();
        (bytes > 0.0).then(|| self.macs() / bytes)
    }
}

impl Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost {
            int_macs: self.int_macs + other.int_macs,
            f32_macs: self.f32_macs + other.f32_macs,
            weight_bytes: self.weight_bytes + other.weight_bytes,
            state_bytes: self.state_bytes + other.state_bytes,
            cache_bytes: self.cache_bytes + other.cache_bytes,
            activation_bytes: self.activation_bytes + other.activation_bytes,
            exchanges: self.exchanges + other.exchanges,
            exchanged_bytes: self.exchanged_bytes + other.exchanged_bytes,
        }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(costs: I) -> Cost {
        costs.fold(Cost::default(), Add::add)
    }
}

/// The cost of all ops of a graph together.
pub fn of_graph(graph: &Graph, symbols: &Symbols, shape: &RunShape) -> Cost {
    let ops = graph.nodes();
    ops.map(|node| of(graph, node, symbols, shape)).sum()
}
