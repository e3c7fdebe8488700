//! Where products take the quants of a block from: the panel, or room into which they were unpacked.

use std::marker::PhantomData;

use super::tiles::mixed;
use crate::isa::{Cache, Isa, prefetch};
use crate::panel::PanelBlock;
use crate::quant::{Format, columns};

/// Where the quants of a block are taken from.
pub(super) trait Quants<I: Isa> {
    /// Those of weights `32 · g + 4 · j ..`.
    fn quants(&self, g: usize, j: usize) -> I::B;
}

/// How far ahead of their use weights are asked for, in bytes: long before into L2, so that the memory
/// always has enough to do, and shortly before into L1, whose list of misses is short.
const AHEAD_L2: usize = 64 << 10;
const AHEAD_L1: usize = 4 << 10;

/// Asks for the cache lines that far behind this one.
#[inline(always)]
fn ask_behind(line: *const u8) {
    prefetch(line.wrapping_add(AHEAD_L1), Cache::L1);
    prefetch(line.wrapping_add(AHEAD_L2), Cache::L2);
}

/// As they lie in the block. On the way the memory is asked for those of a later block, line by line,
/// spread evenly: as many at once as a block has would fill the core's list of misses.
pub(super) struct InPlace<'a, F>(PanelBlock<'a>, PhantomData<F>);

impl<'a, F: Format> InPlace<'a, F> {
    #[inline(always)]
    pub(super) fn new(block: PanelBlock<'a>) -> InPlace<'a, F> {
        // What stands apart is read where a panel ends, and is on the way of no other line.
        if let Some(words) = block.words_at() {
            ask_behind(words);
        }
        InPlace(block, PhantomData)
    }
}

impl<I: Isa, F: Format> Quants<I> for InPlace<'_, F> {
    #[inline(always)]
    fn quants(&self, g: usize, j: usize) -> I::B {
        // In the order of the products, in rounds whose steps are known when this is compiled.
        let steps = const { if F::SUMS == 8 || F::LEN == 32 { 8 } else { 16 } };
        let lines = columns::<F>().div_ceil(F::LEN / 4 / steps);
        let (round, z) = match (F::SUMS, F::LEN) {
            (8, 256) => (j, g),
            _ => ((8 * g + j) / steps, (8 * g + j) % steps),
        };
        if z * lines / steps != (z + 1) * lines / steps {
            let line = self.0.line(round * lines + z * lines / steps);
            ask_behind(line);
        }
        F::quants::<I>(&self.0, g, j)
    }
}

/// Unpacked before by [`unpack`].
#[derive(Clone, Copy)]
pub(super) struct Unpacked<'a, I: Isa>(pub(super) &'a [I::B; 64]);

/// The quants of a block as activations in tiles meet them.
#[inline(always)]
pub(super) fn unpack<I: Isa, F: Format>(tile: PanelBlock<'_>, quants: &mut [I::B; 64]) {
    for g in 0..F::LEN / 32 {
        for j in 0..8 {
            quants[8 * g + j] = F::quants::<I>(&tile, g, j);
        }
    }
    if mixed::<F>() {
        for two in quants.as_chunks_mut::<16>().0 {
            for j in 0..8 {
                (two[j], two[8 + j]) = I::mixed(two[j], two[8 + j]);
            }
        }
    }
}

impl<I: Isa> Quants<I> for Unpacked<'_, I> {
    #[inline(always)]
    fn quants(&self, g: usize, j: usize) -> I::B {
        self.0[8 * g + j]
    }
}
