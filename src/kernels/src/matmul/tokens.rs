//! The activations that a block of weights meets: blocks of some tokens.

use super::tiles::TileLayout;
use crate::isa::Isa;
use crate::quant::Format;

/// The same block of some tokens.
pub(super) trait Tokens: Copy {
    /// Whether they are part of a tile, in the order that `tiles` describes.
    const TILES: bool;
    /// Token `t`'s quants at place `z`, four.
    fn quants<F: Format>(&self, t: usize, z: usize) -> i32;
    /// Its `s`-th pair of sums.
    fn sums<F: Format>(&self, t: usize, s: usize) -> i32;
    /// The factor of its `part`-th block, where a block of weights meets several.
    fn d<I: Isa, F: Format>(&self, t: usize, part: usize) -> f32;
    /// What it adds, where the format has that.
    fn offset<I: Isa, F: Format>(&self, t: usize) -> f32;
}

/// Rows as they were rounded.
#[derive(Clone, Copy)]
pub(super) struct InRows<'a, const T: usize>([&'a [u8]; T]);

impl<'a, const T: usize> InRows<'a, T> {
    /// Blocks that begin every `row_bytes`.
    #[inline(always)]
    pub(super) fn new<F: Format>(blocks: &'a [u8], row_bytes: usize) -> InRows<'a, T> {
        let (bytes, _) = TileLayout::of::<F>().row;
        // Not `from_fn`: with callers enough the compiler makes that a call, for every block.
        let mut tokens = [blocks; T];
        for (t, block) in tokens.iter_mut().enumerate() {
            *block = &blocks[t * row_bytes..][..bytes];
        }
        InRows(tokens)
    }

    /// Four bytes from `at` on. A check of bounds in the innermost loop would cost as much as
    /// the product.
    #[inline(always)]
    fn int(&self, t: usize, at: usize) -> i32 {
        let block = self.0[t];
        debug_assert!(at + 4 <= block.len());
        // SAFETY: a block is as long as `TileLayout::row` says, and each of the callers below stays
        // within: quants end where the block or its sums begin, there are eight pairs of those.
        i32::from_le_bytes(unsafe { block.as_ptr().add(at).cast::<[u8; 4]>().read() })
    }

    #[inline(always)]
    fn half<I: Isa>(&self, t: usize, at: usize) -> f32 {
        I::f16(u16::from_le_bytes([self.0[t][at], self.0[t][at + 1]]))
    }
}

impl<const T: usize> Tokens for InRows<'_, T> {
    const TILES: bool = false;

    #[inline(always)]
    fn quants<F: Format>(&self, t: usize, z: usize) -> i32 {
        let layout = TileLayout::of::<F>();
        let (part, z) = (z / layout.places(), z % layout.places());
        self.int(t, part * layout.part_bytes() + layout.row.1 + 4 * z)
    }
    #[inline(always)]
    fn sums<F: Format>(&self, t: usize, s: usize) -> i32 {
        self.int(t, 260 + 4 * s)
    }
    #[inline(always)]
    fn d<I: Isa, F: Format>(&self, t: usize, part: usize) -> f32 {
        match F::LEN {
            256 => f32::from_bits(self.int(t, 0) as u32),
            _ => self.half::<I>(t, part * TileLayout::of::<F>().part_bytes()),
        }
    }
    #[inline(always)]
    fn offset<I: Isa, F: Format>(&self, t: usize) -> f32 {
        self.half::<I>(t, 2)
    }
}

/// A block of a tile of `N` tokens, from some token on.
#[derive(Clone, Copy)]
pub(super) struct InTile<'a, const N: usize>(&'a [u32]);

impl<'a, const N: usize> InTile<'a, N> {
    /// The `count` tokens from `first` on of a block with all its slots.
    #[inline(always)]
    pub(super) fn new<F: Format>(block: &'a [u32], first: usize, count: usize) -> InTile<'a, N> {
        assert!(block.len() == TileLayout::in_tiles::<F>(N).slots() * N && first + count <= N);
        InTile(&block[first..])
    }

    #[inline(always)]
    fn slot(&self, t: usize, slot: usize) -> u32 {
        debug_assert!(slot * N + t < self.0.len());
        // SAFETY: `new` has seen all slots for these tokens, and the callers below ask for no
        // others.
        unsafe { *self.0.as_ptr().add(slot * N + t) }
    }
}

impl<const N: usize> Tokens for InTile<'_, N> {
    const TILES: bool = true;

    #[inline(always)]
    fn quants<F: Format>(&self, t: usize, z: usize) -> i32 {
        self.slot(t, z) as i32
    }
    #[inline(always)]
    fn sums<F: Format>(&self, t: usize, s: usize) -> i32 {
        self.slot(t, TileLayout::in_tiles::<F>(N).sums_at() + s) as i32
    }
    #[inline(always)]
    fn d<I: Isa, F: Format>(&self, t: usize, part: usize) -> f32 {
        f32::from_bits(self.slot(t, TileLayout::in_tiles::<F>(N).d_at() + part))
    }
    #[inline(always)]
    fn offset<I: Isa, F: Format>(&self, t: usize) -> f32 {
        f32::from_bits(self.slot(t, TileLayout::in_tiles::<F>(N).offset_at()))
    }
}
