//! A barrier that spins: steps are microseconds apart, a system call would cost as much.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Spins before a waiting worker offers its core to others, on machines that are shared.
const SPINS: usize = 1 << 9;

/// Where the workers of a region meet between steps.
pub(super) struct Barrier {
    workers: usize,
    arrived: AtomicUsize,
    generation: AtomicUsize,
    broken: AtomicBool,
}

impl Barrier {
    pub(super) fn new(workers: usize) -> Barrier {
        Barrier {
            workers,
            arrived: AtomicUsize::new(0),
            generation: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
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
            return;
        }
        let mut spins = 0;
        while self.generation.load(Ordering::Acquire) == generation {
            assert!(
                !self.broken.load(Ordering::Relaxed),
                "another worker panicked"
            );
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// A guard that tells the others when its worker panics.
    pub(super) fn guard(&self) -> impl Drop + '_ {
        struct Guard<'a>(&'a Barrier);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.broken.store(true, Ordering::Relaxed);
                }
            }
        }
        Guard(self)
    }
}
