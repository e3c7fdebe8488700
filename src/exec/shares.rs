//! The chunks of a step. Each worker has a range of them, so that it reads weights in the order
//! in which they lie and asks for those that it will read itself; who is done helps the others.

use super::sync::{AtomicUsize, Ordering};

/// Which chunks are still to be taken.
pub(super) struct Shares(Vec<Share>);

/// A worker's range, with a cache line of its own.
#[repr(align(64))]
struct Share {
    next: AtomicUsize,
    end: usize,
}

impl Shares {
    /// `chunks`, divided among so many workers.
    pub(super) fn new(chunks: usize, workers: usize) -> Shares {
        let share = |worker| Share {
            next: AtomicUsize::new(chunks * worker / workers),
            end: chunks * (worker + 1) / workers,
        };
        Shares((0..workers).map(share).collect())
    }

    /// Whose ranges a worker takes from, in order: its own, then those of the others.
    pub(super) fn order(&self, worker: usize) -> impl Iterator<Item = usize> + use<> {
        (worker..self.0.len()).chain(0..worker)
    }

    /// The next chunk of a range, which is the caller's alone from here on.
    #[inline(always)]
    pub(super) fn take(&self, of: usize) -> Option<usize> {
        let share = &self.0[of];
        let chunk = share.next.fetch_add(1, Ordering::Relaxed);
        (chunk < share.end).then_some(chunk)
    }
}
