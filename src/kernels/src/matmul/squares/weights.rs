//! A few blocks of a panel as the tile multiplier takes them.

use std::arch::x86_64::__m512i;
use std::ops::Range;

use super::{MOST_BLOCKS, wide};
use crate::isa::amx::SIDE;
use crate::isa::{Avx512, Isa};
use crate::matmul::block::{Head, scale_of};
use crate::matmul::tokens::InTile;
use crate::panel::{BlockBuffer, Panel, PanelBlock};
use crate::quant::{Format, Offset, Scales};

/// Lines of the weights that are unpacked at a time.
const LINES: usize = 64;
/// Most lines of a block's minimums.
const MOST_MINS: usize = 16;

pub(super) struct Weights {
    /// For one float sum after another of a block its weights, four bytes of each row a line.
    lower: [__m512i; LINES],
    upper: [__m512i; LINES],
    /// Minimums of a block as pairs of `bf16`, twice: formats with such are unpacked block by block.
    mins: [__m512i; MOST_MINS],
    pub(super) heads: [Head<Avx512>; MOST_BLOCKS],
}

impl Weights {
    #[inline(always)]
    pub(super) fn new() -> Weights {
        Weights {
            lower: [Avx512::izero(); LINES],
            upper: [Avx512::izero(); LINES],
            mins: [Avx512::izero(); MOST_MINS],
            heads: [Head::none(); MOST_BLOCKS],
        }
    }

    #[inline(always)]
    pub(super) fn unpack<F: Format>(
        &mut self,
        panel: &Panel<'_>,
        blocks: Range<usize>,
        buffer: &mut BlockBuffer,
    ) {
        for (i, b) in blocks.enumerate() {
            let block = panel.block::<F>(b, buffer);
            self.heads[i] = Head::new::<F, InTile<'_, SIDE>>(block);
            let lines = i * F::LEN / 4..(i + 1) * F::LEN / 4;
            unpack::<F>(
                block,
                &mut self.lower[lines.clone()],
                &mut self.upper[lines],
            );
            if F::OFFSET == Offset::Mins {
                unpack_mins::<F>(block, &mut self.mins);
            }
        }
    }

    /// Where the `step`-th part of `bytes` of the weights of sum `j` of block `b` begin: lower bytes,
    /// and upper ones if a weight has two.
    #[inline(always)]
    pub(super) fn of_step<F: Format>(
        &self,
        b: usize,
        j: usize,
        step: usize,
        bytes: usize,
    ) -> (*const u8, *const u8) {
        let line = (b * F::LEN + j * (F::LEN / F::SUMS) + step * bytes) / 4;
        let at = |lines: &[__m512i]| lines[line..][..bytes / 4].as_ptr().cast();
        (at(&self.lower), at(&self.upper))
    }

    #[inline(always)]
    pub(super) fn mins(&self) -> *const u8 {
        self.mins.as_ptr().cast()
    }
}

#[inline(always)]
fn unpack<F: Format>(block: PanelBlock<'_>, lower: &mut [__m512i], upper: &mut [__m512i]) {
    let groups = F::LEN / 32;
    for g in 0..groups {
        for j in 0..8 {
            let line = match F::SUMS {
                8 => j * groups + g,
                _ => 8 * g + j,
            };
            let quants = F::quants::<Avx512>(&block, g, j);
            if !wide::<F>() {
                lower[line] = quants;
                continue;
            }
            let scale = F::scale::<Avx512>(&block, scale_of::<F>(g, j));
            let scale = Avx512::paired(scale, scale);
            (lower[line], upper[line]) = match F::SIGNED {
                true => Avx512::scaled::<true>(quants, scale),
                false => Avx512::scaled::<false>(quants, scale),
            };
        }
    }
}

/// Minimums as pairs of `bf16`, once for each part of the sums that they meet.
#[inline(always)]
fn unpack_mins<F: Format>(block: PanelBlock<'_>, mins: &mut [__m512i; MOST_MINS]) {
    let pairs = if F::SCALES == Scales::Of32 { 4 } else { 8 };
    for s in 0..pairs {
        let even = Avx512::to_f32(F::min::<Avx512>(&block, 2 * s));
        let odd = Avx512::to_f32(F::min::<Avx512>(&block, 2 * s + 1));
        let pair = Avx512::bf16_pair(even, odd);
        (mins[s], mins[pairs + s]) = (pair, pair);
    }
}
