//! What runs in the next step: those who wait for text first, pieces of prompts beside them.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::keeper::{Keeper, Returned};
use super::pace::{Pace, default_limit};
use super::progress::Progress;
use super::prompts::PromptStats;
use super::run_times::{RunTimer, SharedTimes};
use super::running::{Closing, Running, Start, Waiting};
use super::sequence::Work;
use super::step::{Item, step};
use super::{GenerateError, StopReason};

/// Tokens of prompts that a step takes at least: who waits for a prompt must not wait for ever.
const LEAST_PROMPT: usize = 8;
/// The same before anything was measured.
const FIRST_PROMPT: usize = 32;

/// What an engine has done so far, and does.
#[derive(Clone, Default, PartialEq, Debug, Serialize)]
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
    /// The same for each place of a draft, the first one first.
    pub draft_places: Vec<DraftPlace>,
    /// Seconds of all steps.
    pub step_seconds: f64,
    /// Those of them that were neither runs nor choosing.
    pub own_seconds: f64,
    /// Tokens of all runs of the trunk.
    pub run_tokens: u64,
    /// Tokens of the trunk's last run.
    pub last_width: usize,
    /// What remembering prompts has brought.
    pub prompts: PromptStats,
}

/// What became of the drafts of one place: first tokens of drafts, second ones, and so on.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub struct DraftPlace {
    /// Drafts that were long enough to have this place.
    pub drafted: u64,
    /// Those of them of which all places before held, so that this one was decided on.
    pub tried: u64,
    /// Those of them of which it held.
    pub accepted: u64,
}

pub(super) struct Scheduler {
    start: Start,
    keeper: Option<Keeper>,
    pace: Pace,
    timer: RunTimer,
    running: Vec<Running>,
    /// Those that the keeper has.
    away: Vec<Away>,
    stats: EngineStats,
}

/// What was promised to a request that the keeper has.
struct Away {
    slot: usize,
    bytes: u128,
}

impl Scheduler {
    /// With a keeper requests go on from what is remembered.
    pub(super) fn new(start: Start, keeper: Option<Keeper>, times: SharedTimes) -> Scheduler {
        Scheduler {
            timer: RunTimer::new(start.options.time_runs, times),
            start,
            keeper,
            pace: Pace::default(),
            running: Vec::new(),
            away: Vec::new(),
            stats: EngineStats::default(),
        }
    }

    /// Whether there is nothing to do, and nothing to wait for.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.away.is_empty()
    }

    /// Whether a step would do anything.
    pub(super) fn can_step(&self) -> bool {
        !self.running.is_empty()
    }

    /// Whether a request can be taken up now. One that came after an answer's end waits until that
    /// is remembered: it may be the next turn.
    pub(super) fn has_room(&self, waiting: &Waiting, budget: u128) -> bool {
        let running = self.running.len() + self.away.len();
        let taken = self.promised() + waiting.bytes;
        let kept = !self.running.iter().any(|r| r.ended_before(waiting));
        running < self.start.options.parallel && taken <= budget && kept
    }

    /// Bytes of all that have been taken up.
    fn promised(&self) -> u128 {
        let away = self.away.iter().map(|a| a.bytes);
        self.running.iter().map(|r| r.bytes).chain(away).sum()
    }

    /// Takes a request up.
    pub(super) fn admit(&mut self, mut waiting: Waiting) {
        waiting.slot = self.free_slot();
        match &self.keeper {
            Some(keeper) if waiting.request.remember => {
                self.away.push(Away {
                    slot: waiting.slot,
                    bytes: waiting.bytes,
                });
                keeper.begin(waiting);
            }
            _ => match waiting.begin(&self.start, None) {
                Some(running) => self.begin(running),
                None => self.stats.ended += 1,
            },
        }
    }

    /// The first place that nobody has who runs.
    fn free_slot(&self) -> usize {
        let running = self.running.iter().map(|r| r.slot);
        let taken: Vec<usize> = running.chain(self.away.iter().map(|a| a.slot)).collect();
        let free = (0..).find(|slot| !taken.contains(slot));
        free.unwrap_or_default()
    }

    fn begin(&mut self, mut running: Running) {
        // It may have its first token, or its end, already.
        running.hear(None);
        self.running.push(running);
        self.sweep();
    }

    /// Takes in what the keeper gives back.
    pub(super) fn take_back(&mut self, returned: Returned) {
        let slot = match &returned {
            Returned::Ready(running) => running.slot,
            Returned::Gone { slot } => *slot,
        };
        self.away.retain(|away| away.slot != slot);
        match returned {
            Returned::Ready(running) => self.begin(*running),
            Returned::Gone { .. } => self.stats.ended += 1,
        }
    }

    /// Ends all that run.
    pub(super) fn end_all(&mut self, reason: StopReason) {
        let running = self.running.iter_mut().filter(|r| !r.is_closing());
        running.for_each(|r| r.end(reason));
        self.stats.ended += self.running.len() as u64;
        self.running.clear();
    }

    /// Ends all that run, and waits for the keeper.
    pub(super) fn shut_down(&mut self) {
        self.end_all(StopReason::Cancelled);
        if let Some(keeper) = self.keeper.take() {
            keeper.hurry();
        }
    }

    /// Takes everybody one step on.
    pub(super) fn step(&mut self) {
        let clock = Instant::now();
        for running in &mut self.running {
            if let Some(reason) = running.over().filter(|_| !running.is_closing()) {
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
        let executor = &self.start.executor;
        let run = || step(executor, &mut items);
        let measured = self.timer.time(executor, &works, run);
        drop(items);
        self.pace.learn(&measured);
        self.stats.steps += 1;
        self.stats.last_width = measured.trunk.map_or(0, |(tokens, _)| tokens);
        self.stats.run_tokens += self.stats.last_width as u64;
        for (running, work) in self.running.iter_mut().zip(&works) {
            if let Some(Work::Prompt(tokens)) = work {
                self.stats.prompt_tokens += *tokens as u64;
            }
            if let Some(Work::Round(_)) = work
                && let Some(round) = running.sequence.rounds.last()
            {
                self.stats.count_drafts(round.draft.len(), round.accepted);
            }
            self.stats.generated_tokens += running.sequence.ready.len() as u64;
            running.hear(*work);
        }
        self.sweep();
        let whole = clock.elapsed();
        self.stats.step_seconds += whole.as_secs_f64();
        self.stats.own_seconds += (whole.saturating_sub(measured.busy())).as_secs_f64();
    }

    /// Lets go of those that have ended, and has those remembered that stand where it pays.
    fn sweep(&mut self) {
        let mut i = 0;
        while i < self.running.len() {
            let running = &mut self.running[i];
            let closing = match running.is_closing() {
                true => running.closing(),
                false if running.is_at_mark() => Closing::Keeping,
                false => Closing::Step,
            };
            match (closing, &self.keeper) {
                (Closing::Step, _) => i += 1,
                (Closing::Keeping, Some(keeper)) => {
                    let running = self.running.remove(i);
                    self.away.push(Away {
                        slot: running.slot,
                        bytes: running.bytes,
                    });
                    keeper.keep(running);
                }
                _ => {
                    let ended = self.running.remove(i);
                    // Giving memory back takes the system a while, and nobody need wait for it.
                    rayon::spawn(move || drop(ended));
                    self.stats.ended += 1;
                }
            }
        }
    }

    /// What each of those that run does in the next step.
    fn plan(&mut self) -> Vec<Option<Work>> {
        let mut works: Vec<Option<Work>> = vec![None; self.running.len()];
        let (mut rounds, mut prompts, mut tokens) = (Vec::new(), Vec::new(), 0);
        for (i, running) in self.running.iter().enumerate() {
            if running.is_closing() {
                works[i] = Some(Work::Close);
                tokens += 1;
            } else if running.sequence.prompt_left() > 0 {
                prompts.push(i);
            } else {
                rounds.push(i);
            }
        }
        let executable = self.start.executor.executable();
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
        let limit = self.start.options.max_step;
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
        EngineStats {
            running: self.running.iter().filter(|r| !r.is_closing()).count() + self.away.len(),
            sequence_bytes: self.promised() as u64,
            prompts: self.keeper.as_ref().map(Keeper::stats).unwrap_or_default(),
            ..self.stats.clone()
        }
    }

    /// How far those that run have come.
    pub(super) fn progress(&self) -> impl Iterator<Item = Progress> {
        let open = self.running.iter().filter(|r| !r.is_closing());
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

impl EngineStats {
    /// Counts a draft of so many tokens, of which the first ones held.
    fn count_drafts(&mut self, drafted: usize, accepted: usize) {
        self.drafted_tokens += drafted as u64;
        self.accepted_tokens += accepted as u64;
        let places = self.draft_places.len().max(drafted);
        self.draft_places.resize(places, DraftPlace::default());
        for (i, place) in self.draft_places[..drafted].iter_mut().enumerate() {
            place.drafted += 1;
            place.tried += u64::from(i <= accepted);
            place.accepted += u64::from(i < accepted);
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
