//! Activations of many tokens in the order in which the products read them.
//!
//! A tile is twelve tokens. A block of all tiles comes after the block before it, so that who goes
//! from tile to tile with some weights reads on. Of a block of a tile one slot comes after
//! another: a slot is the same four bytes of each token, so that a product finds those of all
//! twelve behind a single address. The last tile is filled up with zeros.
//!
//! For AMX a tile is sixteen tokens, and has each token's quants one after another before the slots.

mod arrange;

use super::parts::parts;
use crate::panel::has_panels;
use crate::quant::{Format, Offset, Scales, WeightType, with_format};
use arrange::arrange;

/// Tokens of a tile for vectors.
pub(super) const TOKENS: usize = 12;
/// Bytes at whose multiples tiles of rows begin.
const LINE: usize = 64;

/// Where a block keeps what, in slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TileLayout {
    /// Tokens of a tile.
    pub(super) tokens: usize,
    /// Quants of a block.
    len: usize,
    /// Blocks of activations that make up a block here.
    parts: usize,
    /// Bytes of a block of a row, and where its quants start; of each part, if there are several.
    pub(super) row: (usize, usize),
    order: Order,
    sums: Sums,
    /// Whether there is a float to add.
    offset: bool,
}

/// Where the quants of a block lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
enum Order {
    /// In slots.
    Slots,
    /// In slots, those of two neighbouring groups of 32 mixed: first the lower two of each four,
    /// then the upper two.
    Mixed,
    /// In slots, each byte 128 larger.
    Raised,
    /// A token's one after another.
    Rows,
    /// A token's one after another, those of each of eight sums together.
    Sums,
}

/// Which sums of a token's quants the weights need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
enum Sums {
    None,
    /// Pairs of sums of 16.
    Of16,
    /// Pairs of sums of 32.
    Of32,
    /// Sums of 16 or 32 as `bf16` in so many slots, a token's one after another: first what that has
    /// room for, then what is left, then zeros.
    Floats {
        of_32: bool,
        slots: usize,
    },
}

impl TileLayout {
    /// The layout that vectors of weights of this format read.
    pub(super) const fn of<F: Format>() -> TileLayout {
        TileLayout {
            tokens: TOKENS,
            len: F::LEN,
            parts: parts::<F>(),
            row: match (F::LEN, F::OFFSET) {
                (256, _) => (292, 4),
                (_, Offset::Added) => (36, 4),
                _ => (34 * parts::<F>(), 2),
            },
            order: if mixed::<F>() {
                Order::Mixed
            } else if raised::<F>() {
                Order::Raised
            } else {
                Order::Slots
            },
            sums: match (F::OFFSET, F::SCALES) {
                (Offset::Mins, Scales::Of32) => Sums::Of32,
                (Offset::Mins, _) => Sums::Of16,
                _ if F::BIAS != 0 => Sums::Of16,
                _ => Sums::None,
            },
            offset: matches!(F::OFFSET, Offset::Added),
        }
    }

    /// The layout that AMX reads.
    #[cfg(target_arch = "x86_64")]
    pub(super) const fn of_squares<F: Format>() -> TileLayout {
        TileLayout {
            tokens: crate::isa::amx::SIDE,
            order: if F::SUMS == 8 {
                Order::Sums
            } else {
                Order::Rows
            },
            sums: match F::OFFSET {
                Offset::Mins => Sums::Floats {
                    of_32: matches!(F::SCALES, Scales::Of32),
                    slots: super::squares::bytes_of_step::<F>() / 4,
                },
                _ => TileLayout::of::<F>().sums,
            },
            ..TileLayout::of::<F>()
        }
    }

    /// The layout of tiles of so many tokens.
    pub(super) const fn in_tiles<F: Format>(tokens: usize) -> TileLayout {
        #[cfg(target_arch = "x86_64")]
        if tokens == crate::isa::amx::SIDE {
            return TileLayout::of_squares::<F>();
        }
        assert!(tokens == TOKENS);
        TileLayout::of::<F>()
    }

    /// That of so many tokens, on the machine that this runs on.
    fn best<F: Format>(_tokens: usize) -> TileLayout {
        #[cfg(target_arch = "x86_64")]
        if super::squares::pay::<F>(_tokens) {
            return TileLayout::of_squares::<F>();
        }
        TileLayout::of::<F>()
    }

    /// Whether AMX reads it.
    #[cfg(target_arch = "x86_64")]
    fn is_of_squares(self) -> bool {
        matches!(self.order, Order::Rows | Order::Sums)
    }

    /// Bytes of a part of a block.
    pub(super) const fn part_bytes(self) -> usize {
        self.row.0 / self.parts
    }

    /// Places of four quants in a part.
    pub(super) const fn places(self) -> usize {
        self.len / self.parts / 4
    }

    pub(super) const fn sums_at(self) -> usize {
        self.len / 4
    }

    pub(super) const fn d_at(self) -> usize {
        self.sums_at()
            + match self.sums {
                Sums::None => 0,
                Sums::Of16 => 8,
                Sums::Of32 => 4,
                Sums::Floats { slots, .. } => slots,
            }
    }

    pub(super) const fn offset_at(self) -> usize {
        self.d_at() + self.parts
    }

    pub(super) const fn slots(self) -> usize {
        self.offset_at() + self.offset as usize
    }
}

/// Whether weights of this format meet two groups of 32 at a time: eight sums whose parts each
/// have a scale, and products of four that fit into 16 bits.
pub(super) const fn mixed<F: Format>() -> bool {
    F::SUMS == 8 && !F::SIGNED && !matches!(F::SCALES, Scales::None)
}

/// Whether weights of this format meet bytes without signs: eight sums of signed ones as they are.
pub(super) const fn raised<F: Format>() -> bool {
    F::SUMS == 8 && F::SIGNED && F::LEN == 32 && matches!(F::SCALES, Scales::None)
}

/// Activations as products take them.
#[derive(Clone, Copy)]
pub enum Acts<'a> {
    /// Rows, one after another. Of many tokens they are brought into tiles first: who multiplies
    /// them several times does that once.
    Rows(&'a [u8]),
    /// Tiles for weights of this type.
    Tiles(&'a Tiles),
}

impl<'a> From<&'a [u8]> for Acts<'a> {
    fn from(rows: &'a [u8]) -> Acts<'a> {
        Acts::Rows(rows)
    }
}

impl<'a> From<&'a Vec<u8>> for Acts<'a> {
    fn from(rows: &'a Vec<u8>) -> Acts<'a> {
        Acts::Rows(rows)
    }
}

impl<'a> From<&'a Tiles> for Acts<'a> {
    fn from(tiles: &'a Tiles) -> Acts<'a> {
        Acts::Tiles(tiles)
    }
}

/// Up to this many tokens, rows are better.
pub(super) const FEW: usize = 8;

/// Activations of many tokens; an empty one can be filled.
#[derive(Default)]
pub struct Tiles {
    slots: Vec<u32>,
    /// Where they begin.
    start: usize,
    layout: Option<TileLayout>,
    pub(super) tokens: usize,
    pub(super) blocks: usize,
}

impl Tiles {
    /// Whether so many tokens had better come in tiles.
    pub fn pay(ty: WeightType, tokens: usize) -> bool {
        has_panels(ty) && tokens > FEW
    }

    /// Whether weights of this type can read what it is filled with.
    pub fn are_for(&self, ty: WeightType) -> bool {
        has_panels(ty)
            && self.layout
                == Some(with_format!(
                    ty,
                    F => TileLayout::best::<F>(self.tokens),
                    float => unreachable!("rows of floats have no tiles")
                ))
    }

    /// Whether they are for AMX.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn are_of_squares(&self) -> bool {
        self.layout.is_some_and(TileLayout::is_of_squares)
    }

    /// Values of a token.
    pub(super) fn n(&self) -> usize {
        self.layout.map_or(0, |layout| self.blocks * layout.len)
    }

    /// Takes rows of activations, one after another, for weights of this type.
    ///
    /// # Panics
    /// If `rows` are not `tokens` rows of the format that the weights ask for.
    pub fn fill(&mut self, ty: WeightType, tokens: usize, rows: &[u8]) {
        with_format!(ty, F => self.fill_for(TileLayout::best::<F>(tokens), tokens, rows), float => {
            unreachable!("rows of floats have no tiles")
        });
    }

    fn fill_for(&mut self, layout: TileLayout, tokens: usize, rows: &[u8]) {
        let row_bytes = rows.len() / tokens.max(1);
        let (bytes, _) = layout.row;
        assert!(rows.len() == tokens * row_bytes && row_bytes.is_multiple_of(bytes));
        self.layout = Some(layout);
        (self.tokens, self.blocks) = (tokens, row_bytes / bytes);
        let (tiles, len) = (
            tokens.div_ceil(layout.tokens),
            layout.slots() * layout.tokens,
        );
        let slots = self.blocks * tiles * len;
        self.slots.resize(slots + LINE / 4, 0);
        self.start = self.slots.as_ptr().align_offset(LINE).min(LINE / 4);
        let blocks = self.slots[self.start..][..slots].chunks_exact_mut((tiles * len).max(1));
        for (b, tiles) in blocks.enumerate() {
            let tiles = tiles.chunks_exact_mut(len);
            for (tile, rows) in tiles.zip(rows.chunks(layout.tokens * row_bytes)) {
                if rows.len() < layout.tokens * row_bytes {
                    tile.fill(0);
                }
                for (t, row) in rows.chunks_exact(row_bytes).enumerate() {
                    arrange(layout, &row[b * bytes..(b + 1) * bytes], tile, t);
                }
            }
        }
    }

    /// Block `b` of tile `i`.
    #[inline(always)]
    pub(super) fn block(&self, layout: TileLayout, i: usize, b: usize) -> &[u32] {
        debug_assert_eq!(self.layout, Some(layout));
        let (tiles, len) = (
            self.tokens.div_ceil(layout.tokens),
            layout.slots() * layout.tokens,
        );
        &self.slots[self.start + (b * tiles + i) * len..][..len]
    }

    /// `B` blocks of tile `i` from block `first` on, as the layout of the weights says.
    #[inline(always)]
    pub(super) fn run<F: Format, const B: usize>(&self, i: usize, first: usize) -> [&[u32]; B] {
        let mut blocks = [&self.slots[..]; B];
        for (b, block) in blocks.iter_mut().enumerate() {
            *block = self.block(TileLayout::of::<F>(), i, first + b);
        }
        blocks
    }
}
