//! What a session keeps between runs.

use crate::exec::memory::Arena;
use crate::exec::ops::{Recurrent, StateView};

use super::error::RunError;
use super::footprint::StateBytes;

/// One state with its memory, and how many tokens it has seen.
pub(super) struct State {
    memory: Memory,
    pub(super) consumed: usize,
    /// Tokens in `log` that the values have not taken in; they count as consumed.
    pending: usize,
}

enum Memory {
    Recurrent {
        values: Arena,
        log: Arena,
        /// Most tokens that the log holds.
        capacity: usize,
        /// Which side of the log was written last.
        side: usize,
    },
    Kv {
        k: Arena,
        v: Arena,
        /// Bytes of a position.
        row: [usize; 2],
    },
}

/// A copy of a state.
#[derive(Clone, PartialEq)]
pub(super) struct Saved {
    pub(super) bytes: [Vec<u8>; 2],
    pub(super) consumed: usize,
    pub(super) pending: usize,
    pub(super) side: usize,
}

impl State {
    /// A fresh state of these bytes, of which the last `capacity` tokens of a run can be taken
    /// back.
    pub(super) fn new(bytes: &StateBytes, capacity: usize) -> Result<State, RunError> {
        let memory = match *bytes {
            StateBytes::Recurrent { values, log } => Memory::Recurrent {
                values: allocate(values)?,
                log: allocate(log)?,
                capacity,
                side: 0,
            },
            StateBytes::Kv { k, v, row } => Memory::Kv {
                k: allocate(k)?,
                v: allocate(v)?,
                row,
            },
        };
        Ok(State {
            memory,
            consumed: 0,
            pending: 0,
        })
    }

    /// The bytes that it holds.
    pub(super) fn bytes(&self) -> StateBytes {
        let size = |arena: &Arena| arena.len() as u128;
        match &self.memory {
            Memory::Recurrent { values, log, .. } => StateBytes::Recurrent {
                values: size(values),
                log: size(log),
            },
            Memory::Kv { k, v, row } => StateBytes::Kv {
                k: size(k),
                v: size(v),
                row: *row,
            },
        }
    }

    /// As before the first token.
    pub(super) fn reset(&mut self) {
        (self.consumed, self.pending) = (0, 0);
        match &mut self.memory {
            Memory::Recurrent { values, .. } => values.clear(),
            // Rows beyond `consumed` are never read.
            Memory::Kv { .. } => {}
        }
    }

    /// The fewest tokens, but for none, to which the state can go back.
    pub(super) fn earliest(&self) -> usize {
        match self.memory {
            Memory::Recurrent { .. } => self.consumed - self.pending,
            Memory::Kv { .. } => 0,
        }
    }

    /// Goes back to `tokens`, at least [`State::earliest`], or to none.
    pub(super) fn truncate(&mut self, tokens: usize) {
        if tokens == 0 {
            return self.reset();
        }
        match self.memory {
            Memory::Recurrent { .. } => self.pending -= self.consumed - tokens,
            Memory::Kv { .. } => {}
        }
        self.consumed = tokens;
    }

    /// Tokens that a tentative run may have.
    pub(super) fn capacity(&self) -> usize {
        match self.memory {
            Memory::Recurrent { capacity, .. } => capacity,
            Memory::Kv { .. } => usize::MAX,
        }
    }

    /// Takes note of a run that has taken the state on to `end`.
    pub(super) fn advance(&mut self, end: usize, tentative: bool) {
        let tokens = end - self.consumed;
        if tokens == 0 {
            // No kernel has seen the state: what is pending still is.
            return;
        }
        self.consumed = end;
        if let Memory::Recurrent { side, .. } = &mut self.memory {
            self.pending = if tentative { tokens } else { 0 };
            *side = if tentative { 1 - *side } else { *side };
        }
    }

    pub(super) fn view(&mut self) -> StateView<'_> {
        match &mut self.memory {
            Memory::Recurrent {
                values,
                log,
                capacity,
                side,
            } => StateView::Recurrent(Recurrent {
                values: values.share(),
                log: log.share(),
                pending: self.pending,
                capacity: *capacity,
                side: *side,
            }),
            Memory::Kv { k, v, .. } => StateView::Kv {
                k: k.share(),
                v: v.share(),
            },
        }
    }

    pub(super) fn save(&self) -> Saved {
        let (bytes, side) = match &self.memory {
            Memory::Recurrent {
                values, log, side, ..
            } => {
                // A log that nobody is going to read need not be kept.
                let (logged, side) = match self.pending {
                    0 => (0, 0),
                    _ => (log.len(), *side),
                };
                let log = log.slice(0, logged);
                ([values.slice(0, values.len()).to_vec(), log.to_vec()], side)
            }
            Memory::Kv { k, v, row } => {
                let rows = |cache: &Arena, row| cache.slice(0, self.consumed * row).to_vec();
                ([rows(k, row[0]), rows(v, row[1])], 0)
            }
        };
        Saved {
            bytes,
            consumed: self.consumed,
            pending: self.pending,
            side,
        }
    }

    /// Whether it is a K/V cache.
    pub(super) fn is_cache(&self) -> bool {
        matches!(self.memory, Memory::Kv { .. })
    }

    /// Whether a copy has this state's shape and its tokens fit a context, or why not.
    pub(super) fn takes(&self, saved: &Saved, context: usize) -> Result<(), &'static str> {
        let [first, second] = saved.bytes.each_ref().map(Vec::len);
        match &self.memory {
            Memory::Recurrent { values, log, .. } => {
                // The log's places depend on how many tokens it holds.
                let logged = if saved.pending > 0 { log.len() } else { 0 };
                let most = self.capacity();
                match first == values.len() && second == logged && saved.pending <= most {
                    true => Ok(()),
                    false => Err("it has states of another shape or another rollback"),
                }
            }
            Memory::Kv { row, .. } => {
                if saved.consumed > context {
                    return Err("it has more tokens than the context holds");
                }
                match row.map(|bytes| saved.consumed * bytes) == [first, second] {
                    true => Ok(()),
                    false => Err("it has a cache of another shape"),
                }
            }
        }
    }

    /// Becomes what was saved, which it [`takes`](State::takes).
    pub(super) fn restore(&mut self, saved: &Saved) {
        let [first, second] = &saved.bytes;
        let (a, b) = match &mut self.memory {
            Memory::Recurrent {
                values, log, side, ..
            } => {
                *side = saved.side;
                (values, log)
            }
            Memory::Kv { k, v, .. } => (k, v),
        };
        a.slice_mut(0, first.len()).copy_from_slice(first);
        b.slice_mut(0, second.len()).copy_from_slice(second);
        (self.consumed, self.pending) = (saved.consumed, saved.pending);
    }
}

/// Memory, or an error where the machine has not as much.
pub(super) fn allocate(bytes: u128) -> Result<Arena, RunError> {
    let size = usize::try_from(bytes).ok();
    size.and_then(Arena::try_new)
        .ok_or(RunError::Memory { bytes })
}
