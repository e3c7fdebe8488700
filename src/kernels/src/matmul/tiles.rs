//! Activations of many tokens in the order in which the products read them.
//!
//! A tile is twelve tokens. A block of all tiles comes after the block before it, so that who goes
//! from tile to tile with some weights reads on. Of a block of a tile one slot comes after
//! another: a slot is the same four bytes of each token, so that a product finds those of all
//! twelve behind a single address. The last tile is filled up with zeros.

use crate::panel::has_panels;
use crate::quant::{Format, Offset, Scales, WeightType, with_format};

/// Tokens of a tile.
pub(super) const TOKENS: usize = 12;

/// Where a block keeps what, in slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TileLayout {
    /// Quants of a block.
    len: usize,
    /// Bytes of a block of a row, and where its quants start.
    pub(super) row: (usize, usize),
    /// Whether the quants of two neighbouring groups of 32 are mixed: first the lower two of each
    /// four, then the upper two.
    mixed: bool,
    sums: Sums,
    /// Whether there is a float to add.
    offset: bool,
}

/// Which sums of a token's quants the weights need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sums {
    None,
    /// Pairs of sums of 16.
    Of16,
    /// Pairs of sums of 32.
    Of32,
}

impl TileLayout {
    /// The layout that weights of this format read.
    pub(super) const fn of<F: Format>() -> TileLayout {
        TileLayout {
            len: F::LEN,
            row: match (F::LEN, F::OFFSET) {
                (256, _) => (292, 4),
                (_, Offset::Added) => (36, 4),
                _ => (34, 2),
            },
            mixed: mixed::<F>(),
            sums: match (F::OFFSET, F::SCALES) {
                (Offset::Mins, Scales::Of32) => Sums::Of32,
                (Offset::Mins, _) => Sums::Of16,
                _ if F::BIAS != 0 => Sums::Of16,
                _ => Sums::None,
            },
            offset: matches!(F::OFFSET, Offset::Added),
        }
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
            }
    }

    pub(super) const fn offset_at(self) -> usize {
        self.d_at() + 1
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
                    ty, F => TileLayout::of::<F>(), float => unreachable!("rows of floats have no tiles")
                ))
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
        with_format!(ty, F => self.fill_for(TileLayout::of::<F>(), tokens, rows), float => {
            unreachable!("rows of floats have no tiles")
        });
    }

    fn fill_for(&mut self, layout: TileLayout, tokens: usize, rows: &[u8]) {
        let row_bytes = rows.len() / tokens.max(1);
        let (bytes, _) = layout.row;
        assert!(rows.len() == tokens * row_bytes && row_bytes.is_multiple_of(bytes));
        self.layout = Some(layout);
        (self.tokens, self.blocks) = (tokens, row_bytes / bytes);
        let (tiles, len) = (tokens.div_ceil(TOKENS), layout.slots() * TOKENS);
        self.slots.resize(self.blocks * tiles * len, 0);
        let blocks = self.slots.chunks_exact_mut((tiles * len).max(1));
        for (b, tiles) in blocks.enumerate() {
            let tiles = tiles.chunks_exact_mut(len);
            for (slots, rows) in tiles.zip(rows.chunks(TOKENS * row_bytes)) {
                if rows.len() < TOKENS * row_bytes {
                    slots.fill(0);
                }
                for (t, row) in rows.chunks_exact(row_bytes).enumerate() {
                    arrange(layout, &row[b * bytes..(b + 1) * bytes], &mut slots[t..]);
                }
            }
        }
    }

    /// `B` blocks of tile `i` from block `first` on, as the layout of the weights says.
    #[inline(always)]
    pub(super) fn run<F: Format, const B: usize>(&self, i: usize, first: usize) -> [&[u32]; B] {
        debug_assert_eq!(self.layout, Some(TileLayout::of::<F>()));
        let (tiles, len) = (
            self.tokens.div_ceil(TOKENS),
            TileLayout::of::<F>().slots() * TOKENS,
        );
        let mut blocks = [&self.slots[..]; B];
        for (b, block) in blocks.iter_mut().enumerate() {
            *block = &self.slots[((first + b) * tiles + i) * len..][..len];
        }
        blocks
    }
}

/// One token's block to where `slots` begins, of each slot one.
#[inline(always)]
fn arrange(layout: TileLayout, block: &[u8], slots: &mut [u32]) {
    let mut set = |slot: usize, value: u32| slots[slot * TOKENS] = value;
    let (head, rest) = block.split_at(layout.row.1);
    let (quants, sums) = rest.split_at(layout.len);
    let (quants, _) = quants.as_chunks::<4>();
    if layout.mixed {
        for (g, two) in quants.chunks_exact(16).enumerate() {
            for j in 0..8 {
                let (a, b) = (u32::from_le_bytes(two[j]), u32::from_le_bytes(two[8 + j]));
                set(16 * g + j, a & 0xffff | b << 16);
                set(16 * g + 8 + j, a >> 16 | b & 0xffff_0000);
            }
        }
    } else {
        for (z, q) in quants.iter().enumerate() {
            set(z, u32::from_le_bytes(*q));
        }
    }
    let (sums, _) = sums.as_chunks::<4>();
    match layout.sums {
        Sums::None => {}
        Sums::Of16 => {
            for (s, pair) in sums.iter().enumerate() {
                set(layout.sums_at() + s, u32::from_le_bytes(*pair));
            }
        }
        Sums::Of32 => {
            let both = |pair: [u8; 4]| {
                let [a, b, c, d] = pair;
                i16::from_le_bytes([a, b]).wrapping_add(i16::from_le_bytes([c, d])) as u16
            };
            for (s, four) in sums.chunks_exact(2).enumerate() {
                let (low, high) = (both(four[0]), both(four[1]));
                set(layout.sums_at() + s, u32::from(low) | u32::from(high) << 16);
            }
        }
    }
    let f16 = |at: usize| half::f16::from_le_bytes([head[at], head[at + 1]]).to_f32();
    let d = match layout.len {
        256 => f32::from_le_bytes([head[0], head[1], head[2], head[3]]),
        _ => f16(0),
    };
    set(layout.d_at(), d.to_bits());
    if layout.offset {
        set(layout.offset_at(), f16(2).to_bits());
    }
}
