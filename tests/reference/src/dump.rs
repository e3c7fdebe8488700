//! Dumps of the tensors that llama.cpp names in one short run.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use llama_cpp_2::token::LlamaToken;
use sharpi_compile::ir::DType;
use sharpi_compile::parity::golden::{Dump, Pass, Round};

use crate::generate::{Limits, in_two_runs, with_drafts};
use crate::llama::{Llama, Shape};
use crate::{backend, cache_type, watch};

/// Ids that are generated with drafts; the first round is shown.
const IDS: usize = 4;
/// Ids of the second run where nothing is drafted: not one alone, whose float products llama.cpp adds
/// in another order.
const SECOND: usize = 2;

#[derive(Args)]
pub struct DumpArgs {
    /// Model file in GGUF
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    /// Text to continue
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Ids to continue, in place of a text
    #[arg(
        long,
        value_name = "ID,…",
        value_delimiter = ',',
        required_unless_present = "prompt",
        conflicts_with = "prompt"
    )]
    ids: Vec<u32>,
    /// Most ids drafted in a round, 0 for a model without a head
    #[arg(long, value_name = "N", default_value_t = 2)]
    draft_max: usize,
    /// Type of the cached keys and values: f32, f16 or bf16
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = cache_type)]
    cache_type: DType,
    /// Leave the weights as they are in the file
    #[arg(long)]
    no_repack: bool,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl DumpArgs {
    pub fn run(self) -> Result<()> {
        let llama = Llama::load(backend()?, &self.model, !self.no_repack)?;
        let prompt = match &self.prompt {
            Some(text) => llama.tokenize(text),
            None => self.ids.iter().map(|&id| LlamaToken(id as i32)).collect(),
        };
        ensure!(
            prompt.len() > SECOND,
            "the prompt has fewer than three tokens"
        );
        let (ids, rounds, passes) = match self.draft_max {
            0 => self.plain(&llama, &prompt)?,
            _ => self.drafted(&llama, &prompt)?,
        };
        let model = self.model.file_stem().unwrap_or_default();
        let prompt_ids: Vec<u32> = prompt.iter().map(|id| id.0 as u32).collect();
        let dump = Dump {
            model: model.to_string_lossy().into_owned(),
            prompt: self.prompt.unwrap_or_else(|| llama.text(&prompt_ids)),
            prompt_ids,
            ids,
            rounds,
            cache_type: self.cache_type,
            passes,
        };
        for pass in &dump.passes {
            let (graph, width, count) = (&pass.graph, pass.width, pass.tensors.len());
            println!("@{graph}, width {width}: {count} tensors");
        }
        Ok(fs::write(&self.output, serde_json::to_vec(&dump)?)?)
    }

    /// The prompt in two runs.
    fn plain(&self, llama: &Llama, prompt: &[LlamaToken]) -> Result<Shown> {
        let widths = [prompt.len() - SECOND, SECOND];
        let id = in_two_runs(llama, self.shape(prompt), prompt, SECOND)?;
        let passes = passes(widths.map(|n| ("trunk", n)))?;
        Ok((vec![id], Vec::new(), passes))
    }

    /// The prompt but its last id, and a round of drafting from that.
    fn drafted(&self, llama: &Llama, prompt: &[LlamaToken]) -> Result<Shown> {
        llama.expect_head()?;
        let whole = (prompt, prompt.len());
        let limits = Limits {
            max_tokens: IDS,
            end_of_text: llama.end_of_text(),
            ignore_eos: true,
        };
        let drafted = with_drafts(llama, self.shape(prompt), whole, self.draft_max, &limits)?;
        let n = drafted.rounds[0].draft.len();
        let both = |n| [("trunk", n), ("mtp", n)];
        let steps = std::iter::repeat_n(("mtp", 1), n);
        let runs = both(prompt.len() - 1).into_iter().chain(steps);
        let passes = passes(runs.chain(both(1 + n)))?;
        Ok((drafted.ids, drafted.rounds, passes))
    }

    fn shape(&self, prompt: &[LlamaToken]) -> Shape {
        Shape {
            positions: (prompt.len() + IDS + self.draft_max + 1).max(512),
            cache_type: self.cache_type,
            threads: 1,
            sequences: 1,
            watched: true,
        }
    }
}

/// Ids, rounds of drafting, and the runs that are shown.
type Shown = (Vec<u32>, Vec<Round>, Vec<Pass>);

/// The first runs that were watched, which must be of these graphs.
fn passes<'a>(runs: impl IntoIterator<Item = (&'a str, usize)>) -> Result<Vec<Pass>> {
    let mut seen = watch::take().into_iter();
    let mut passes = Vec::new();
    for (graph, width) in runs {
        let next = seen.next();
        let next = next.filter(|run| run.graph == graph);
        let Some(tensors) = next.map(|run| run.tensors) else {
            anyhow::bail!("run {} is not of @{graph}", passes.len());
        };
        passes.push(Pass {
            graph: graph.into(),
            width,
            tensors,
        });
    }
    Ok(passes)
}
