//! What a model costs that several ranks share.

use serde::Serialize;
use sharpi_compile::cost::{Ceilings, Forecast, Question, RunShape, forecast, of_graph};
use sharpi_compile::lower::TRUNK;
use sharpi_ir::Module;
use sharpi_passes::{Options, Shard, Stage, run_until};

use crate::cli::failure::Failure;

/// A model that so many ranks share, by what rank 0 has of it: no other has more.
#[derive(Serialize)]
pub(super) struct Shared {
    pub(super) ranks: usize,
    /// Bytes of weights that a rank reads for a token.
    pub(super) weight_bytes: f64,
    /// Exchanges of a token, and the bytes that a rank takes in them.
    pub(super) exchanges: f64,
    pub(super) exchanged_bytes: f64,
    pub(super) forecast: Forecast,
}

impl Shared {
    /// `None` without a graph `trunk`.
    pub(super) fn new(
        module: &Module,
        options: &Options,
        ranks: usize,
        ceilings: &Ceilings,
        question: &Question,
    ) -> Result<Option<Shared>, Failure> {
        let options = options.clone().shard(Some(Shard { ranks, rank: 0 }));
        let share = run_until(module.clone(), Stage::Fused, &options)?.module;
        let (Some(trunk), Some(forecast)) = (
            share.graphs.get(TRUNK),
            forecast(&share, ceilings, question),
        ) else {
            return Ok(None);
        };
        let token = RunShape {
            tokens: 1,
            rows: 1,
            context: question.context,
        };
        let cost = of_graph(trunk, &share.symbols, &token);
        Ok(Some(Shared {
            ranks,
            weight_bytes: cost.weight_bytes,
            exchanges: cost.exchanges,
            exchanged_bytes: cost.exchanged_bytes,
            forecast,
        }))
    }
}
