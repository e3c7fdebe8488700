//! A barrier that spins, then sleeps: steps are microseconds apart, a system call would cost as
//! much; but where another program has taken a core, waiting must not take one too.

use std::sync::PoisonError;

use super::sync::{AtomicBool, AtomicUsize, Condvar, Mutex, Ordering, SPINS, fence, spin_loop};

/// Where the workers of a region meet between steps.
pub(super) struct Barrier {
    workers: usize,
    arrived: AtomicUsize,
    generation: AtomicUsize,
    broken: AtomicBool,
    /// Workers that sleep or are about to.
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    opened: Condvar,
}

impl Barrier {
    pub(super) fn new(workers: usize) -> Barrier {
        Barrier {
            workers,
            arrived: AtomicUsize::new(0),
            generation: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            lock: Mutex::new(()),
            opened: Condvar::new(),
        }
    }

    /// Waits until all workers have come.
    ///
    /// # Panics
    /// If another worker panicked: it will never come.
    pub(super) fn wait(&self) {
        let generation = self.generation.load(Ordering::Acquire);
        // The last to come opens the barrier; what everybody wrote before is seen after.
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.workers {
            self.arrived.store(0, Ordering::Relaxed);
            self.generation.store(generation + 1, Ordering::Release);
            self.wake();
            return;
        }
        for _ in 0..SPINS {
            if self.is_open(generation) {
                return;
            }
            spin_loop();
        }
        self.sleep(generation);
    }

    /// Whether the barrier has opened since `generation`.
    fn is_open(&self, generation: usize) -> bool {
        assert!(
            !self.broken.load(Ordering::Acquire),
            "another worker panicked"
        );
        self.generation.load(Ordering::Acquire) != generation
    }

    fn sleep(&self, generation: usize) {
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        // One of the two fences is first: either this worker sees what `wake` is about, or it is
        // seen to sleep.
        fence(Ordering::SeqCst);
        // A poisoned lock protects nothing but the sleep itself.
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.is_open(generation) {
            guard = (self.opened.wait(guard)).unwrap_or_else(PoisonError::into_inner);
        }
        drop(guard);
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Wakes those who sleep, after what they wait for was written.
    fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            // Who holds the lock has not looked yet, or sleeps already.
            drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
            self.opened.notify_all();
        }
    }

    /// A guard that tells the others when its worker panics.
    pub(super) fn guard(&self) -> impl Drop + '_ {
        struct Guard<'a>(&'a Barrier);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.broken.store(true, Ordering::Release);
                    self.0.wake();
                }
            }
        }
        Guard(self)
    }
}
