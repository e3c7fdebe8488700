//! One parallel region per run: every worker enters once and walks the same list of steps.

use std::sync::Mutex;

use crate::exec::ops::{Kernel, Run, Scratch};

use super::barrier::Barrier;
use super::error::RunError;
use super::shares::Shares;

/// The threads of a session and what each keeps between runs.
pub(super) struct Workers {
    /// All but the first, which is the caller's thread.
    pool: Option<rayon::ThreadPool>,
    scratch: Vec<Mutex<Scratch>>,
}

impl Workers {
    pub(super) fn new(threads: usize, pin: bool) -> Result<Workers, RunError> {
        let threads = threads.max(1);
        let pool = (threads > 1).then(|| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads - 1)
                .thread_name(|i| format!("sharpi-{}", i + 1))
                .start_handler(move |i| {
                    if pin {
                        stay_on_one_processor(i + 1);
                    }
                })
                .build()
        });
        let pool = pool.transpose().map_err(|e| RunError::Threads {
            threads,
            message: e.to_string(),
        })?;
        let scratch = (0..threads).map(|_| Mutex::default()).collect();
        Ok(Workers { pool, scratch })
    }

    /// Runs the steps one after another, the chunks of each in parallel.
    pub(super) fn run(&self, steps: &[Vec<Box<dyn Kernel>>], run: &Run<'_>) {
        self.region(steps, run, |_| Unheard);
    }

    /// [`Workers::run`], each worker with a probe.
    pub(super) fn region<P: Probe>(
        &self,
        steps: &[Vec<Box<dyn Kernel>>],
        run: &Run<'_>,
        probe: impl Fn(usize) -> P + Sync,
    ) {
        let work: Vec<StepWork> = steps
            .iter()
            .map(|s| StepWork::new(s, run, self.threads()))
            .collect();
        let barrier = Barrier::new(self.threads());
        let walk = |worker| self.walk(worker, &work, run, &barrier, probe(worker));
        match &self.pool {
            None => walk(0),
            // The caller is at work while the others wake up.
            Some(pool) => pool.in_place_scope(|scope| {
                scope.spawn_broadcast(|_, worker| walk(worker.index() + 1));
                walk(0);
            }),
        }
    }

    pub(super) fn threads(&self) -> usize {
        self.scratch.len()
    }

    fn walk(
        &self,
        worker: usize,
        work: &[StepWork],
        run: &Run<'_>,
        barrier: &Barrier,
        mut probe: impl Probe,
    ) {
        let _guard = barrier.guard();
        // A poisoned scratch holds only buffers: a panicked run leaves nothing that matters.
        let scratch = &mut *self.scratch[worker]
            .lock()
            .unwrap_or_else(|e| e.into_inner());
        for step in work {
            scratch.next_step();
            step.run(worker, run, scratch, &mut probe);
            probe.arrived();
            barrier.wait();
            probe.passed();
        }
    }
}

/// Hears what a worker does.
pub(super) trait Probe {
    /// It has taken a chunk of this kernel of the step.
    fn chunk(&mut self, kernel: usize);
    /// It waits at the barrier behind the step.
    fn arrived(&mut self);
    /// All have come.
    fn passed(&mut self);
}

/// Nobody listens, and it costs nothing.
struct Unheard;

impl Probe for Unheard {
    #[inline(always)]
    fn chunk(&mut self, _: usize) {}
    #[inline(always)]
    fn arrived(&mut self) {}
    #[inline(always)]
    fn passed(&mut self) {}
}

/// Binds the thread to the `i`-th of the processors that it may use, going round. A system that
/// cannot do it lets the thread run where it likes.
#[cfg(target_os = "linux")]
fn stay_on_one_processor(i: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(may) = sched_getaffinity(None) else {
        return;
    };
    let ours: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&c| may.is_set(c)).collect();
    if let Some(&processor) = ours.get(i % ours.len().max(1)) {
        let mut one = CpuSet::new();
        one.set(processor);
        let _ = sched_setaffinity(None, &one);
    }
}

#[cfg(not(target_os = "linux"))]
fn stay_on_one_processor(_: usize) {}

/// The kernels of a step, and the chunks of all of them one after another.
struct StepWork<'s> {
    kernels: &'s [Box<dyn Kernel>],
    /// First chunk of each kernel, and the number of all.
    starts: Vec<usize>,
    shares: Shares,
}

impl<'s> StepWork<'s> {
    fn new(kernels: &'s [Box<dyn Kernel>], run: &Run<'_>, workers: usize) -> StepWork<'s> {
        let mut starts = vec![0];
        for kernel in kernels {
            starts.push(starts[starts.len() - 1] + kernel.chunks(run));
        }
        let shares = Shares::new(starts[kernels.len()], workers);
        StepWork {
            kernels,
            starts,
            shares,
        }
    }

    fn run(&self, worker: usize, run: &Run<'_>, scratch: &mut Scratch, probe: &mut impl Probe) {
        for of in self.shares.order(worker) {
            self.run_share(of, run, scratch, probe);
        }
    }

    /// What is left of a worker's range.
    fn run_share(&self, of: usize, run: &Run<'_>, scratch: &mut Scratch, probe: &mut impl Probe) {
        let mut kernel = 0;
        while let Some(chunk) = self.shares.take(of) {
            while chunk >= self.starts[kernel + 1] {
                kernel += 1;
            }
            probe.chunk(kernel);
            self.kernels[kernel].run(run, chunk - self.starts[kernel], scratch);
        }
    }
}
