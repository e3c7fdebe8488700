//! Where the time of runs goes: now and then the runs of a step are recorded, and added up.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::sequence::Work;
use crate::exec::{Executor, RecordedRun, StepTime};

/// What the recorded runs of a graph took, those that read prompts apart from those that did not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunTimes {
    /// The graph.
    pub graph: String,
    /// Whether a prompt was read in the step of the engine to which the runs belong.
    pub with_prompt: bool,
    /// How many runs were recorded.
    pub runs: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Nanoseconds from the start to the end of each run.
    pub nanoseconds: u64,
    /// What the steps of the graph's plan took, in their order. The times of all workers are added.
    pub steps: Vec<StepTime>,
}

/// What was recorded so far, by graph and kind.
pub(super) type SharedTimes = Arc<Mutex<Vec<RunTimes>>>;

/// Records a step of the engine now and then.
pub(super) struct RunTimer {
    /// The least time between two recorded steps; `None` records none.
    every: Option<Duration>,
    last: Option<Instant>,
    times: SharedTimes,
}

impl RunTimer {
    pub(super) fn new(every: Option<Duration>, times: SharedTimes) -> RunTimer {
        RunTimer {
            every,
            last: None,
            times,
        }
    }

    /// Does a step's work, and records its runs if it is time to.
    pub(super) fn time<R>(
        &mut self,
        executor: &Executor,
        works: &[Option<Work>],
        step: impl FnOnce() -> R,
    ) -> R {
        let due = |every| self.last.is_none_or(|last| last.elapsed() >= every);
        if !self.every.is_some_and(due) {
            return step();
        }
        self.last = Some(Instant::now());
        executor.sample();
        let done = step();
        let with_prompt = works.iter().any(|w| matches!(w, Some(Work::Prompt(_))));
        let mut times = self.times.lock().unwrap_or_else(|e| e.into_inner());
        for run in executor.sampled() {
            add(&mut times, &run, with_prompt);
        }
        done
    }
}

fn add(times: &mut Vec<RunTimes>, run: &RecordedRun, with_prompt: bool) {
    let same = |t: &RunTimes| t.graph == run.graph && t.with_prompt == with_prompt;
    let at = times.iter().position(same).unwrap_or_else(|| {
        times.push(RunTimes {
            graph: run.graph.clone(),
            with_prompt,
            runs: 0,
            tokens: 0,
            nanoseconds: 0,
            steps: Vec::new(),
        });
        times.len() - 1
    });
    let sum = &mut times[at];
    sum.runs += 1;
    sum.tokens += run.tokens as u64;
    sum.nanoseconds += run.end - run.start;
    let steps = run.step_times();
    if sum.steps.len() < steps.len() {
        sum.steps.resize_with(steps.len(), StepTime::default);
    }
    for (sum, step) in sum.steps.iter_mut().zip(&steps) {
        sum.add(step);
    }
}
