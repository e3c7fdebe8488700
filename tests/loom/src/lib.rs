//! The barrier and the shares of a region, with loom's threads and atomics in the place of the
//! system's: a model runs in every order that the memory model allows, up to a number of switches
//! between threads where one could go on.
#![cfg(test)]

mod sync {
    //! As `src/exec/sync.rs`.
    pub(super) use loom::hint::spin_loop;
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
    pub(super) use loom::sync::{Condvar, Mutex};

    /// Both ways to wait are tried: one look, then sleep.
    pub(super) const SPINS: usize = 1;
}

#[path = "../../../src/exec/barrier.rs"]
mod barrier;
#[path = "../../../src/exec/shares.rs"]
mod shares;

mod region;
