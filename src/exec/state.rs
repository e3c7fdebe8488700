//! What a session keeps between runs.

use sharpi_ir::{Dim, StateType};

use crate::kernels::memory::Arena;
use crate::kernels::ops::StateView;

use super::error::RunError;

/// One state with its memory, and how many tokens it has seen.
pub(super) struct State {
    memory: Memory,
    pub(super) consumed: usize,
}

enum Memory {
    Recurrent(Arena),
    Kv { k: Arena, v: Arena },
}

impl State {
    /// A fresh state, for `context` positions.
    pub(super) fn new(ty: &StateType, context: usize) -> Result<State, RunError> {
        let memory = match ty {
            StateType::Recurrent(t) => {
                let sizes = t.shape.iter().map(|d| match d {
                    Dim::Fixed(n) => *n as u128,
                    Dim::Sym(_) => 1,
                });
                Memory::Recurrent(allocate(sizes.product::<u128>() * 4)?)
            }
            StateType::Kv { k, v, heads, dim } => {
                let elements = context as u128 * *heads as u128 * *dim as u128;
                Memory::Kv {
                    k: allocate(elements * k.block_bytes() as u128)?,
                    v: allocate(elements * v.block_bytes() as u128)?,
                }
            }
        };
        Ok(State {
            memory,
            consumed: 0,
        })
    }

    /// As before the first token.
    pub(super) fn reset(&mut self) {
        self.consumed = 0;
        match &mut self.memory {
            Memory::Recurrent(arena) => arena.clear(),
            // Rows beyond `consumed` are never read.
            Memory::Kv { .. } => {}
        }
    }

    /// Whether the state is a cache by position, which can go back.
    pub(super) fn is_cache(&self) -> bool {
        matches!(self.memory, Memory::Kv { .. })
    }

    pub(super) fn view(&mut self) -> StateView<'_> {
        match &mut self.memory {
            Memory::Recurrent(arena) => StateView::Recurrent(arena.share()),
            Memory::Kv { k, v } => StateView::Kv {
                k: k.share(),
                v: v.share(),
            },
        }
    }
}

fn allocate(bytes: u128) -> Result<Arena, RunError> {
    // A context that no machine can hold would otherwise abort the process.
    match usize::try_from(bytes) {
        Ok(n) if n < 1 << 40 => Ok(Arena::new(n)),
        _ => Err(RunError::Memory { bytes }),
    }
}
