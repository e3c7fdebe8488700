//! Many tokens: the quants of a few blocks are unpacked and meet every tile of activations.

use super::block::{Head, add_blocks, sums_of};
use super::quants::{Unpacked, unpack};
use super::tiles::{TOKENS, Tiles};
use super::tokens::InTile;
use super::{Matrix, panels, store};
use crate::columns::ColumnsMut;
use crate::isa::{Cache, Isa, Part, prefetch};
use crate::panel::{BlockBuffer, Panel};
use crate::quant::{self, Format};
use crate::simd::Kernel;
use std::marker::PhantomData;
use std::ops::Range;

/// Tiles that meet the same weights: their sums should stay in L2. Activations are read one after
/// another, which L3 is fast enough for.
const MOST_TILES: usize = 24;
/// Blocks that are unpacked at a time: their quants should stay in L1.
const BLOCKS: usize = 2;

/// [`super::matmul_rows`] for any number of tokens.
pub(super) struct ManyTokens<'a, 'o, F> {
    pub(super) weights: Matrix<'a>,
    pub(super) rows: Range<usize>,
    pub(super) acts: &'a Tiles,
    pub(super) out: &'a mut ColumnsMut<'o>,
    pub(super) format: PhantomData<F>,
}

impl<F: Format> Kernel for ManyTokens<'_, '_, F> {
    #[inline(always)]
    fn run<I: Isa>(self) {
        let ManyTokens {
            weights,
            rows,
            acts,
            out,
            ..
        } = self;
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
                    let meeting = Meeting::<I, F::Like> {
                        group: &group,
                        blocks: b..b + count,
                        acts,
                        tiles: tiles.clone(),
                        sums: &mut sums,
                        next: panel.block_at::<F>(b + count),
                        lines: BLOCKS * quant::columns::<F>(),
                        rows: (p, &rows),
                        out: &mut *out,
                        format: PhantomData,
                    };
                    if F::SHARED {
                        I::apart(meeting);
                    } else {
                        meeting.run();
                    }
                    b += count;
                }
            }
        }
    }
}

/// Unpacked blocks and the tiles that meet them.
struct Meeting<'a, 'o, I: Isa, F> {
    group: &'a Group<I>,
    blocks: Range<usize>,
    acts: &'a Tiles,
    tiles: Range<usize>,
    /// Of all tokens of the tiles.
    sums: &'a mut [I::F],
    /// What is unpacked next, and how many cache lines that has.
    next: *const u8,
    lines: usize,
    /// The panel and the rows that are asked for.
    rows: (usize, &'a Range<usize>),
    out: &'a mut ColumnsMut<'o>,
    format: PhantomData<F>,
}

impl<I: Isa, F: Format> Part<I> for Meeting<'_, '_, I, F> {
    #[inline(always)]
    fn run(self) {
        let (acts, Range { start, end }) = (self.acts, self.blocks);
        let lines = self.lines.div_ceil(self.tiles.len());
        let all = self.sums.chunks_exact_mut(TOKENS * sums_of::<F>());
        for (n, (i, sums)) in self.tiles.zip(all).enumerate() {
            for line in n * lines..(n + 1) * lines {
                prefetch(self.next.wrapping_add(line * 64), Cache::L2);
            }
            let tokens = i * TOKENS..acts.tokens.min((i + 1) * TOKENS);
            // While they are in L1, so before the first blocks and after the last.
            if start == 0 {
                sums.fill(I::splat(0.0));
            }
            match end - start {
                1 => self.group.add::<F, 1>(acts, (i, start), tokens.len(), sums),
                _ => self
                    .group
                    .add::<F, BLOCKS>(acts, (i, start), tokens.len(), sums),
            }
            if end == acts.blocks {
                store::<I, F>(sums, self.rows.0, self.rows.1, tokens, self.out);
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
            self.heads[i] = Head::new::<F, InTile<'_, TOKENS>>(tile);
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
        let mut acts = [InTile::<TOKENS>::new::<F>(blocks[0], first, T); B];
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
