//! What runs in the next step: those who wait for text first, pieces of prompts beside them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::pace::{Pace, default_limit};
use super::progress::Progress;
use super::prompts::{PromptStats, Prompts};
use super::running::{Running, Waiting};
use super::sequence::Work;
use super::step::{Item, step};
use super::{EngineOptions, GenerateError, StopReason};
use crate::exec::Executor;
use crate::tokenizer::Tokenizer;

/// Tokens of prompts that a step takes at least: who waits for a prompt must not wait for ever.
const LEAST_PROMPT: usize = 8;
/// The same before anything was measured.
const FIRST_PROMPT: usize = 32;

/// What an engine has done so far, and does.
#[derive(Clone, Copy, Default, PartialEq, Debug, Serialize)]
#[non_exhaustive]
pub struct EngineStats {
    /// Requests that run.
    pub running: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// Requests that have ended.
    pub ended: u64,
    /// Bytes of states and caches that are promised to those that run.
    pub sequence_bytes: u64,
    /// Steps.
    pub steps: u64,
    /// Tokens of prompts that were read.
    pub prompt_tokens: u64,
    /// Tokens generated.
    pub generated_tokens: u64,
    /// Tokens drafted.
    pub drafted_tokens: u64,
    /// Drafts that held.
    pub accepted_tokens: u64,
    /// Seconds of all steps.
    pub step_seconds: f64,
    /// Those of them that were neither runs nor choosing.
    pub own_seconds: f64,
    /// Tokens of the trunk's last run.
    pub last_width: usize,
    /// What remembering prompts has brought.
    pub prompts: PromptStats,
}

pub(super) struct Scheduler {
    executor: Arc<Executor>,
    tokenizer: Option<Arc<Tokenizer>>,
    options: EngineOptions,
    prompts: Option<Prompts>,
    pace: Pace,
    running: Vec<Running>,
    stats: EngineStats,
}

impl Scheduler {
    pub(super) fn new(
        executor: Arc<Executor>,
        tokenizer: Option<Arc<Tokenizer>>,
        options: EngineOptions,
        prompts: Option<Prompts>,
    ) -> Scheduler {
        Scheduler {
            executor,
            tokenizer,
            options,
            prompts,
            pace: Pace::default(),
            running: Vec::new(),
            stats: EngineStats::default(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether a request that takes so many bytes can be taken up now.
    pub(super) fn has_room(&self, bytes: u128, budget: u128) -> bool {
        let taken: u128 = self.running.iter().map(|r| r.bytes).sum();
        self.running.len() < self.options.parallel && taken + bytes <= budget
    }

    /// Takes a request up.
    pub(super) fn admit(&mut self, waiting: Waiting) {
        let (tokenizer, prompts) = (self.tokenizer.as_ref(), self.prompts.as_mut());
        let taken = |slot: &usize| self.running.iter().any(|r| r.slot == *slot);
        let slot = (0..).find(|slot| !taken(slot)).unwrap_or_default();
        let begun = waiting.begin(&self.executor, tokenizer, prompts, &self.options, slot);
        match begun {
            Some(mut running) => {
                // It may have its first token, or its end, already.
                running.hear(None, None);
                self.running.push(running);
                self.sweep();
            }
            None => self.stats.ended += 1,
        }
    }

    /// Ends all that run.
    pub(super) fn end_all(&mut self, reason: StopReason) {
        let running = self.running.iter_mut().filter(|r| !r.closing);
        running.for_each(|r| r.end(reason));
        self.stats.ended += self.running.len() as u64;
        self.running.clear();
    }

    /// Takes everybody one step on.
    pub(super) fn step(&mut self) {
        let clock = Instant::now();
        for running in &mut self.running {
            if let Some(reason) = running.over().filter(|_| !running.closing) {
                running.end(reason);
            }
        }
        self.sweep();
        let works = self.plan();
        let mut items = Vec::with_capacity(works.len());
        for (running, work) in self.running.iter_mut().zip(&works) {
            let sequence = &mut running.sequence;
            items.extend(work.map(|work| Item { sequence, work }));
        }
        if items.is_empty() {
            return;
        }
        let measured = step(&self.executor, &mut items);
        drop(items);
        self.pace.learn(&measured);
        self.stats.steps += 1;
        self.stats.last_width = measured.trunk.map_or(0, |(tokens, _)| tokens);
        for (running, work) in self.running.iter_mut().zip(&works) {
            if let Some(Work::Prompt(tokens)) = work {
                self.stats.prompt_tokens += *tokens as u64;
            }
            if let Some(Work::Round(_)) = work
                && let Some(round) = running.sequence.rounds.last()
            {
                self.stats.drafted_tokens += round.draft.len() as u64;
                self.stats.accepted_tokens += round.accepted as u64;
            }
            self.stats.generated_tokens += running.sequence.ready.len() as u64;
            running.hear(*work, self.prompts.as_mut());
        }
        self.sweep();
        let whole = clock.elapsed();
        self.stats.step_seconds += whole.as_secs_f64();
        self.stats.own_seconds += (whole.saturating_sub(measured.busy())).as_secs_f64();
    }

    /// Lets go of those that have ended, once they are remembered.
    fn sweep(&mut self) {
        let (prompts, least) = (&mut self.prompts, self.options.checkpoint_min);
        let before = self.running.len();
        self.running
            .retain_mut(|r| !r.closing || r.close(prompts.as_mut(), least));
        self.stats.ended += (before - self.running.len()) as u64;
    }

    /// What each of those that run does in the next step.
    fn plan(&mut self) -> Vec<Option<Work>> {
        let mut works: Vec<Option<Work>> = vec![None; self.running.len()];
        let (mut rounds, mut prompts, mut tokens) = (Vec::new(), Vec::new(), 0);
        for (i, running) in self.running.iter().enumerate() {
            if running.closing {
                works[i] = Some(Work::Close);
                tokens += 1;
            } else if running.sequence.prompt_left() > 0 {
                prompts.push(i);
            } else {
                rounds.push(i);
            }
        }
        let executable = self.executor.executable();
        let most = executable.max_tokens();
        let rows = (executable.max_rows()).saturating_sub(prompts.len() + rounds.len());
        // Each prompt gets one token at least.
        let free = most.saturating_sub(tokens + rounds.len() + prompts.len());
        let sequences: Vec<_> = rounds.iter().map(|i| &self.running[*i].sequence).collect();
        let mut depths = self.pace.depths(&sequences, tokens);
        trim(&mut depths, rows.min(free));
        for (i, depth) in rounds.iter().zip(depths) {
            works[*i] = Some(Work::Round(depth));
            tokens += 1 + depth;
        }
        let left = most.saturating_sub(tokens);
        let room = match rounds.is_empty() {
            true => left,
            false => self.room(tokens, left),
        };
        self.share(&mut works, &prompts, room);
        works
    }

    /// Tokens of prompts beside others for which somebody waits.
    fn room(&self, tokens: usize, most: usize) -> usize {
        let trunk = &self.pace.trunk;
        if trunk.is_empty() {
            return FIRST_PROMPT.min(most);
        }
        let limit = self.options.max_step;
        let limit = limit.unwrap_or_else(|| default_limit(trunk, tokens));
        let room = trunk.room(tokens, limit.as_secs_f64(), most);
        room.max(LEAST_PROMPT).min(most)
    }

    /// Gives each prompt the same share, and what one does not need to the others.
    fn share(&self, works: &mut [Option<Work>], prompts: &[usize], mut room: usize) {
        let left = |i: &usize| self.running[*i].prompt_left();
        let mut prompts = prompts.to_vec();
        prompts.sort_by_key(left);
        let count = prompts.len();
        for (n, i) in prompts.into_iter().enumerate() {
            let piece = left(&i).min(room.div_ceil(count - n));
            room -= piece;
            works[i] = (piece > 0).then_some(Work::Prompt(piece));
        }
    }

    pub(super) fn stats(&self) -> EngineStats {
        let bytes: u128 = self.running.iter().map(|r| r.bytes).sum();
        EngineStats {
            running: self.running.iter().filter(|r| !r.closing).count(),
            sequence_bytes: bytes as u64,
            prompts: self
                .prompts
                .as_ref()
                .map(Prompts::stats)
                .unwrap_or_default(),
            ..self.stats
        }
    }

    /// How far those that run have come.
    pub(super) fn progress(&self) -> impl Iterator<Item = Progress> {
        let open = self.running.iter().filter(|r| !r.closing);
        open.map(Running::progress)
    }

    /// Ends what a panic may have left half done.
    pub(super) fn fail_all(&mut self) {
        let error = || GenerateError::Panicked("a step of the engine panicked".into());
        for running in &mut self.running {
            running.sequence.fail(error());
        }
        self.end_all(StopReason::Failed);
    }
}

/// Shortens the longest until all together have no more than `most`.
fn trim(depths: &mut [usize], most: usize) {
    while depths.iter().sum::<usize>() > most {
        if let Some(longest) = depths.iter_mut().max() {
            *longest -= 1;
        }
    }
}

impl super::step::Measured {
    /// Time of all runs and of choosing.
    fn busy(&self) -> Duration {
        let head: Duration = self.head.iter().map(|(_, time)| *time).sum();
        head + self.trunk.map_or(Duration::ZERO, |(_, time)| time) + self.choosing
    }
}
