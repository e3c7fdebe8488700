//! A recording: when each worker ran which op, and how long it waited for the others.

use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use super::batch::JobInfo;
use super::ops::Run;
use super::region::{Probe, Workers};

/// One run of a graph. All times are nanoseconds since the recording began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordedRun {
    /// The graph.
    pub graph: String,
    /// Tokens of the first sequence before the run.
    pub position: usize,
    /// Sequences in the run.
    pub sequences: usize,
    /// Tokens of the run.
    pub tokens: usize,
    /// Rows of logits asked for.
    pub rows: usize,
    /// When it began.
    pub start: u64,
    /// When all workers were done.
    pub end: u64,
    /// What each worker did, in its order, without overlaps.
    pub workers: Vec<Vec<Span>>,
}

/// What a step of the plan took, in nanoseconds of all workers together.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct StepTime {
    /// Of each kernel of the step; those at the end that no worker came to may be missing.
    pub kernels: Vec<u64>,
    /// Of the waits at the barrier behind it.
    pub wait: u64,
}

impl RecordedRun {
    /// What each step took; steps at the end that no worker came to may be missing.
    pub fn step_times(&self) -> Vec<StepTime> {
        let mut steps: Vec<StepTime> = Vec::new();
        for span in self.workers.iter().flatten() {
            let step = at(&mut steps, span.step);
            let time = match span.work {
                Work::Chunks { kernel, .. } => at(&mut step.kernels, kernel),
                Work::Barrier => &mut step.wait,
            };
            *time += span.end - span.start;
        }
        steps
    }
}

impl StepTime {
    /// Adds what the same step took in another run.
    pub fn add(&mut self, other: &StepTime) {
        for (kernel, time) in other.kernels.iter().enumerate() {
            *at(&mut self.kernels, kernel) += time;
        }
        self.wait += other.wait;
    }
}

/// An element of a list that is as long as it has to be.
fn at<T: Default>(list: &mut Vec<T>, index: usize) -> &mut T {
    if index >= list.len() {
        list.resize_with(index + 1, T::default);
    }
    &mut list[index]
}

/// What a worker did for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The step of the plan.
    pub step: usize,
    /// What it did.
    pub work: Work,
    /// When it began.
    pub start: u64,
    /// When it was done.
    pub end: u64,
}

/// Work of a worker within a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// Chunks of one op, one after another.
    Chunks {
        /// The step's how many-th kernel ([`Executable::op`](crate::Executable::op)).
        kernel: usize,
        /// How many chunks.
        chunks: usize,
    },
    /// Waiting for the other workers behind the step.
    Barrier,
}

/// The runs of a session since someone asked to record them.
pub(super) struct Recording {
    began: Instant,
    runs: Vec<RecordedRun>,
}

impl Default for Recording {
    fn default() -> Recording {
        Recording {
            began: Instant::now(),
            runs: Vec::new(),
        }
    }
}

impl Recording {
    /// Makes a run and keeps what the workers did.
    pub(super) fn run(&mut self, workers: &Workers, job: &JobInfo<'_>, run: &Run<'_>) {
        let steps = &job.graph.steps;
        // A worker comes to each kernel once in each worker's range of a step, and waits once:
        // nothing grows meanwhile.
        let most = |step: &Vec<_>| step.len() * workers.threads() + 1;
        let most = steps.iter().map(most).sum();
        let logs = (0..workers.threads()).map(|_| Mutex::new(Vec::with_capacity(most)));
        let logs: Vec<Mutex<Vec<Span>>> = logs.collect();
        let start = since(self.began);
        workers.region(steps, run, |worker| {
            // No worker's log is anybody else's.
            Log::new(
                self.began,
                logs[worker].lock().unwrap_or_else(|e| e.into_inner()),
            )
        });
        let end = since(self.began);
        let spans = |log: Mutex<Vec<Span>>| log.into_inner().unwrap_or_else(|e| e.into_inner());
        self.runs.push(RecordedRun {
            graph: job.name.into(),
            position: job.position,
            sequences: run.segments.len(),
            tokens: run.tokens,
            rows: run.rows,
            start,
            end,
            workers: logs.into_iter().map(spans).collect(),
        });
    }

    pub(super) fn runs(self) -> Vec<RecordedRun> {
        self.runs
    }
}

fn since(began: Instant) -> u64 {
    began.elapsed().as_nanos() as u64
}

/// A worker's spans in the making: each begins where the one before ends.
struct Log<'a> {
    began: Instant,
    spans: MutexGuard<'a, Vec<Span>>,
    step: usize,
    start: u64,
    /// Kernel and number of the chunks since `start`.
    chunks: Option<(usize, usize)>,
}

impl<'a> Log<'a> {
    fn new(began: Instant, spans: MutexGuard<'a, Vec<Span>>) -> Log<'a> {
        Log {
            began,
            spans,
            step: 0,
            start: since(began),
            chunks: None,
        }
    }

    fn end(&mut self, work: Work) {
        let end = since(self.began);
        self.spans.push(Span {
            step: self.step,
            work,
            start: self.start,
            end,
        });
        self.start = end;
    }

    fn end_chunks(&mut self) {
        if let Some((kernel, chunks)) = self.chunks.take() {
            self.end(Work::Chunks { kernel, chunks });
        }
    }
}

impl Probe for Log<'_> {
    fn chunk(&mut self, kernel: usize) {
        match &mut self.chunks {
            Some((running, chunks)) if *running == kernel => *chunks += 1,
            _ => {
                self.end_chunks();
                self.chunks = Some((kernel, 1));
            }
        }
    }

    fn arrived(&mut self) {
        self.end_chunks();
    }

    fn passed(&mut self) {
        self.end(Work::Barrier);
        self.step += 1;
    }
}
