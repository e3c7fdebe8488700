//! Costs and forecasts for programs.

use serde::Serialize;
use sharpi_compile::cost::{Ceilings, Cost, Forecast, RunShape};

use super::Answer;
use super::costed::{Costed, Section, Spent};
use super::shared::Shared;

/// All that is known, op by op.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    ceilings: &'a Ceilings,
    threads: usize,
    acceptance: f64,
    prefill_width: usize,
    runs: Vec<RunOut<'a>>,
    forecast: &'a Forecast,
    /// What is to be expected of so many ranks, where that was asked for.
    #[serde(skip_serializing_if = "<[Shared]>::is_empty")]
    ranks: &'a [Shared],
}

/// A graph in a run of one shape.
#[derive(Serialize)]
struct RunOut<'a> {
    graph: &'a str,
    #[serde(flatten)]
    shape: RunShape,
    #[serde(flatten)]
    total: Figures,
    ops: Vec<OpOut<'a>>,
}

#[derive(Serialize)]
struct OpOut<'a> {
    op: &'static str,
    block: Option<usize>,
    symbols: &'a [String],
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Serialize)]
struct Figures {
    #[serde(flatten)]
    cost: Cost,
    seconds: f64,
}

impl From<Spent> for Figures {
    fn from(Spent { cost, seconds }: Spent) -> Figures {
        Figures { cost, seconds }
    }
}

impl<'a> Document<'a> {
    pub(super) fn new(answer: &'a Answer<'a>) -> Document<'a> {
        Document {
            ceilings: answer.ceilings,
            threads: answer.question.threads,
            acceptance: answer.question.acceptance,
            prefill_width: answer.question.prefill,
            runs: answer.costed.iter().map(run).collect(),
            forecast: &answer.forecast,
            ranks: &answer.shared,
        }
    }
}

fn run<'a>(costed: &'a Costed<'a>) -> RunOut<'a> {
    let ops = |section: &'a Section| {
        let block = section.blocks.first().copied();
        section.ops.iter().map(move |op| OpOut {
            op: op.op,
            block,
            symbols: &op.symbols,
            figures: op.spent.into(),
        })
    };
    RunOut {
        graph: costed.graph,
        shape: costed.shape,
        total: costed.total().into(),
        ops: costed.sections.iter().flat_map(ops).collect(),
    }
}
