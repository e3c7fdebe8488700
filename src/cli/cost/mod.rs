//! `cost`: what the ops of a model cost, and how fast a machine lets it be. Of the model only the
//! header is read.

mod costed;
mod json;
mod shared;
mod text;

use std::io::Write;
use std::num::NonZeroUsize;

use sharpi_compile::cost::{Ceilings, Forecast, Link, Question, RunShape, forecast};
use sharpi_compile::lower::LowerOptions;
use sharpi_passes::{Stage, run_until};

use super::ceilings::CeilingsArg;
use super::draft_vocab::DraftVocabArgs;
use super::failure::Failure;
use super::lower_args::LowerArgs;
use super::model_arg::ModelArg;
use super::pass_args::PassArgs;
use super::write_json;
use costed::Costed;
use shared::Shared;

/// Runs of up to as many tokens may be drafts to verify, of which all logits are wanted; of wider
/// ones, parts of a prompt, only the last.
const MOST_VERIFIED: usize = 16;

#[derive(clap::Args)]
pub(super) struct CostArgs {
    #[command(flatten)]
    model: ModelArg,
    /// Tokens of a run, such as 1,2,4,512: the ops are shown for each. Runs of more than 16 give
    /// the logits of their last token alone
    #[arg(
        short,
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "1"
    )]
    width: Vec<NonZeroUsize>,
    /// Tokens before the run, whose keys and values are read
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    ctx_size: usize,
    /// Threads to compute with [default: as many as were measured]
    #[arg(short, long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Most tokens in a draft, for the deepest drafting that is looked at
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(0..=64))]
    spec_draft_n_max: u16,
    /// Probability that a drafted token is right if all before it are
    #[arg(long, value_name = "P", default_value = "0.8", value_parser = probability)]
    acceptance: f64,
    /// Numbers of ranks that share the model, each with a machine like this one, such as 1,2,4,8: what
    /// is to be expected of each
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    ranks: Vec<u16>,
    /// What an exchange between ranks takes, and how much they take in a second, as hwbench measures it
    /// under mpirun
    #[arg(long, value_name = "TIME,RATE", default_value = "50us,10Gbit")]
    link: Link,
    /// Show every block, also those with the same ops as others
    #[arg(long)]
    no_fold: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    vocabulary: DraftVocabArgs,
    #[command(flatten)]
    ceilings: CeilingsArg,
    #[command(flatten)]
    lower: LowerArgs,
    #[command(flatten)]
    passes: PassArgs,
}

/// All that is shown.
struct Answer<'a> {
    ceilings: &'a Ceilings,
    question: Question,
    costed: Vec<Costed<'a>>,
    forecast: Forecast,
    shared: Vec<Shared>,
}

impl CostArgs {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let model = self.model.open()?;
        let most = LowerOptions::default().max_rows;
        let mut options = self.lower.options(usize::MAX, most);
        options.draft_vocabulary = self.vocabulary.read()?;
        let imported = model.lower(&options)?;
        let passes = self.passes.options();
        let module = run_until(imported.clone(), Stage::Fused, &passes)?.module;
        let ceilings = self.ceilings.get(self.threads.map(NonZeroUsize::get))?;
        let question = self.question(&ceilings);
        let Some(forecast) = forecast(&module, &ceilings, &question) else {
            return Err(Failure::plain(
                "the model has no graph `trunk`",
                "try another copy of the file",
            ));
        };
        let shared = self
            .ranks
            .iter()
            .map(|ranks| Shared::new(&imported, &passes, (*ranks).into(), &ceilings, &question));
        let shared: Vec<Option<Shared>> = shared.collect::<Result<_, Failure>>()?;
        let graphs = module.graphs.keys();
        let runs = graphs.flat_map(|graph| self.shapes().map(move |shape| (graph, shape)));
        let seconds = |cost: &_, bytes| ceilings.seconds(cost, question.threads, bytes);
        let costed = runs.map(|(graph, shape)| Costed::new(&module, graph, shape, &seconds));
        let answer = Answer {
            costed: costed.collect(),
            ceilings: &ceilings,
            question,
            forecast,
            shared: shared.into_iter().flatten().collect(),
        };
        match self.json {
            true => write_json(out, &json::Document::new(&answer)),
            false => Ok(text::write(&answer, !self.no_fold, out)?),
        }
    }

    fn question(&self, ceilings: &Ceilings) -> Question {
        let measured = ceilings.most_threads();
        let threads = self.threads.map_or(measured, NonZeroUsize::get);
        Question {
            threads: threads.min(measured),
            context: self.ctx_size,
            prefill: self.lower.batch_size(),
            acceptance: self.acceptance,
            n_max: self.spec_draft_n_max.into(),
            link: self.link,
        }
    }

    fn shapes(&self) -> impl Iterator<Item = RunShape> + '_ {
        self.width.iter().map(|width| RunShape {
            tokens: width.get(),
            rows: if width.get() <= MOST_VERIFIED {
                width.get()
            } else {
                1
            },
            context: self.ctx_size,
        })
    }
}

fn probability(text: &str) -> Result<f64, String> {
    let found = text.parse().ok().filter(|p| (0.0..=1.0).contains(p));
    found.ok_or_else(|| "expected a number, 0 to 1".into())
}
