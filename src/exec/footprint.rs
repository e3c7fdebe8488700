//! The memory that a session takes, worked out before any of it is allocated.

use serde::Serialize;
use sharpi_ir::{Dim, StateType};

use crate::exec::memory::whole_lines;

use super::executable::Executable;
use super::session::SessionOptions;

/// Bytes of a session and of the weights that it reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Footprint {
    /// Matrices of weights in the layout of the kernels, once loaded.
    pub packed_weights: u128,
    /// K/V caches.
    pub kv: u128,
    /// Recurrent states.
    pub recurrent: u128,
    /// What recurrent states log of the tokens that can be taken back.
    pub rollback: u128,
    /// Values of a run.
    pub arena: u128,
}

impl Footprint {
    /// All of a session's own memory together: without what is mapped from the file.
    pub fn total(&self) -> u128 {
        self.packed_weights + self.session()
    }

    /// Without the weights, which sessions share.
    pub fn session(&self) -> u128 {
        self.kv + self.recurrent + self.rollback + self.arena
    }
}

/// Bytes of a state's two pieces of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StateBytes {
    Recurrent {
        values: u128,
        log: u128,
    },
    Kv {
        k: u128,
        v: u128,
        /// Bytes of a position, of keys and of values.
        row: [usize; 2],
    },
}

impl StateBytes {
    /// For `context` positions, of which the last `rollback` tokens of a run can be taken back; a
    /// token takes `log_bytes` in the log.
    pub(super) fn new(
        ty: &StateType,
        context: usize,
        rollback: usize,
        log_bytes: usize,
    ) -> StateBytes {
        match ty {
            StateType::Recurrent(t) => {
                let sizes = t.shape.iter().map(|d| match d {
                    Dim::Fixed(n) => *n as u128,
                    Dim::Sym(_) => 1,
                });
                StateBytes::Recurrent {
                    values: whole_lines(sizes.product::<u128>() * size_of::<f32>() as u128),
                    log: whole_lines(rollback as u128 * log_bytes as u128),
                }
            }
            StateType::Kv { k, v, heads, dim } => {
                let row = [k, v].map(|ty| heads * dim / ty.block_len() * ty.block_bytes());
                let rows = |bytes: usize| whole_lines(context as u128 * bytes as u128);
                StateBytes::Kv {
                    k: rows(row[0]),
                    v: rows(row[1]),
                    row,
                }
            }
        }
    }
}

impl Executable {
    /// What a session of these options takes.
    pub fn footprint(&self, options: &SessionOptions) -> Footprint {
        let mut footprint = Footprint {
            packed_weights: self.packed_bytes() as u128,
            arena: whole_lines(self.arena_bytes() as u128),
            ..Footprint::default()
        };
        for state in self.states(options.context, options.rollback) {
            footprint.count(&state);
        }
        footprint
    }

    /// The largest context for which a session of these options, the weights included, fits into
    /// `bytes`, up to `most` tokens; `None` where not even one token fits. `packed` tells whether
    /// the weights have to fit too, or stay in the mapped file.
    pub fn largest_context(
        &self,
        options: &SessionOptions,
        packed: bool,
        bytes: u128,
        most: usize,
    ) -> Option<usize> {
        let fits = |context: usize| {
            let footprint = self.footprint(&options.context(context));
            let needed = match packed {
                true => footprint.total(),
                false => footprint.session(),
            };
            needed <= bytes
        };
        if most == 0 || !fits(1) {
            return None;
        }
        // `low` fits, and all above `high` do not, or are not wanted.
        let (mut low, mut high) = (1, most);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            match fits(middle) {
                true => low = middle,
                false => high = middle - 1,
            }
        }
        Some(low)
    }
}

impl Footprint {
    pub(super) fn count(&mut self, state: &StateBytes) {
        match state {
            StateBytes::Recurrent { values, log } => {
                self.recurrent += values;
                self.rollback += log;
            }
            StateBytes::Kv { k, v, .. } => self.kv += k + v,
        }
    }
}
