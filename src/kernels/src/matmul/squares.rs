//! Many tokens by AMX: sixteen tokens meet sixteen weight rows in one instruction.
//!
//! Integers may be summed in any order, so the multiplier gives what belongs to one float sum of a
//! block, and what follows is done as vectors do it. A weight is its quant times the scale of its
//! sub-block, which takes two bytes in most formats: there is a sum of the lower bytes and one of the
//! upper ones. The minimums of a block and the sums that they are multiplied with are small enough
//! for `bf16`, in two parts, whose sums are as exact.

mod meeting;
mod weights;

use std::marker::PhantomData;
use std::ops::Range;

use super::block::sums_of;
use super::tiles::{TileLayout, Tiles};
use super::{Matrix, panels, store};
use crate::columns::ColumnsMut;
use crate::isa::amx::{Configured, SIDE, STEP};
use crate::isa::{Avx512, Isa, Part};
use crate::panel::BlockBuffer;
use crate::quant::{Format, Offset, Scales, columns, with_format};
use crate::simd::{Level, level};
use meeting::{Meeting, Results};
use weights::Weights;

/// Tiles that meet the same weights.
const MOST_TILES: usize = 32;
/// Bytes of tokens that meet some panels before the next do: they should stay in L2.
const TOKEN_BYTES: usize = 512 << 10;
/// Bytes of float sums of some panels: they should too.
const SUM_BYTES: usize = 512 << 10;
/// Most blocks that are unpacked at a time.
const MOST_BLOCKS: usize = 4;

/// From how many tokens on a format gains by it. With eight sums a block most of the time goes into
/// those, which vectors have in registers: only where these need many instructions for their products,
/// as they do for signed bytes with scales, that is made good.
const fn least<F: Format>() -> Option<usize> {
    match (F::SUMS, F::LEN, F::OFFSET) {
        (1, 256, Offset::Mins) if !F::SIGNED && wide::<F>() => Some(16),
        (1, 32, Offset::None) if F::SIGNED && !wide::<F>() => Some(16),
        (8, 256, Offset::None) if F::SIGNED && wide::<F>() => Some(32),
        _ => None,
    }
}

/// Whether so many tokens of a format gain by it.
pub(super) fn pay<F: Format>(tokens: usize) -> bool {
    const { least::<F>() }.is_some_and(|least| tokens >= least) && level() == Level::Amx
}

/// [`super::matmul_rows`] for tiles with [`TileLayout::of_squares`], which were filled where the
/// multiplier is available.
pub(super) fn matmul(
    weights: Matrix<'_>,
    rows: Range<usize>,
    acts: &Tiles,
    out: &mut ColumnsMut<'_>,
) {
    with_format!(
        weights.ty,
        F => match const { least::<F>() } {
            Some(_) => Avx512::apart(Squares { weights, rows, acts, out, format: PhantomData::<F> }),
            None => unreachable!("tiles of a format that gains nothing by them"),
        },
        float => unreachable!("rows of floats have no tiles")
    );
}

/// Bytes of a token that one float sum of a block takes.
const fn bytes_of_sum<F: Format>() -> usize {
    F::LEN / F::SUMS
}

/// Bytes of a token that one instruction takes.
pub(super) const fn bytes_of_step<F: Format>() -> usize {
    if bytes_of_sum::<F>() < STEP {
        bytes_of_sum::<F>()
    } else {
        STEP
    }
}

/// Whether a weight times its scale has two bytes.
const fn wide<F: Format>() -> bool {
    !matches!(F::SCALES, Scales::None)
}

/// Blocks that are unpacked at a time.
const fn blocks_at_once<F: Format>() -> usize {
    if F::LEN == 256 { 1 } else { MOST_BLOCKS }
}

struct Squares<'a, 'o, F> {
    weights: Matrix<'a>,
    rows: Range<usize>,
    acts: &'a Tiles,
    out: &'a mut ColumnsMut<'o>,
    format: PhantomData<F>,
}

impl<F: Format> Part<Avx512> for Squares<'_, '_, F> {
    #[inline(always)]
    fn run(mut self) {
        let layout = const { TileLayout::of_squares::<F>() };
        // SAFETY: whoever filled the tiles was told that there is the multiplier.
        let multiplier = unsafe { Configured::new(bytes_of_step::<F>()) };
        let tiles = self.acts.tokens.div_ceil(SIDE);
        let some = tiles.div_ceil(tiles.div_ceil(MOST_TILES).max(1)).max(1);
        let of_panel = some * SIDE * sums_of::<F>();
        let panels_at_once = (SUM_BYTES / (of_panel * 64)).max(1);
        let blocks_at_once = (TOKEN_BYTES / (some * SIDE * 4 * layout.slots()))
            .max(1)
            .next_multiple_of(const { blocks_at_once::<F>() });
        let all = panels(&self.rows);
        let mut sums = vec![Avx512::splat(0.0); panels_at_once.min(all.len()) * of_panel];
        let mut room = Room::new();
        for first in (0..tiles).step_by(some) {
            let tiles = first..tiles.min(first + some);
            for first in all.clone().step_by(panels_at_once) {
                let panels = first..all.end.min(first + panels_at_once);
                sums.fill(Avx512::splat(0.0));
                for first in (0..self.acts.blocks).step_by(blocks_at_once) {
                    let blocks = first..self.acts.blocks.min(first + blocks_at_once);
                    for (p, sums) in panels.clone().zip(sums.chunks_exact_mut(of_panel)) {
                        let of = (p, blocks.clone());
                        self.meet(&multiplier, of, tiles.clone(), sums, &mut room);
                    }
                }
                for (p, sums) in panels.zip(sums.chunks_exact(of_panel)) {
                    self.store(p, tiles.clone(), sums);
                }
            }
        }
    }
}

impl<F: Format> Squares<'_, '_, F> {
    /// Some blocks of a panel meet some tiles.
    #[inline(always)]
    fn meet(
        &self,
        multiplier: &Configured,
        (p, blocks): (usize, Range<usize>),
        tiles: Range<usize>,
        sums: &mut [<Avx512 as Isa>::F],
        room: &mut Room,
    ) {
        let panel = self.weights.panel(p);
        let mut b = blocks.start;
        while b < blocks.end {
            let count = match blocks.end - b < blocks_at_once::<F>() {
                true => 1,
                false => blocks_at_once::<F>(),
            };
            room.weights
                .unpack::<F>(&panel, b..b + count, &mut room.buffer);
            Meeting::<F::Like> {
                multiplier,
                weights: &room.weights,
                results: &mut room.results,
                blocks: b..b + count,
                next: panel.block_at::<F>(b + count),
                lines: const { blocks_at_once::<F>() * columns::<F>() },
                acts: self.acts,
                tiles: tiles.clone(),
                sums,
                format: PhantomData,
            }
            .run();
            b += count;
        }
    }

    #[inline(always)]
    fn store(&mut self, p: usize, tiles: Range<usize>, sums: &[<Avx512 as Isa>::F]) {
        for (i, sums) in tiles.zip(sums.chunks_exact(SIDE * sums_of::<F>())) {
            let tokens = i * SIDE..self.acts.tokens.min((i + 1) * SIDE);
            let sums = &sums[..tokens.len() * sums_of::<F>()];
            store::<Avx512, F>(sums, p, &self.rows, tokens, self.out);
        }
    }
}

/// What a call works in.
struct Room {
    weights: Weights,
    results: Results,
    buffer: BlockBuffer,
}

impl Room {
    #[inline(always)]
    fn new() -> Room {
        Room {
            weights: Weights::new(),
            results: Results::new(),
            buffer: BlockBuffer::new(),
        }
    }
}
