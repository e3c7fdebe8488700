//! One test: so many tokens of a prompt, so many of a text, behind so many others.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sharpi_compile::generate::{
    DraftOptions, GenerateError, GenerateOptions, Generator, MtpDrafter, Round, Sampler,
    SamplerOptions,
};
use sharpi_compile::{Executable, Session, SessionOptions};

use super::super::failure::Failure;
use super::super::progress::Progress;
use super::super::spec::AUTO;
use super::numbers::{self, Numbers};
use super::parallel::Together;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Test {
    /// Tokens before the clock starts.
    pub(super) depth: usize,
    /// Tokens of a prompt, fed in wide runs.
    pub(super) prompt: usize,
    /// Tokens generated one after another, or drafted and verified. Each is the model's own best
    /// one: drafts of other tokens would never be accepted.
    pub(super) generate: usize,
    pub(super) drafting: Drafting,
    /// Sequences at once, through the engine; `None` for one without it.
    pub(super) parallel: Option<usize>,
}

/// How far to draft.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Drafting {
    /// Most tokens in a draft.
    pub(super) n_max: usize,
    /// Whether the length of each is chosen, up to that.
    pub(super) adaptive: bool,
}

impl Drafting {
    pub(super) const NONE: Drafting = Drafting {
        n_max: 0,
        adaptive: false,
    };
}

/// Reads numbers, ranges and `auto` with commas between.
pub(super) fn parse_drafting(text: &str) -> Result<Vec<Drafting>, String> {
    let mut found = Vec::new();
    for part in text.split(',') {
        if part.trim() == "auto" {
            found.push(Drafting {
                n_max: AUTO.into(),
                adaptive: true,
            });
            continue;
        }
        let Numbers(numbers) = numbers::parse(part)?;
        found.extend(numbers.into_iter().map(|n_max| Drafting {
            n_max,
            ..Drafting::NONE
        }));
    }
    Ok(found)
}

/// How a test is run.
pub(super) struct Bench<'a> {
    pub(super) executable: &'a Arc<Executable>,
    pub(super) threads: usize,
    /// Tokens of the prompt, over and over.
    pub(super) ids: &'a [u32],
    pub(super) repetitions: usize,
    pub(super) warmup: bool,
    pub(super) cancel: &'a Arc<AtomicBool>,
}

/// What came of a test.
#[derive(Default)]
pub(super) struct Measured {
    /// Time of each repetition that went through.
    pub(super) times: Vec<Duration>,
    /// Rounds of drafting of the last repetition; the same in all, unless lengths are chosen.
    pub(super) rounds: Vec<Round>,
    /// Of several sequences at once.
    pub(super) together: Option<Together>,
}

impl Test {
    /// Tokens that the clock sees.
    pub(super) fn tokens(&self) -> usize {
        match self.parallel {
            None => self.prompt + self.generate,
            Some(parallel) => parallel * self.generate,
        }
    }

    /// Rows of logits of a run.
    pub(super) fn rows(&self) -> usize {
        self.parallel.unwrap_or(1) * (1 + self.drafting.n_max)
    }

    pub(super) fn drafts(&self) -> bool {
        self.drafting.n_max > 0
    }

    /// Positions that a session needs for it.
    pub(super) fn context(&self) -> usize {
        self.depth + self.prompt + self.generate + 1
    }
}

/// As llama-bench names tests.
impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.prompt, self.generate) {
            (prompt, 0) => write!(f, "pp{prompt}")?,
            (0, generate) => write!(f, "tg{generate}")?,
            (prompt, generate) => write!(f, "pp{prompt}+tg{generate}")?,
        }
        if self.depth > 0 {
            write!(f, " @ d{}", self.depth)?;
        }
        match self.parallel {
            None => Ok(()),
            Some(parallel) => write!(f, " × {parallel}"),
        }
    }
}

impl Bench<'_> {
    /// Repeats the test, after a first run that does not count.
    pub(super) fn run(&self, test: &Test, progress: &Progress) -> Result<Measured, Failure> {
        if let Some(parallel) = test.parallel {
            return self.run_together(test, parallel, progress);
        }
        let options = SessionOptions::default()
            .context(test.context())
            .threads(self.threads)
            .rollback(if test.drafts() {
                test.drafting.n_max + 1
            } else {
                0
            });
        let mut session = Session::new(self.executable.clone(), &options)?;
        if self.warmup {
            let short = Test {
                depth: 0,
                generate: test.generate.min(1 + test.drafting.n_max),
                ..*test
            };
            progress.says(format!("{test}: warming up"));
            (session, _, _) = self.once(session, &short)?;
        }
        let mut measured = Measured::default();
        for i in 1..=self.repetitions {
            progress.says(format!("{test}: {i} of {}", self.repetitions));
            let (time, rounds);
            (session, time, rounds) = self.once(session, test)?;
            if self.cancelled() {
                break;
            }
            measured.times.push(time);
            measured.rounds = rounds;
            progress.step();
        }
        Ok(measured)
    }

    pub(super) fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    /// One repetition. The time means nothing if it was cancelled.
    fn once(
        &self,
        mut session: Session,
        test: &Test,
    ) -> Result<(Session, Duration, Vec<Round>), GenerateError> {
        session.reset();
        // A token of its own starts the text, so that each generated token takes one run.
        let start = usize::from(test.generate > 0);
        let prompt = self.ids.iter().cycle();
        let prompt = prompt.take(test.depth + test.prompt + start);
        let prompt: Vec<u32> = prompt.copied().collect();
        let mut generator = self.generator(session, test, &prompt)?;
        generator.prefill_to(test.depth, |_| ())?;
        let clock = Instant::now();
        generator.prefill_to(test.depth + test.prompt, |_| ())?;
        for token in &mut generator {
            token?;
        }
        let time = clock.elapsed();
        let rounds = generator.rounds().to_vec();
        Ok((generator.into_session(), time, rounds))
    }

    fn generator(
        &self,
        session: Session,
        test: &Test,
        prompt: &[u32],
    ) -> Result<Generator, GenerateError> {
        let sampler = Sampler::new(SamplerOptions::default());
        let options = GenerateOptions::default()
            .max_tokens(Some(test.generate))
            // No token ends a text here.
            .end_of_text(Vec::new())
            .batch(usize::MAX)
            .cancel(self.cancel.clone());
        if test.drafting.n_max == 0 {
            return Generator::new(session, sampler, prompt, options);
        }
        let draft = DraftOptions::default()
            .n_max(test.drafting.n_max)
            .adaptive(test.drafting.adaptive);
        let drafter = MtpDrafter::new(&session, draft)?;
        Generator::with_drafting(session, sampler, drafter, prompt, options)
    }
}
