//! A barrier that spins, then sleeps: steps are microseconds apart, a system call would cost as
//! much; but where another program has taken a core, waiting must not take one too.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// Looks at the barrier before a waiting worker goes to sleep: some tens of microseconds, what
/// waking it costs.
const SPINS: usize = 1 << 11;

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
            // In one order with `sleepers`: either a worker that goes to sleep sees this, or it is
            // seen and woken.
            self.generation.store(generation + 1, Ordering::SeqCst);
            self.wake();
            return;
        }
        for _ in 0..SPINS {
            if self.is_open(generation) {
                return;
            }
            std::hint::spin_loop();
        }
        self.sleep(generation);
    }

    /// Whether the barrier has opened since `generation`.
    fn is_open(&self, generation: usize) -> bool {
        assert!(
            !self.broken.load(Ordering::SeqCst),
            "another worker panicked"
        );
        self.generation.load(Ordering::SeqCst) != generation
    }

    fn sleep(&self, generation: usize) {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        // A poisoned lock protects nothing but the sleep itself.
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.is_open(generation) {
            guard = (self.opened.wait(guard)).unwrap_or_else(PoisonError::into_inner);
        }
        drop(guard);
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }

    fn wake(&self) {
        if self.sleepers.load(Ordering::SeqCst) > 0 {
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
                    self.0.broken.store(true, Ordering::SeqCst);
                    self.0.wake();
                }
            }
        }
        Guard(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn nobody_passes_before_all_have_come_whether_they_spin_or_sleep() {
        let barrier = Barrier::new(3);
        let count = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for worker in 0..3 {
                let (barrier, count) = (&barrier, &count);
                scope.spawn(move || {
                    for step in 1..200 {
                        // Now and then one is so late that the others sleep.
                        if step % 50 == 0 && worker == step / 50 % 3 {
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        count.fetch_add(1, Ordering::Relaxed);
                        barrier.wait();
                        assert_eq!(count.load(Ordering::Relaxed), 3 * step);
                        barrier.wait();
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_wakes_and_ends_those_who_wait_for_it() {
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| barrier.wait());
            let failing = scope.spawn(|| {
                let _guard = barrier.guard();
                std::thread::sleep(Duration::from_millis(5));
                panic!("on purpose");
            });
            assert!(failing.join().is_err());
            assert!(waiting.join().is_err());
        });
    }
}
