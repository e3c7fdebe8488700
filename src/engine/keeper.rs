//! The thread that has the memory of prompts: it begins requests behind what is known, and remembers
//! what they have read, while the engine's thread takes the others on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::prompts::{PromptStats, Prompts};
use super::running::{Running, Start, Waiting};
use super::{GenerateError, StopReason};

/// Hands requests over to the thread. Dropping it waits until what is to be remembered is.
pub(super) struct Keeper {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    stats: Arc<Mutex<PromptStats>>,
    hurry: Arc<AtomicBool>,
}

enum Job {
    Begin(Box<Waiting>),
    Keep(Box<Running>),
}

/// What comes back of a request that was handed over.
pub(super) enum Returned {
    /// It is to go on.
    Ready(Box<Running>),
    /// It has ended.
    Gone {
        /// The place that it had among those that run.
        slot: usize,
    },
}

/// Takes what comes back, in the keeper's thread.
pub(super) type Back = Box<dyn Fn(Returned) + Send>;

impl Keeper {
    pub(super) fn new(start: Start, prompts: Prompts, back: Back) -> std::io::Result<Keeper> {
        let (jobs, queue) = channel();
        let stats = Arc::new(Mutex::new(prompts.stats()));
        let hurry = Arc::new(AtomicBool::new(false));
        let mut work = Work {
            start,
            prompts: Some(prompts),
            hurry: hurry.clone(),
        };
        let published = stats.clone();
        let serve = move || {
            while let Some(job) = work.next(&queue) {
                let returned = work.run(job);
                if let Some(prompts) = &work.prompts {
                    *published.lock().unwrap_or_else(|e| e.into_inner()) = prompts.stats();
                }
                back(returned);
            }
        };
        let thread = thread::Builder::new().name("sharpi-keeper".into());
        Ok(Keeper {
            jobs: Some(jobs),
            thread: Some(thread.spawn(serve)?),
            stats,
            hurry,
        })
    }

    /// Has a request begun.
    pub(super) fn begin(&self, waiting: Waiting) {
        self.send(Job::Begin(Box::new(waiting)));
    }

    /// Has what a request has seen remembered.
    pub(super) fn keep(&self, running: Running) {
        self.send(Job::Keep(Box::new(running)));
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread ends with the sender only.
            jobs.send(job).ok();
        }
    }

    pub(super) fn stats(&self) -> PromptStats {
        *self.stats.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Nobody waits for what is handed over any more.
    pub(super) fn hurry(&self) {
        self.hurry.store(true, Ordering::Relaxed);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Its panics are caught.
            thread.join().ok();
        }
    }
}

/// What the thread has.
struct Work {
    start: Start,
    /// None once a panic has left them in doubt.
    prompts: Option<Prompts>,
    hurry: Arc<AtomicBool>,
}

impl Work {
    /// The next job. Until there is one, what files remember is read into memory; `None` at the end.
    fn next(&mut self, queue: &Receiver<Job>) -> Option<Job> {
        loop {
            match queue.try_recv() {
                Ok(job) => return Some(job),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.preload() => {}
                Err(TryRecvError::Empty) => return queue.recv().ok(),
            }
        }
    }

    fn preload(&mut self) -> bool {
        let Some(prompts) = &mut self.prompts else {
            return false;
        };
        let done = catch_unwind(AssertUnwindSafe(|| prompts.preload()));
        done.unwrap_or_else(|_| {
            self.doubt();
            false
        })
    }

    /// After a panic nothing is gone on from.
    fn doubt(&mut self) {
        tracing::error!("remembering prompts panicked; no prompt is remembered from now on");
        self.prompts = None;
    }

    /// Does a job. A panic ends the request that it was for, and the remembering.
    fn run(&mut self, job: Job) -> Returned {
        let (lost, slot) = match &job {
            Job::Begin(waiting) => (waiting.stub(), waiting.slot),
            Job::Keep(running) => (running.stub(), running.slot),
        };
        let done = catch_unwind(AssertUnwindSafe(|| self.run_job(job)));
        done.unwrap_or_else(|_| {
            self.doubt();
            let error = GenerateError::Panicked("remembering prompts panicked".into());
            lost.refuse(StopReason::Failed, Some(error));
            Returned::Gone { slot }
        })
    }

    fn run_job(&mut self, job: Job) -> Returned {
        match job {
            Job::Begin(waiting) => {
                let slot = waiting.slot;
                if self.hurry.load(Ordering::Relaxed) {
                    waiting.refuse(StopReason::Cancelled, None);
                    return Returned::Gone { slot };
                }
                match waiting.begin(&self.start, self.prompts.as_mut()) {
                    Some(running) => Returned::Ready(Box::new(running)),
                    None => Returned::Gone { slot },
                }
            }
            Job::Keep(mut running) => {
                running.keep(self.prompts.as_mut());
                match running.is_closing() {
                    true => Returned::Gone { slot: running.slot },
                    false => Returned::Ready(running),
                }
            }
        }
    }
}
