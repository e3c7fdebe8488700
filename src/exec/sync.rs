//! What workers wait for each other with. The barrier and the shares know these by this module
//! alone, so that `tests/loom` can put those of loom in their place and try every order.

pub(super) use std::hint::spin_loop;
pub(super) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
pub(super) use std::sync::{Condvar, Mutex};

/// Looks at a barrier before a waiting worker goes to sleep: some tens of microseconds, what
/// waking it costs.
pub(super) const SPINS: usize = 1 << 11;
