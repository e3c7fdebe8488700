//! Many tokens: the quants of a few blocks are unpacked and meet every tile of activations.

use super::block::{Head, Unpacked, add_blocks, sums_of, unpack};
use super::tiles::{TOKENS, Tiles};
use super::tokens::InTile;
use super::{Matrix, panels, store};
use crate::columns::ColumnsMut;
use crate::isa::{Cache, Isa, prefetch};
use crate::panel::{BlockBuffer, Panel};
use crate::quant::{self, Format};
use crate::simd::multiversion;
use std::ops::Range;

/// Tiles that meet the same weights: their sums should stay in L2. Activations are read one after
/// another, which L3 is fast enough for.
const MOST_TILES: usize = 24;
/// Blocks that are unpacked at a time: their quants should stay in L1.
const BLOCKS: usize = 2;

multiversion! {
    /// [`super::matmul_rows`] for any number of tokens.
    pub(super) fn many_tokens<F: Format>(
        weights: Matrix<'_>, rows: Range<usize>, acts: &Tiles, out: &mut ColumnsMut<'_>,
    ) = many;
}

#[inline(always)]
fn many<I: Isa, F: Format>(
    weights: Matrix<'_>,
    rows: Range<usize>,
    acts: &Tiles,
    out: &mut ColumnsMut<'_>,
) {
    let tiles = acts.tokens.div_ceil(TOKENS);
    // So many that each time there are about as many.
    let some = tiles.div_ceil(tiles.div_ceil(MOST_TILES).max(1)).max(1);
    let mut sums = vec![I::splat(0.0); some * TOKENS * sums_of::<F>()];
    let mut group = Group::<I>::new();
    for first in (0..tiles).step_by(some) {
        let tiles = first..tiles.min(first + some);
        for p in panels(&rows) {
            let panel = weights.panel(p);
            let mut b = 0;
            while b < acts.blocks {
                let count = if acts.blocks - b < BLOCKS { 1 } else { BLOCKS };
                group.unpack::<F>(&panel, b..b + count);
                let next = panel.block_at::<F>(b + count);
                let lines = (BLOCKS * quant::columns::<F>()).div_ceil(tiles.len());
                let all = sums.chunks_exact_mut(TOKENS * sums_of::<F>());
                for (n, (i, sums)) in tiles.clone().zip(all).enumerate() {
                    for line in n * lines..(n + 1) * lines {
                        prefetch(next.wrapping_add(line * 64), Cache::L2);
                    }
                    let tokens = i * TOKENS..acts.tokens.min((i + 1) * TOKENS);
                    // While they are in L1, so before the first blocks and after the last.
                    if b == 0 {
                        sums.fill(I::splat(0.0));
                    }
                    match count {
                        1 => group.add::<F, 1>(acts, (i, b), tokens.len(), sums),
                        _ => group.add::<F, BLOCKS>(acts, (i, b), tokens.len(), sums),
                    }
                    if b + count == acts.blocks {
                        store::<I, F>(sums, p, &rows, tokens, out);
                    }
                }
                b += count;
            }
        }
    }
}

/// A few blocks of a panel, unpacked.
struct Group<I: Isa> {
    quants: [[I::B; 64]; BLOCKS],
    heads: [Head<I>; BLOCKS],
    buffer: BlockBuffer,
}

impl<I: Isa> Group<I> {
    #[inline(always)]
    fn new() -> Group<I> {
        Group {
            quants: [[I::column(&[0; 64]); 64]; BLOCKS],
            heads: [Head::none(); BLOCKS],
            buffer: BlockBuffer::new(),
        }
    }

    #[inline(always)]
    fn unpack<F: Format>(&mut self, panel: &Panel<'_>, blocks: Range<usize>) {
        for (i, b) in blocks.enumerate() {
            let tile = panel.block::<F>(b, &mut self.buffer);
            self.heads[i] = Head::new::<F, InTile<'_>>(tile);
            unpack::<I, F>(tile, &mut self.quants[i]);
        }
    }

    /// Adds the first `B` blocks, which begin with block `b` of the row, to the sums of the
    /// first tokens of tile `i`, and perhaps of some more.
    #[inline(always)]
    fn add<F: Format, const B: usize>(
        &self,
        acts: &Tiles,
        (i, b): (usize, usize),
        tokens: usize,
        sums: &mut [I::F],
    ) {
        let blocks = acts.run::<F, B>(i, b);
        if I::WIDE == TOKENS && tokens > TOKENS - 4 {
            self.add_tokens::<F, TOKENS, B>(blocks, 0, sums);
            return;
        }
        let mut t = 0;
        while t < tokens {
            t += match I::WIDE {
                1 => self.add_tokens::<F, 1, B>(blocks, t, sums),
                _ => self.add_tokens::<F, 4, B>(blocks, t, sums),
            };
        }
    }

    /// Adds blocks to the sums of a tile's `T` tokens from `first` on. Returns `T`.
    #[inline(always)]
    fn add_tokens<F: Format, const T: usize, const B: usize>(
        &self,
        blocks: [&[u32]; B],
        first: usize,
        sums: &mut [I::F],
    ) -> usize {
        let mut acts = [InTile::new::<F>(blocks[0], first, T); B];
        let mut quants = [Unpacked::<I>(&self.quants[0]); B];
        let mut heads = [&self.heads[0]; B];
        for b in 1..B {
            acts[b] = InTile::new::<F>(blocks[b], first, T);
            quants[b] = Unpacked(&self.quants[b]);
            heads[b] = &self.heads[b];
        }
        let sums = &mut sums[first * sums_of::<F>()..];
        add_blocks::<I, F, _, T, B>(quants, heads, acts, sums);
        T
    }
}
