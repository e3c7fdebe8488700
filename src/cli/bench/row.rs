//! A row of the result: one test of one model. The names are llama-bench's where it has one.

use serde::Serialize;
use sharpi_compile::cost::{RunShape, of_graph};
use sharpi_compile::ir::Module;
use sharpi_compile::lower::TRUNK;

use super::super::described::Described;
use super::super::trace::Summary;
use super::samples::{Samples, Spread};
use super::setup::Setup;
use super::test::{Measured, Test};

/// Speeds are in tokens per second.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) build_version: &'static str,
    pub(super) backends: &'static str,
    #[serde(flatten)]
    pub(super) model: Described,
    #[serde(flatten)]
    pub(super) setup: Setup,
    pub(super) n_prompt: usize,
    pub(super) n_gen: usize,
    pub(super) n_depth: usize,
    /// Sequences at once; the speeds are those of all together while they generate.
    pub(super) n_parallel: Option<usize>,
    pub(super) spec_draft_n_max: usize,
    /// Whether each draft's length was chosen, up to that.
    pub(super) spec_draft_auto: bool,
    pub(super) test: String,
    pub(super) avg_ns: f64,
    pub(super) stddev_ns: f64,
    pub(super) avg_ts: f64,
    pub(super) stddev_ts: f64,
    pub(super) median_ts: f64,
    pub(super) min_ts: f64,
    pub(super) max_ts: f64,
    /// 10⁹ bytes per second that had to be read, at the median speed; of tokens one after another.
    pub(super) gb_per_second: Option<f64>,
    /// Rounds of drafting in one repetition.
    pub(super) rounds: Option<usize>,
    pub(super) tokens_per_round: Option<f64>,
    /// Of one repetition's drafts, at each place: how many tokens were drafted.
    pub(super) drafted_by_place: Vec<usize>,
    /// And how many of them were accepted.
    pub(super) accepted_by_place: Vec<usize>,
    pub(super) samples_ns: Vec<f64>,
    pub(super) samples_ts: Vec<f64>,
    /// Of several sequences at once: the speed of one, of their prompts together, the time to the
    /// first token, and the part of the time that the scheduler takes for itself.
    pub(super) sequence_ts: Option<f64>,
    pub(super) prompt_ts: Option<f64>,
    pub(super) first_token_ms: Option<f64>,
    pub(super) last_first_token_ms: Option<f64>,
    pub(super) scheduler_share: Option<f64>,
}

impl Row {
    /// `None` if no repetition went through.
    pub(super) fn new(
        model: &Described,
        setup: &Setup,
        module: &Module,
        test: &Test,
        measured: Measured,
    ) -> Option<Row> {
        let together = measured.together;
        let samples = Samples::new(measured.times, test.tokens())?;
        let (samples_ns, samples_ts) = (samples.nanoseconds(), samples.speeds());
        let (time, speed) = (Spread::of(&samples_ns), Spread::of(&samples_ts));
        let summary = Summary(&measured.rounds);
        let drafting = test.drafts();
        let (drafted, accepted) = summary.places().into_iter().unzip();
        let bytes = (!drafting && test.prompt == 0 && test.parallel.is_none())
            .then(|| bytes_per_token(module, test));
        Some(Row {
            build_version: env!("CARGO_PKG_VERSION"),
            backends: "CPU",
            model: model.clone(),
            setup: setup.clone(),
            n_prompt: test.prompt,
            n_gen: test.generate,
            n_depth: test.depth,
            n_parallel: test.parallel,
            spec_draft_n_max: test.drafting.n_max,
            spec_draft_auto: test.drafting.adaptive,
            test: test.to_string(),
            avg_ns: time.mean,
            stddev_ns: time.stddev,
            avg_ts: speed.mean,
            stddev_ts: speed.stddev,
            median_ts: speed.median,
            min_ts: speed.min,
            max_ts: speed.max,
            gb_per_second: bytes.flatten().map(|bytes| bytes * speed.median / 1e9),
            rounds: drafting.then_some(measured.rounds.len()),
            tokens_per_round: drafting.then(|| summary.tokens_per_round()),
            drafted_by_place: drafted,
            accepted_by_place: accepted,
            samples_ns,
            samples_ts,
            sequence_ts: together.map(|t| t.sequence_ts),
            prompt_ts: together.and_then(|t| t.prompt_ts),
            first_token_ms: together.map(|t| t.first_token_ms),
            last_first_token_ms: together.map(|t| t.last_first_token_ms),
            scheduler_share: together.map(|t| t.scheduler_share),
        })
    }
}

/// Bytes of weights, caches and states that a run of one token moves, half way through the text.
fn bytes_per_token(module: &Module, test: &Test) -> Option<f64> {
    let trunk = module.graphs.get(TRUNK)?;
    let shape = RunShape {
        tokens: 1,
        rows: 1,
        context: test.depth + test.generate / 2,
    };
    Some(of_graph(trunk, &module.symbols, &shape).memory_bytes())
}
