//! The engines: this project's, and llama.cpp with weights repacked or as they are in the file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::token::LlamaToken;
use serde::Serialize;
use sharpi_compile::engine::{EngineOptions, Event, Request};
use sharpi_compile::generate::{
    DraftOptions, GenerateOptions, Generator, MtpDrafter, Sampler, SamplerOptions,
};
use sharpi_compile::ir::DType;
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::{CompileOptions, Executable, Model, Session, SessionOptions};

use super::table::Sample;
use super::{PIECE, Work};
use crate::generate::{Limits, one_by_one, with_drafts};
use crate::llama::{Llama, Shape};

/// Ids of the run that brings the weights into memory.
const WARM_UP: usize = 32;
/// Least positions of a context.
const CONTEXT: usize = 512;

/// Which engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Kind {
    /// This project.
    #[serde(rename = "sharpi-compile")]
    Ours,
    /// llama.cpp as it comes.
    #[serde(rename = "llama.cpp")]
    Repacked,
    /// llama.cpp with `--no-repack`.
    #[serde(rename = "llama.cpp --no-repack")]
    Unrepacked,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Ours, Kind::Repacked, Kind::Unrepacked];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Ours => "sharpi-compile",
            Kind::Repacked => "llama.cpp",
            Kind::Unrepacked => "llama.cpp --no-repack",
        }
    }

    /// All of them, each turn another one first.
    pub fn in_turn(turn: usize) -> impl Iterator<Item = Kind> {
        let all = Kind::ALL.len();
        (0..all).map(move |i| Kind::ALL[(turn + i) % all])
    }
}

/// What all engines are given.
pub struct Setup {
    pub path: PathBuf,
    pub backend: &'static LlamaBackend,
    pub cache_type: DType,
    pub threads: usize,
    /// Most ids drafted in a round.
    pub widest: usize,
    /// For prefill.
    pub long_prompt: Vec<u32>,
    /// Before what is generated in the depths.
    pub deep_prompt: Vec<u32>,
    /// Before what is generated otherwise.
    pub prompt: Vec<u32>,
    /// Ids to generate.
    pub ids: usize,
    /// Most sequences at a time.
    pub sequences: usize,
}

/// Does work and takes the time.
pub trait Engine {
    fn measure(&mut self, work: Work) -> Result<Sample>;
}

impl Setup {
    /// An engine with its weights in memory.
    pub fn load(&self, kind: Kind) -> Result<Box<dyn Engine + '_>> {
        let mut engine: Box<dyn Engine> = match kind {
            Kind::Ours => Box::new(Ours::load(self)?),
            Kind::Repacked => Box::new(Theirs::load(self, true)?),
            Kind::Unrepacked => Box::new(Theirs::load(self, false)?),
        };
        if !self.long_prompt.is_empty() {
            engine.measure(Work::Prefill(WARM_UP.min(self.long_prompt.len())))?;
        }
        engine.measure(Work::Generate {
            n_max: self.widest,
            ids: 2,
        })?;
        Ok(engine)
    }

    /// Prompts of sequences that decode together, no two the same.
    fn prompts(&self, sequences: usize) -> impl Iterator<Item = Vec<u32>> {
        let all = self.prompt.iter().copied().cycle();
        (0..sequences).map(move |i| all.clone().skip(i).take(self.prompt.len()).collect())
    }

    fn positions(&self) -> usize {
        let generated = self.prompt.len() + self.ids + self.widest + 1;
        let deep = self.deep_prompt.len() + self.ids + 1;
        let long = self.long_prompt.len() + 1;
        generated.max(deep).max(long).max(CONTEXT)
    }
}

/// This project.
struct Ours<'s> {
    setup: &'s Setup,
    executable: Arc<Executable>,
    end_of_text: Vec<u32>,
}

impl Ours<'_> {
    fn load(setup: &Setup) -> Result<Ours<'_>> {
        let model = Model::open(&setup.path)?;
        let options = CompileOptions::default().lower(
            LowerOptions::default()
                .cache_k(setup.cache_type)
                .cache_v(setup.cache_type)
                .max_rows(setup.sequences.max(setup.widest + 1)),
        );
        Ok(Ours {
            setup,
            executable: Arc::new(model.compile(&options)?),
            end_of_text: model.tokenizer()?.end_of_text_ids().to_vec(),
        })
    }

    fn generator(&self, prompt: &[u32], n_max: usize, ids: usize) -> Result<Generator> {
        let options = SessionOptions::default()
            .context(self.setup.positions())
            .threads(self.setup.threads)
            .rollback(if n_max > 0 { n_max + 1 } else { 0 });
        let session = Session::new(self.executable.clone(), &options)?;
        let sampler = Sampler::new(SamplerOptions::default());
        let options = GenerateOptions::default()
            .max_tokens(Some(ids))
            .end_of_text(self.end_of_text.clone())
            .ignore_eos(true);
        Ok(match n_max {
            0 => Generator::new(session, sampler, prompt, options)?,
            n_max => {
                let draft = DraftOptions::default().n_max(n_max);
                let drafter = MtpDrafter::new(&session, draft)?;
                Generator::with_drafting(session, sampler, drafter, prompt, options)?
            }
        })
    }
}

impl Ours<'_> {
    /// Several sequences through the engine.
    fn together(&self, sequences: usize, ids: usize) -> Result<Sample> {
        let options = EngineOptions::default()
            .threads(self.setup.threads)
            .parallel(sequences)
            .context(self.setup.positions());
        let engine = sharpi_compile::engine::Engine::start(self.executable.clone(), None, options)?;
        let submit = |prompt| {
            let options = GenerateOptions::default()
                .max_tokens(Some(ids))
                .end_of_text(self.end_of_text.clone())
                .ignore_eos(true);
            engine.submit(Request::default().prompt(prompt).options(options))
        };
        let answers: Result<Vec<_>, _> = self.setup.prompts(sequences).map(submit).collect();
        let (mut found, mut seconds) = (Vec::new(), 0.0f64);
        for event in answers?.into_iter().flatten() {
            match event {
                Event::Token { token, .. } => found.push(token.id),
                Event::End(end) => {
                    ensure!(end.error.is_none(), "{:?}", end.error);
                    seconds = seconds.max(end.stats.generate_time.as_secs_f64());
                }
                _ => {}
            }
        }
        Ok(together(sequences, ids, found, seconds))
    }
}

impl Engine for Ours<'_> {
    fn measure(&mut self, work: Work) -> Result<Sample> {
        match work {
            Work::Prefill(count) => {
                let mut generator = self.generator(&self.setup.long_prompt[..count], 0, 1)?;
                let start = Instant::now();
                generator.prefill(|_| ())?;
                Ok(Sample::prefill(count, start.elapsed()))
            }
            Work::Generate { .. } | Work::Deep { .. } => {
                let (prompt, n_max, ids) = match work {
                    Work::Deep { depth, ids } => (&self.setup.deep_prompt[..depth], 0, ids),
                    Work::Generate { n_max, ids } => (&self.setup.prompt[..], n_max, ids),
                    _ => unreachable!("matched above"),
                };
                let mut generator = self.generator(prompt, n_max, ids)?;
                generator.prefill(|_| ())?;
                let start = Instant::now();
                let found: Result<Vec<_>, _> = generator.by_ref().collect();
                let time = start.elapsed();
                let found = found?.iter().map(|token| token.id).collect();
                let rounds = generator.rounds().iter();
                let rounds = rounds.map(|round| (round.draft.len(), round.accepted));
                sample(n_max, ids, found, rounds, time)
            }
            Work::Together { sequences, ids } => self.together(sequences, ids),
        }
    }
}

/// llama.cpp.
struct Theirs<'s> {
    setup: &'s Setup,
    llama: Llama,
    end_of_text: Vec<u32>,
}

impl Theirs<'_> {
    fn load(setup: &Setup, repack: bool) -> Result<Theirs<'_>> {
        let llama = Llama::load(setup.backend, &setup.path, repack)?;
        Ok(Theirs {
            setup,
            end_of_text: llama.end_of_text(),
            llama,
        })
    }
}

impl Engine for Theirs<'_> {
    fn measure(&mut self, work: Work) -> Result<Sample> {
        let (llama, setup) = (&self.llama, self.setup);
        let shape = Shape {
            positions: setup.positions(),
            cache_type: setup.cache_type,
            threads: setup.threads,
            sequences: 1,
            watched: false,
        };
        let limits = |max_tokens| Limits {
            max_tokens,
            end_of_text: self.end_of_text.clone(),
            ignore_eos: true,
        };
        match work {
            Work::Prefill(count) => {
                let prompt = tokens(&setup.long_prompt[..count]);
                let found = one_by_one(llama, shape, &prompt, count, &limits(1))?;
                Ok(Sample::prefill(count, found.prompt_time))
            }
            Work::Generate { n_max: 0, ids } => {
                let prompt = tokens(&setup.prompt);
                let found = one_by_one(llama, shape, &prompt, prompt.len(), &limits(ids))?;
                sample(0, ids, found.ids, [], found.time)
            }
            Work::Deep { depth, ids } => {
                let prompt = tokens(&setup.deep_prompt[..depth]);
                let found = one_by_one(llama, shape, &prompt, PIECE, &limits(ids))?;
                sample(0, ids, found.ids, [], found.time)
            }
            Work::Generate { n_max, ids } => {
                let prompt = tokens(&setup.prompt);
                let whole = (&prompt[..], prompt.len());
                let found = with_drafts(llama, shape, whole, n_max, &limits(ids))?;
                let rounds = found.rounds.iter();
                let rounds = rounds.map(|round| (round.draft.len(), round.accepted));
                sample(n_max, ids, found.ids, rounds, found.time)
            }
            Work::Together { sequences, ids } => {
                let prompts: Vec<_> = setup.prompts(sequences).map(|ids| tokens(&ids)).collect();
                let shape = Shape {
                    positions: sequences * setup.positions(),
                    sequences,
                    ..shape
                };
                let found = crate::generate::together(llama, shape, &prompts, &limits(ids))?;
                let seconds = found[0].time.as_secs_f64();
                let found = found.into_iter().flat_map(|one| one.ids).collect();
                Ok(together(sequences, ids, found, seconds))
            }
        }
    }
}

/// A sample of sequences that decoded together; the first id of each came with its prompt.
fn together(sequences: usize, ids: usize, found: Vec<u32>, seconds: f64) -> Sample {
    Sample {
        tokens: sequences * (ids - 1),
        seconds,
        ids: found,
        ..Sample::prefill(0, Duration::ZERO)
    }
}

fn tokens(ids: &[u32]) -> Vec<LlamaToken> {
    ids.iter().map(|&id| LlamaToken(id as i32)).collect()
}

/// A sample of generation from what each round drafted and accepted.
fn sample(
    n_max: usize,
    wanted: usize,
    ids: Vec<u32>,
    rounds: impl IntoIterator<Item = (usize, usize)>,
    time: Duration,
) -> Result<Sample> {
    ensure!(ids.len() == wanted, "{} of {wanted} ids came", ids.len());
    let rounds: Vec<(usize, usize)> = rounds.into_iter().collect();
    Ok(Sample {
        // Without drafts the prompt's own run gives the first.
        tokens: if n_max == 0 { wanted - 1 } else { wanted },
        seconds: time.as_secs_f64(),
        drafted: rounds.iter().map(|(drafted, _)| drafted).sum(),
        accepted: rounds.iter().map(|(_, accepted)| accepted).sum(),
        ids,
    })
}
