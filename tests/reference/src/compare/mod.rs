//! Both engines side by side: the same work on the same file, in turn.

mod engine;
mod table;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use sharpi_compile::cost::{Ceilings, Link, Question, forecast};
use sharpi_compile::ir::{DType, Module};
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::passes::{Options, Stage, run_until};
use sharpi_compile::{Model, hwbench};

use crate::backend;
use crate::{at_least_one, cache_type};
use engine::{Engine, Kind, Setup};
use table::{Sample, Table};

/// First id of a prompt that is counted.
const FIRST: u32 = 300;
/// Ids of a prompt before generation, where no text is given.
const PROMPT: usize = 16;
/// How long the threads of the engine before may spin on before they sleep.
const REST: Duration = Duration::from_millis(200);
/// Ids of a run over a long prompt.
const PIECE: usize = 512;
/// Copies of the weights, counted in files, that all engines hold together.
const COPIES: u64 = 3;

#[derive(Args)]
pub struct CompareArgs {
    /// Model file in GGUF
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    /// Ids of the prompt for prefill, 0 to leave it out
    #[arg(short = 'p', long, value_name = "N", default_value_t = 512)]
    n_prompt: usize,
    /// Ids to generate
    #[arg(short, long, value_name = "N", default_value_t = 64, value_parser = at_least_two)]
    n_gen: usize,
    /// Most ids drafted in a round, 0 for decoding without drafts; each is measured by itself
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "0,1,2,3"
    )]
    draft_max: Vec<usize>,
    /// Tokens before what is generated, without drafts; each number is measured by itself
    #[arg(short, long, value_name = "N,…", value_delimiter = ',')]
    depth: Vec<usize>,
    /// Sequences that decode together, without drafts; each number is measured by itself
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    parallel: Vec<usize>,
    /// Text before what is generated [default: ids that count upwards, as `synth` models do]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Threads to compute with
    #[arg(short, long, value_name = "N", default_value_t = 2, value_parser = at_least_one)]
    threads: usize,
    /// Repetitions
    #[arg(short, long, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    repetitions: usize,
    /// Type of the cached keys and values: f32, f16 or bf16
    #[arg(long, value_name = "TYPE", default_value = "f16", value_parser = cache_type)]
    cache_type: DType,
    /// Load each engine anew in each repetition and drop it again, so that one at a time is in
    /// memory [default: where the memory does not hold them together]
    #[arg(long)]
    reload: bool,
    /// Print a JSON object with every sample
    #[arg(long)]
    json: bool,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// So many ids of a prompt at once.
    Prefill(usize),
    /// So many ids with up to `n_max` of them drafted in a round.
    Generate { n_max: usize, ids: usize },
    /// So many ids behind so many others, without drafts.
    Deep { depth: usize, ids: usize },
    /// So many ids of each of several sequences, one of each in a run.
    Together { sequences: usize, ids: usize },
}

impl CompareArgs {
    pub fn run(self) -> Result<()> {
        let model = Model::open(&self.model)?;
        let hparams = model.hparams()?;
        ensure!(
            hparams.mtp_blocks > 0 || self.draft_max.iter().all(|&n| n == 0),
            "the model has no MTP head to draft with: give --draft-max 0"
        );
        // Ends of text and the bytes before the counted ids stay out of the prompt.
        let ids = FIRST..(hparams.vocabulary as u32).saturating_sub(FIRST);
        ensure!(!ids.is_empty(), "the vocabulary is too small to count in");
        let counted = |n| ids.clone().cycle().take(n).collect();
        let tokenizer = model.tokenizer()?;
        let text = self
            .prompt
            .as_ref()
            .map(|text| tokenizer.encode(text, true));
        let widest = self.draft_max.iter().copied().max().unwrap_or(0);
        let lowered = model.lower(&LowerOptions::default())?;
        let fused = run_until(lowered, Stage::Fused, &Options::default())?.module;
        let before = hwbench::measure(|_, _| ())?;
        let setup = Setup {
            path: self.model.clone(),
            backend: backend()?,
            cache_type: self.cache_type,
            threads: self.threads,
            widest,
            long_prompt: counted(self.n_prompt),
            deep_prompt: counted(self.depth.iter().copied().max().unwrap_or(0)),
            prompt: text.unwrap_or_else(|| counted(PROMPT)),
            ids: self.n_gen,
            sequences: self.parallel.iter().copied().max().unwrap_or(1),
        };
        ensure!(!self.parallel.contains(&0), "0 sequences are too few");
        ensure!(
            !self.depth.contains(&0),
            "a depth of 0 has no token to decode from"
        );
        ensure!(!setup.prompt.is_empty(), "the prompt has no ids");
        let mut table = self.measure(&setup, model.gguf().file_bytes())?;
        // In the minutes in which the engines were measured the machine may have been slower.
        let mut ceilings = hwbench::measure(|_, _| ())?;
        ceilings.merge(&before);
        table.set_bounds(|work| self.bound(work, &fused, &ceilings));
        let mut out = io::stdout().lock();
        match self.json {
            true => serde_json::to_writer_pretty(&mut out, &table)?,
            false => write!(out, "{table}")?,
        }
        Ok(writeln!(out)?)
    }

    fn works(&self) -> Vec<Work> {
        let prefill = (self.n_prompt > 0).then_some(Work::Prefill(self.n_prompt));
        let ids = self.n_gen;
        let generate = |&n_max: &usize| Work::Generate { n_max, ids };
        let deep = |&depth: &usize| Work::Deep { depth, ids };
        let together = |&sequences: &usize| Work::Together { sequences, ids };
        prefill
            .into_iter()
            .chain(self.draft_max.iter().map(generate))
            .chain(self.depth.iter().map(deep))
            .chain(self.parallel.iter().map(together))
            .collect()
    }

    /// Tokens a second of which the machine is capable at this work.
    fn bound(&self, work: Work, module: &Module, ceilings: &Ceilings) -> Option<f64> {
        let mut question = Question {
            threads: self.threads,
            context: PROMPT,
            prefill: 1,
            acceptance: 0.0,
            n_max: 0,
            link: Link::default(),
        };
        match work {
            Work::Prefill(count) => {
                (question.context, question.prefill) = (0, count.min(PIECE));
                Some(forecast(module, ceilings, &question)?.prefill)
            }
            Work::Generate { n_max: 0, .. } => Some(forecast(module, ceilings, &question)?.decode),
            Work::Deep { depth, .. } => {
                question.context = depth;
                Some(forecast(module, ceilings, &question)?.decode)
            }
            // Of drafting it depends on what holds, of several on where each is.
            Work::Generate { .. } | Work::Together { .. } => None,
        }
    }

    fn measure(&self, setup: &Setup, file_bytes: u64) -> Result<Table> {
        let works = self.works();
        let mut table = Table::new(&self.model, self.threads, &works);
        let count = self.repetitions * works.len() * Kind::ALL.len();
        let bar = ProgressBar::new(count as u64).with_style(ProgressStyle::with_template(
            "{msg:44} {bar:30} {pos}/{len}, {eta} left",
        )?);
        let mut one = |engine: &mut dyn Engine, kind: Kind, work: Work| -> Result<()> {
            bar.set_message(format!("{}: {work}", kind.name()));
            std::thread::sleep(REST);
            let sample: Sample = engine.measure(work)?;
            table.add(kind, work, sample);
            bar.inc(1);
            Ok(())
        };
        let reload = self.reload || !fits(COPIES * file_bytes);
        if reload {
            for turn in 0..self.repetitions {
                for kind in Kind::in_turn(turn) {
                    bar.set_message(format!("{}: loading", kind.name()));
                    let mut engine = setup.load(kind)?;
                    for &work in &works {
                        one(&mut *engine, kind, work)?;
                    }
                }
            }
        } else {
            let engines = Kind::ALL.into_iter().map(|kind| setup.load(kind));
            let mut engines = engines.collect::<Result<Vec<_>>>()?;
            for turn in 0..self.repetitions {
                for &work in &works {
                    for kind in Kind::in_turn(turn) {
                        one(&mut *engines[kind as usize], kind, work)?;
                    }
                }
            }
        }
        bar.finish_and_clear();
        table.reloaded = reload;
        Ok(table)
    }
}

/// Whether so many bytes are free, as far as the system tells.
fn fits(bytes: u64) -> bool {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = told.lines().find_map(|l| l.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|l| l.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.is_some_and(|free| free << 10 >= bytes)
}

fn at_least_two(text: &str) -> Result<usize> {
    let n = text.parse()?;
    ensure!(
        n > 1,
        "the first id comes with the prompt: ask for two or more"
    );
    Ok(n)
}
