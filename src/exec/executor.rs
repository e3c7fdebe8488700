//! What runs graphs: an arena and the threads, which any number of sequences share.

use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, ThreadId};

use super::batch::{Batch, Job, JobInfo};
use super::error::RunError;
use super::executable::Executable;
use super::memory::{Arena, whole_lines};
use super::outputs::count;
use super::peers::Peers;
use super::poison::dead_after_each_step;
use super::recording::{RecordedRun, Recording};
use super::region::Workers;
use super::session::Session;
use super::state::allocate_one;
use crate::ranks::{Command, Remote};

sharpi_passes::option_struct! {
    /// How many threads an executor has.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct ExecutorOptions {
        /// Worker threads. The results do not depend on it.
        pub threads: usize = thread::available_parallelism().map_or(1, |n| n.get()),
        /// Whether worker threads, all but the caller's, stay on one processor each.
        pub pin: bool = false,
    }
}

/// Runs the graphs of a compiled model, one run at a time, for any number of sequences.
///
/// A [`Session`] is one sequence. A [`Batch`] runs several of them together: each gets the bits that
/// it would get alone.
pub struct Executor {
    executable: Arc<Executable>,
    workers: Workers,
    arena: Mutex<Arena>,
    /// The thread of the run that is going on.
    running: Mutex<Option<ThreadId>>,
    hooks: Mutex<Hooks>,
    peers: Option<Peers>,
    /// The executors of the ranks that this one leads.
    remote: Option<Remote>,
}

/// Who looks on at runs. A run takes them out and puts them back, unless others have come.
#[derive(Default)]
struct Hooks {
    watcher: Hook<Watcher>,
    recording: Hook<Recording>,
    /// The engine's own look at a run, unless somebody records.
    sample: Hook<Recording>,
    /// Whether dead bytes are overwritten after each step.
    poisoned: bool,
}

enum Hook<T> {
    Set(Option<T>),
    /// A run has it.
    Taken,
}

impl<T> Default for Hook<T> {
    fn default() -> Hook<T> {
        Hook::Set(None)
    }
}

impl<T> Hook<T> {
    fn take(&mut self) -> Option<T> {
        match std::mem::replace(self, Hook::Taken) {
            Hook::Set(hook) => hook,
            Hook::Taken => None,
        }
    }

    fn put_back(&mut self, hook: Option<T>) {
        if let Hook::Taken = self {
            *self = Hook::Set(hook);
        }
    }
}

/// Sees a named value: its graph, its name, its dimensions slowest first, its elements.
pub type Watcher = Box<dyn FnMut(&str, &str, &[usize], &[f32]) + Send>;

/// What dead bytes are overwritten with: as f32 it is no number.
const POISON: u8 = 0xff;

impl Executor {
    /// Threads and an arena.
    ///
    /// # Errors
    /// An arena that cannot be held, or threads that cannot be started, here or on another rank; one
    /// share of a model without the others.
    pub fn new(
        executable: Arc<Executable>,
        options: &ExecutorOptions,
    ) -> Result<Arc<Executor>, RunError> {
        if executable.transport().is_none() && executable.gathers() {
            return Err(RunError::OneShare);
        }
        let remote = executable.remote().map(|of| {
            let remote = of.leader.number();
            of.leader.talk().ask::<()>(&Command::Executor {
                id: remote.id,
                executable: of.id,
                threads: options.threads,
                pin: options.pin,
            })?;
            Ok::<_, RunError>(remote)
        });
        Ok(Arc::new(Executor {
            remote: remote.transpose()?,
            peers: executable.transport().cloned().map(Peers::new),
            workers: Workers::new(options.threads, options.pin)?,
            arena: Mutex::new(allocate_one(executable.arena_bytes() as u128)?),
            running: Mutex::default(),
            hooks: Mutex::default(),
            executable,
        }))
    }

    /// A fresh sequence of up to `context` tokens; of a run the last `rollback` can be taken back
    /// ([`Session::run_tentative`]).
    ///
    /// # Errors
    /// A context that cannot be held.
    pub fn session(
        self: &Arc<Executor>,
        context: usize,
        rollback: usize,
    ) -> Result<Session, RunError> {
        Session::on(self.clone(), context, rollback)
    }

    /// An empty run of a graph, to which sequences are added.
    ///
    /// # Errors
    /// An unknown graph.
    pub fn batch<'a>(&'a self, graph: &str) -> Result<Batch<'a>, RunError> {
        Batch::new(self, graph)
    }

    /// The compiled model.
    pub fn executable(&self) -> &Arc<Executable> {
        &self.executable
    }

    /// Worker threads.
    pub fn threads(&self) -> usize {
        self.workers.threads()
    }

    /// Whether every run overwrites, after each step, all bytes of the arena that nobody may read
    /// any more. It changes no bit of any result, or the plan is wrong.
    pub fn poison(&self, poisoned: bool) {
        self.hooks().poisoned = poisoned;
    }

    /// Shows every named f32 value of the runs that follow as soon as it is made.
    pub fn watch(&self, watcher: Option<Watcher>) {
        self.hooks().watcher = Hook::Set(watcher);
    }

    /// Records when each worker did what, in the runs that follow but those that are watched.
    pub fn record(&self) {
        self.hooks().recording = Hook::Set(Some(Recording::default()));
    }

    /// Ends the recording: its runs in their order, none if nothing was recorded.
    pub fn recorded(&self) -> Vec<RecordedRun> {
        let recording = std::mem::take(&mut self.hooks().recording).take();
        recording.map_or(Vec::new(), Recording::runs)
    }

    /// [`Executor::record`] for the engine, in the way of nobody who records as well: then it gets
    /// nothing.
    pub(crate) fn sample(&self) {
        self.hooks().sample = Hook::Set(Some(Recording::default()));
    }

    /// Ends what [`Executor::sample`] began.
    pub(crate) fn sampled(&self) -> Vec<RecordedRun> {
        let sample = std::mem::take(&mut self.hooks().sample).take();
        sample.map_or(Vec::new(), Recording::runs)
    }

    fn hooks(&self) -> MutexGuard<'_, Hooks> {
        lock(&self.hooks)
    }

    /// The other ranks of a sharded model.
    pub(super) fn peers(&self) -> Option<&Peers> {
        self.peers.as_ref()
    }

    /// What the ranks know it by that this one leads.
    pub(super) fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// Bytes of the values of a run.
    pub(super) fn arena_bytes(&self) -> u128 {
        whole_lines(self.executable.arena_bytes() as u128)
    }

    /// Waits for the run that is going on, and takes its place.
    pub(super) fn turn(&self) -> Result<Turn<'_>, RunError> {
        let me = thread::current().id();
        if *lock(&self.running) == Some(me) {
            return Err(RunError::WithinRun);
        }
        // A run that has panicked leaves only values that nobody reads.
        let arena = lock(&self.arena);
        *lock(&self.running) = Some(me);
        Ok(Turn {
            executor: self,
            arena,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// The right to run: one at a time has it.
pub(super) struct Turn<'a> {
    executor: &'a Executor,
    pub(super) arena: MutexGuard<'a, Arena>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *lock(&self.executor.running) = None;
    }
}

impl Turn<'_> {
    /// Runs what the arena holds the inputs of.
    pub(super) fn execute(&mut self, job: &mut Job<'_, '_>) {
        let (mut watcher, mut recording, mut sample, poisoned) = {
            let mut hooks = self.executor.hooks();
            let (watcher, recording) = (hooks.watcher.take(), hooks.recording.take());
            (watcher, recording, hooks.sample.take(), hooks.poisoned)
        };
        if watcher.is_some() || poisoned {
            self.execute_watched(job, &mut watcher, poisoned);
        } else {
            let workers = &self.executor.workers;
            let info = job.info;
            let run = job.view(&mut self.arena, self.executor);
            match recording.as_mut().or(sample.as_mut()) {
                None => workers.run(&info.graph.steps, &run),
                Some(recording) => recording.run(workers, &info, &run),
            }
        }
        let mut hooks = self.executor.hooks();
        hooks.watcher.put_back(watcher);
        hooks.recording.put_back(recording);
        hooks.sample.put_back(sample);
    }

    /// A region for each step, so that values can be seen before they are overwritten.
    fn execute_watched(
        &mut self,
        job: &mut Job<'_, '_>,
        watcher: &mut Option<Watcher>,
        poisoned: bool,
    ) {
        let (JobInfo { name, graph, .. }, workers) = (job.info, &self.executor.workers);
        let executable = &self.executor.executable;
        let dead = match (executable.module().graphs.get(name), executable.plan(name)) {
            (Some(graph), Some(plan)) if poisoned => dead_after_each_step(graph, plan),
            _ => vec![Vec::new(); graph.steps.len()],
        };
        for ((step, names), dead) in graph.steps.chunks(1).zip(&graph.names).zip(dead) {
            let run = job.view(&mut self.arena, self.executor);
            workers.run(step, &run);
            for (value, slot) in names {
                let count = count(slot, (job.tokens, job.rows));
                let data: &[f32] = self.arena.slice(slot.offset, count * slot.width());
                let dims: Vec<usize> = std::iter::once(count).chain(slot.dims.clone()).collect();
                if let Some(watcher) = watcher {
                    watcher(name, value, &dims, data);
                }
            }
            for bytes in dead {
                let bytes: &mut [u8] = self.arena.slice_mut(bytes.start, bytes.len());
                bytes.fill(POISON);
            }
        }
    }
}
