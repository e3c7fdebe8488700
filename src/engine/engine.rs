//! The engine: a thread that owns the sequences, and what takes requests to it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::keeper::{Keeper, Returned};
use super::progress::Progress;
use super::prompts::{Limits, Prompts, StoreError};
use super::request::{Answer, Request};
use super::run_times::{RunTimes, SharedTimes};
use super::running::{Start, Waiting};
use super::scheduler::{EngineStats, Scheduler};
use super::sequence::{check_prompt, keeps_state, vocabulary};
use super::{GenerateError, StopReason};
use crate::exec::{Executor, ExecutorOptions, RunError};
use crate::tokenizer::Tokenizer;
use crate::{Executable, SessionOptions};

sharpi_passes::option_struct! {
    /// How many requests an engine serves, and what it may take for that.
    #[derive(Clone, Debug)]
    pub struct EngineOptions {
        /// Worker threads. The answers do not depend on it.
        pub threads: usize = ExecutorOptions::default().threads,
        /// Whether worker threads stay on one processor each.
        pub pin: bool = false,
        /// Most requests that run at a time; no more than the executable takes tokens in a run and
        /// gives rows of logits.
        pub parallel: usize = 4,
        /// Most positions of a request, prompt and answer together.
        pub context: usize = 4096,
        /// Most requests that wait.
        pub queue: usize = 256,
        /// Most bytes of states and caches of all that run; `None` for no bound.
        pub memory: Option<u64> = None,
        /// Most tokens that any request may draft at once.
        pub drafts: usize = 0,
        /// How long a step may take in which somebody waits for text: prompts are read in pieces that
        /// fit. `None` for four times what it takes without a prompt, and 0.1 s at least.
        pub max_step: Option<Duration> = None,
        /// Bytes of memory for prompts that are remembered; 0 for none.
        pub prompt_memory: u64 = 0,
        /// Where remembered prompts outlive the process.
        pub prompt_folder: Option<PathBuf> = None,
        /// Bytes of files for them.
        pub prompt_disk: u64 = 32 << 30,
        /// A long prompt is remembered after every so many tokens.
        pub checkpoint_step: usize = 8192,
        /// What is shorter than this is not worth remembering, in tokens.
        pub checkpoint_min: usize = 64,
        /// Records the runs of a step each time that so much time has passed since the one recorded
        /// last ([`Engine::run_times`]); `None` for never. The answers do not depend on it.
        pub time_runs: Option<Duration> = None,
    }
}

impl EngineOptions {
    /// Most tokens of a run that can be taken back.
    pub(super) fn rollback(&self) -> usize {
        match self.drafts {
            0 => 0,
            drafts => drafts + 1,
        }
    }
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The executable has no graph to generate with.
    #[error(transparent)]
    Model(#[from] GenerateError),
    /// Threads or memory are missing.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The folder for prompts cannot be used.
    #[error(transparent)]
    Prompts(#[from] StoreError),
    /// The engine's own thread cannot be started.
    #[error("cannot start the engine's thread: {0}")]
    Thread(std::io::Error),
}

/// Serves any number of requests on one model. Any thread may submit; each answer has the bits that
/// it would have alone.
///
/// Dropping it cancels what runs; [`Engine::drain`] lets it end.
pub struct Engine {
    shared: Arc<Shared>,
    executor: Arc<Executor>,
    options: EngineOptions,
    vocabulary: usize,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    inbox: Mutex<Inbox>,
    wake: Condvar,
    stats: Mutex<EngineStats>,
    times: SharedTimes,
    progress: Mutex<Vec<Progress>>,
}

struct Inbox {
    waiting: VecDeque<Waiting>,
    /// What the keeper has given back.
    returned: Vec<Returned>,
    /// Requests taken in so far.
    taken: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// No more requests are taken; those that are there are served.
    Draining,
    Stopped,
}

impl Engine {
    /// Starts the engine's thread and its workers. Without a tokenizer answers have no text.
    ///
    /// # Errors
    /// A model that cannot generate, threads or memory that are missing, a folder that cannot be
    /// used.
    pub fn start(
        executable: Arc<Executable>,
        tokenizer: Option<Arc<Tokenizer>>,
        options: EngineOptions,
    ) -> Result<Engine, StartError> {
        let vocabulary = vocabulary(&executable).ok_or(GenerateError::NoTrunk)?;
        if !keeps_state(&executable) {
            return Err(GenerateError::NoState.into());
        }
        let most = executable.max_rows().min(executable.max_tokens());
        let parallel = options.parallel.clamp(1, most.max(1));
        let options = options.parallel(parallel);
        let limits = Limits {
            bytes: options.prompt_memory,
            disk_bytes: options.prompt_disk,
        };
        let prompts = match (&options.prompt_folder, options.prompt_memory) {
            (_, 0) => None,
            (None, _) => Some(Prompts::new(limits)),
            (Some(folder), _) => Some(Prompts::open(limits, folder, &executable)?),
        };
        let workers = ExecutorOptions::default();
        let workers = workers.threads(options.threads).pin(options.pin);
        let executor = Executor::new(executable, &workers)?;
        let shared = Arc::new(Shared {
            inbox: Mutex::new(Inbox {
                waiting: VecDeque::new(),
                returned: Vec::new(),
                taken: 0,
                state: State::Open,
            }),
            wake: Condvar::new(),
            stats: Mutex::default(),
            times: SharedTimes::default(),
            progress: Mutex::default(),
        });
        let start = Start {
            executor: executor.clone(),
            tokenizer,
            options: options.clone(),
        };
        let keeper = prompts.map(|prompts| {
            let shared = shared.clone();
            let back = move |returned| shared.take_back(returned);
            Keeper::new(start.clone(), prompts, Box::new(back))
        });
        let keeper = keeper.transpose().map_err(StartError::Thread)?;
        let scheduler = Scheduler::new(start, keeper, shared.times.clone());
        let (mine, budget) = (shared.clone(), budget(&options));
        let thread = thread::Builder::new().name("sharpi-engine".into());
        let thread = thread.spawn(move || mine.serve(scheduler, budget));
        Ok(Engine {
            shared,
            executor,
            options,
            vocabulary,
            thread: Some(thread.map_err(StartError::Thread)?),
        })
    }

    /// Hands in a request. It runs when there is room for it; requests are taken up in the order in
    /// which they came.
    ///
    /// # Errors
    /// A prompt that is empty, too long for the context, or has an id that is none; a request that can
    /// never fit, too many that wait, an engine that takes no more.
    pub fn submit(&self, mut request: Request) -> Result<Answer, GenerateError> {
        let context = self.options.context;
        check_prompt(&request.prompt, context, self.vocabulary)?;
        if request.draft.is_some_and(|draft| draft.n_max > 0) && !self.can_draft() {
            return Err(GenerateError::NoHead);
        }
        // More would be trimmed in each round, but what is learnt of drafts is kept for each of them.
        if let Some(draft) = &mut request.draft {
            draft.n_max = draft.n_max.min(self.options.drafts);
        }
        let most = request.options.max_tokens.unwrap_or(context);
        let context = context.min(request.prompt.len().saturating_add(most));
        let needed = self.bytes(context);
        let budget = budget(&self.options);
        if needed > budget {
            return Err(GenerateError::TooLarge { needed, budget });
        }
        let (events, answer) = async_channel::unbounded();
        let mut waiting = Waiting {
            id: 0,
            slot: 0,
            request,
            events,
            since: Instant::now(),
            bytes: needed,
            context,
        };
        let mut inbox = lock(&self.shared.inbox);
        if inbox.state != State::Open {
            return Err(GenerateError::Stopped);
        }
        if inbox.waiting.len() >= self.options.queue {
            return Err(GenerateError::QueueFull(inbox.waiting.len()));
        }
        waiting.id = inbox.taken;
        inbox.taken += 1;
        inbox.waiting.push_back(waiting);
        drop(inbox);
        self.shared.wake.notify_one();
        Ok(Answer(answer))
    }

    /// Whether the model has a head, and the engine leaves room for drafts.
    pub fn can_draft(&self) -> bool {
        let graphs = &self.executor.executable().module().graphs;
        graphs.contains_key(crate::lower::MTP) && self.options.drafts > 0
    }

    /// What a request of so many positions takes.
    fn bytes(&self, context: usize) -> u128 {
        let options = SessionOptions::default();
        let options = options.context(context).rollback(self.options.rollback());
        let footprint = self.executor.executable().footprint(&options);
        footprint.session() - footprint.arena
    }

    /// What it has done so far.
    pub fn stats(&self) -> EngineStats {
        let waiting = lock(&self.shared.inbox).waiting.len();
        EngineStats {
            waiting,
            ..lock(&self.shared.stats).clone()
        }
    }

    /// What the runs took that were recorded ([`EngineOptions::time_runs`]).
    pub fn run_times(&self) -> Vec<RunTimes> {
        lock(&self.shared.times).clone()
    }

    /// How far those that run had come after the last step.
    pub fn progress(&self) -> Vec<Progress> {
        lock(&self.shared.progress).clone()
    }

    /// What it runs on.
    pub fn executor(&self) -> &Arc<Executor> {
        &self.executor
    }

    /// How it was started.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Whether it takes requests.
    pub fn is_open(&self) -> bool {
        lock(&self.shared.inbox).state == State::Open
    }

    /// Takes no more requests from now on; those that are there are served.
    pub fn close(&self) {
        self.set(State::Draining);
    }

    /// Takes no more requests, and waits until all that are there have been served and what is to be
    /// remembered is written.
    pub fn drain(mut self) {
        self.set(State::Draining);
        self.join();
    }

    fn set(&self, state: State) {
        lock(&self.shared.inbox).state = state;
        self.shared.wake.notify_one();
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Its panics are caught and told to those who wait.
            thread.join().ok();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.set(State::Stopped);
        self.join();
    }
}

fn budget(options: &EngineOptions) -> u128 {
    options.memory.map_or(u128::MAX, u128::from)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Shared {
    /// The engine's thread.
    fn serve(&self, mut scheduler: Scheduler, budget: u128) {
        while self.wait(&scheduler, budget) {
            let work = AssertUnwindSafe(|| {
                let returned = std::mem::take(&mut lock(&self.inbox).returned);
                returned.into_iter().for_each(|r| scheduler.take_back(r));
                // One at a time, so that each is counted before the next is looked at.
                while let Some(waiting) = self.next(&scheduler, budget) {
                    scheduler.admit(waiting);
                }
                scheduler.step();
            });
            if catch_unwind(work).is_err() {
                tracing::error!("a step panicked; the requests that ran have been ended");
                scheduler.fail_all();
            }
            *lock(&self.stats) = scheduler.stats();
            let mut progress = lock(&self.progress);
            progress.clear();
            progress.extend(scheduler.progress());
        }
        scheduler.shut_down();
        let returned = std::mem::take(&mut lock(&self.inbox).returned);
        returned.into_iter().for_each(|r| scheduler.take_back(r));
        scheduler.end_all(StopReason::Cancelled);
        *lock(&self.stats) = scheduler.stats();
        let left = std::mem::take(&mut lock(&self.inbox).waiting);
        for waiting in left {
            waiting.refuse(StopReason::Cancelled, None);
        }
    }

    /// Called by the keeper.
    fn take_back(&self, returned: Returned) {
        lock(&self.inbox).returned.push(returned);
        self.wake.notify_one();
    }

    /// Waits until there is anything to do; `false` at the end.
    fn wait(&self, scheduler: &Scheduler, budget: u128) -> bool {
        let mut inbox = lock(&self.inbox);
        loop {
            inbox.drop_ended();
            let fits = |w: &Waiting| scheduler.has_room(w, budget);
            let busy = scheduler.can_step()
                || !inbox.returned.is_empty()
                || inbox.waiting.front().is_some_and(fits);
            match inbox.state {
                State::Stopped => return false,
                _ if busy => return true,
                State::Draining if scheduler.is_idle() => return false,
                State::Draining | State::Open => {
                    inbox = self.wake.wait(inbox).unwrap_or_else(|e| e.into_inner());
                }
            }
        }
    }

    /// The next request, if there is room for it.
    fn next(&self, scheduler: &Scheduler, budget: u128) -> Option<Waiting> {
        let mut inbox = lock(&self.inbox);
        let fits = |w: &mut Waiting| scheduler.has_room(w, budget);
        inbox.waiting.pop_front_if(fits)
    }
}

impl Inbox {
    /// Ends those whose client went away or whose time is over.
    fn drop_ended(&mut self) {
        let mut i = 0;
        while i < self.waiting.len() {
            match self.waiting[i].is_over() {
                None => i += 1,
                Some(reason) => {
                    if let Some(waiting) = self.waiting.remove(i) {
                        waiting.refuse(reason, None);
                    }
                }
            }
        }
    }
}
