//! What a session keeps between runs.

use rayon::prelude::*;

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
    /// Values and log of a recurrent state, none if they were left out; rows of keys and of values
    /// of a cache, from `first` to `consumed`.
    pub(super) bytes: [Vec<u8>; 2],
    pub(super) cache: bool,
    pub(super) first: usize,
    pub(super) consumed: usize,
    pub(super) pending: usize,
    pub(super) side: usize,
}

impl State {
    /// Fresh states of these bytes, of which the last `capacity` tokens of a run can be taken back.
    /// The recurrent ones, which every run goes over, lie side by side.
    pub(super) fn all(states: &[StateBytes], capacity: usize) -> Result<Vec<State>, RunError> {
        let recurrent = states.iter().filter_map(|bytes| match bytes {
            StateBytes::Recurrent { values, log } => Some((*values, *log)),
            StateBytes::Kv { .. } => None,
        });
        let (values, logs): (Vec<_>, Vec<_>) = recurrent.unzip();
        let mut values = allocate(&values)?.into_iter();
        let mut logs = allocate(&logs)?.into_iter();
        let states = states.iter().map(|bytes| {
            let memory = match *bytes {
                StateBytes::Recurrent { .. } => {
                    let next = values.next().zip(logs.next());
                    let (values, log) = next.expect("memory for each recurrent state");
                    values.populate();
                    Memory::Recurrent {
                        values,
                        log,
                        capacity,
                        side: 0,
                    }
                }
                StateBytes::Kv { k, v, row } => Memory::Kv {
                    k: allocate_one(k)?,
                    v: allocate_one(v)?,
                    row,
                },
            };
            Ok(State {
                memory,
                consumed: 0,
                pending: 0,
            })
        });
        states.collect()
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

    /// A copy, of a cache the rows from `first` on.
    pub(super) fn save(&self, first: usize) -> Saved {
        let first = first.min(self.consumed);
        let (bytes, first, side) = match &self.memory {
            Memory::Recurrent {
                values, log, side, ..
            } => {
                // A log that nobody is going to read need not be kept.
                let (logged, side) = match self.pending {
                    0 => (0, 0),
                    _ => (log.len(), *side),
                };
                let log = log.slice(0, logged);
                let values = values.slice(0, values.len());
                ([values.to_vec(), log.to_vec()], 0, side)
            }
            Memory::Kv { k, v, row } => {
                let count = self.consumed - first;
                let rows = |cache: &Arena, row| cache.slice(first * row, count * row).to_vec();
                ([rows(k, row[0]), rows(v, row[1])], first, 0)
            }
        };
        Saved {
            bytes,
            cache: self.is_cache(),
            first,
            consumed: self.consumed,
            pending: self.pending,
            side,
        }
    }

    /// Whether tokens wait in the log.
    pub(super) fn is_tentative(&self) -> bool {
        self.pending > 0
    }

    /// Whether it is a K/V cache.
    pub(super) fn is_cache(&self) -> bool {
        matches!(self.memory, Memory::Kv { .. })
    }

    /// Whether copies, one piece behind the other, have this state's shape and their tokens fit a
    /// context, or why not.
    pub(super) fn takes(&self, pieces: &[&Saved], context: usize) -> Result<(), &'static str> {
        let Some(last) = pieces.last() else {
            return Err("there are no pieces");
        };
        if pieces.iter().any(|piece| piece.cache != self.is_cache()) {
            return Err("it has other states");
        }
        match &self.memory {
            Memory::Recurrent { values, log, .. } => {
                // The log's places depend on how many tokens it holds.
                let logged = if last.pending > 0 { log.len() } else { 0 };
                let [first, second] = last.bytes.each_ref().map(Vec::len);
                let most = self.capacity();
                if first == 0 && values.len() > 0 {
                    return Err("its recurrent states were left out");
                }
                match first == values.len() && second == logged && last.pending <= most {
                    true => Ok(()),
                    false => Err("it has states of another shape or another rollback"),
                }
            }
            Memory::Kv { row, .. } => {
                let mut next = 0;
                for piece in pieces {
                    if piece.first != next || piece.consumed < next {
                        return Err("its pieces do not follow one another");
                    }
                    let rows = piece.consumed - piece.first;
                    if row.map(|bytes| rows * bytes) != piece.bytes.each_ref().map(Vec::len) {
                        return Err("it has a cache of another shape");
                    }
                    next = piece.consumed;
                }
                match next > context {
                    true => Err("it has more tokens than the context holds"),
                    false => Ok(()),
                }
            }
        }
    }

    /// Becomes what was saved, which it [`takes`](State::takes).
    pub(super) fn restore(&mut self, pieces: &[&Saved]) {
        let Some(last) = pieces.last() else { return };
        match &mut self.memory {
            Memory::Recurrent {
                values, log, side, ..
            } => {
                *side = last.side;
                for (to, from) in [values, log].into_iter().zip(&last.bytes) {
                    copy(from, to.slice_mut(0, from.len()));
                }
            }
            Memory::Kv { k, v, row } => {
                for piece in pieces {
                    for ((to, row), from) in
                        [&mut *k, &mut *v].into_iter().zip(&*row).zip(&piece.bytes)
                    {
                        copy(from, to.slice_mut(piece.first * row, from.len()));
                    }
                }
            }
        }
        (self.consumed, self.pending) = (last.consumed, last.pending);
    }
}

/// Copies with all threads: most of the time goes into pages that are written for the first time.
fn copy(from: &[u8], to: &mut [u8]) {
    const PIECE: usize = 1 << 20;
    let pieces = to.par_chunks_mut(PIECE).zip(from.par_chunks(PIECE));
    pieces.for_each(|(to, from)| to.copy_from_slice(from));
}

/// Memory side by side, or an error where the machine has not as much.
fn allocate(bytes: &[u128]) -> Result<Vec<Arena>, RunError> {
    let sizes = bytes.iter().map(|bytes| usize::try_from(*bytes));
    let sizes: Option<Vec<usize>> = sizes.collect::<Result<_, _>>().ok();
    let arenas = sizes.and_then(|sizes| Arena::side_by_side(&sizes));
    arenas.ok_or_else(|| RunError::Memory {
        bytes: bytes.iter().sum(),
    })
}

/// One piece of memory, or an error where the machine has not as much.
pub(super) fn allocate_one(bytes: u128) -> Result<Arena, RunError> {
    let size = usize::try_from(bytes).ok();
    size.and_then(Arena::try_new)
        .ok_or(RunError::Memory { bytes })
}
