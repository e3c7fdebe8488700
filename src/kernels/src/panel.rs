//! Panels: sixteen weight rows, interleaved so that a vector holds the same four bytes of each.
//!
//! Of a panel's blocks come first the columns, block by block: column `i` is bytes
//! `4i .. 4i + 4` of the sixteen rows' blocks, row after row. Where a byte or two of a block stand
//! apart (`Format::WORD`), those follow, again block by block. A panel takes the bytes of its
//! rows, rounded up to a cache line; rows that a last panel lacks are zeros.

use super::isa::Isa;
use super::quant::{Block, Format, WeightType, column_at, columns, with_format, word_bytes};

/// Rows of a panel.
pub const ROWS: usize = 16;

/// Bytes of one column of a panel.
const COLUMN: usize = 4 * ROWS;
/// The most bytes of a panel's block that stand apart.
const MOST_WORDS: usize = 2 * ROWS;
/// The most columns that a format's block has (Q6_K's).
const MOST_COLUMNS: usize = 52;

/// Bytes of a panel's block that stand apart.
const fn words_of<F: Format>() -> usize {
    ROWS * word_bytes::<F>()
}

/// Bytes of a panel of rows of `n` weights; panels of floats do not exist, their rows stay as
/// they are.
///
/// # Panics
/// If `n` is not a whole number of blocks.
pub fn panel_bytes(ty: WeightType, n: usize) -> usize {
    (ROWS * ty.row_bytes(n)).next_multiple_of(64)
}

/// Bytes of `rows` rows as kernels read them: in panels, or as they are.
///
/// # Panics
/// As [`panel_bytes`].
pub fn packed_bytes(ty: WeightType, rows: usize, n: usize) -> usize {
    match has_panels(ty) {
        true => rows.div_ceil(ROWS) * panel_bytes(ty, n),
        false => rows * ty.row_bytes(n),
    }
}

/// Whether weights of this type are kept in panels.
pub fn has_panels(ty: WeightType) -> bool {
    ty.block_len() > 1
}

/// Interleaves up to sixteen whole rows of `n` weights.
///
/// # Panics
/// If there are more rows, a part of one, or `to` is not [`panel_bytes`] long.
pub fn pack(ty: WeightType, n: usize, rows: &[u8], to: &mut [u8]) {
    let row_bytes = ty.row_bytes(n);
    assert!(rows.len() <= ROWS * row_bytes && rows.len().is_multiple_of(row_bytes.max(1)));
    assert_eq!(to.len(), panel_bytes(ty, n), "bytes of a panel");
    with_format!(ty, F => pack_blocks::<F>(rows, row_bytes, to), float => {
        unreachable!("rows of floats have no panels")
    });
}

fn pack_blocks<F: Format>(rows: &[u8], row_bytes: usize, to: &mut [u8]) {
    let blocks = row_bytes / F::BYTES;
    let (tiles, words) = to.split_at_mut(blocks * columns::<F>() * COLUMN);
    for b in 0..blocks {
        let tile = &mut tiles[b * columns::<F>() * COLUMN..][..columns::<F>() * COLUMN];
        let words = &mut words[b * words_of::<F>()..(b + 1) * words_of::<F>()];
        interleave::<F>(rows, row_bytes, b, tile, words);
    }
}

/// Block `b` of each row into its place. Not a part of the products, in which it would be compiled
/// very often; cold, so that those of a panel keep their registers where it is called.
#[cold]
#[inline(never)]
fn interleave<F: Format>(
    rows: &[u8],
    row_bytes: usize,
    b: usize,
    tile: &mut [u8],
    words: &mut [u8],
) {
    if rows.len() < ROWS * row_bytes {
        tile.fill(0);
        words.fill(0);
    }
    for (r, row) in rows.chunks_exact(row_bytes).enumerate() {
        let block = &row[b * F::BYTES..][..F::BYTES];
        for i in 0..columns::<F>() {
            let at = column_at::<F>(i);
            tile[i * COLUMN + 4 * r..][..4].copy_from_slice(&block[at..at + 4]);
        }
        if let Some(at) = F::WORD {
            let bytes = word_bytes::<F>();
            words[bytes * r..][..bytes].copy_from_slice(&block[at..at + bytes]);
        }
    }
}

/// One block of sixteen rows, interleaved.
#[derive(Clone, Copy)]
pub(super) struct PanelBlock<'a> {
    columns: &'a [u8],
    words: &'a [u8],
}

impl<I: Isa> Block<I> for PanelBlock<'_> {
    #[inline(always)]
    fn column(&self, i: usize) -> I::B {
        debug_assert!((i + 1) * COLUMN <= self.columns.len());
        // SAFETY: a tile has every column of its format's block, and formats, the only callers,
        // ask for no others: tests unpack each of them with checks.
        I::column(unsafe { &*self.columns.as_ptr().add(i * COLUMN).cast() })
    }
}

impl<'a> PanelBlock<'a> {
    /// Where column `i` lies, which takes a cache line.
    #[inline(always)]
    pub(super) fn line(&self, i: usize) -> *const u8 {
        self.columns.as_ptr().wrapping_add(i * COLUMN)
    }

    /// Where what stands apart lies, if anything does.
    #[inline(always)]
    pub(super) fn words_at(&self) -> Option<*const u8> {
        (!self.words.is_empty()).then_some(self.words.as_ptr())
    }

    /// What stands apart, one byte or two of each row.
    ///
    /// # Panics
    /// If that is fewer than `N` bytes.
    #[inline(always)]
    pub(super) fn words<const N: usize>(&self) -> &'a [u8; N] {
        self.words.first_chunk().expect("as many as a format has")
    }
}

/// Where the blocks of sixteen rows are taken from.
pub(super) enum Panel<'a> {
    /// A panel.
    Packed(&'a [u8]),
    /// Up to sixteen rows as the file has them, each of so many bytes.
    Rows(&'a [u8], usize),
}

/// Room for one block of sixteen rows.
#[repr(align(64))]
pub(super) struct BlockBuffer([u8; COLUMN * MOST_COLUMNS], [u8; MOST_WORDS]);

impl BlockBuffer {
    pub(super) fn new() -> BlockBuffer {
        BlockBuffer([0; COLUMN * MOST_COLUMNS], [0; MOST_WORDS])
    }
}

impl Panel<'_> {
    /// Blocks of a row.
    #[inline(always)]
    pub(super) fn blocks<F: Format>(&self) -> usize {
        match self {
            Panel::Packed(panel) => panel.len() / (ROWS * F::BYTES),
            Panel::Rows(_, row_bytes) => row_bytes / F::BYTES,
        }
    }

    /// Where block `b` lies, or would lie after the last one. Before they are interleaved, that of
    /// the first row.
    #[inline(always)]
    pub(super) fn block_at<F: Format>(&self, b: usize) -> *const u8 {
        match self {
            Panel::Packed(panel) => panel.as_ptr().wrapping_add(b * columns::<F>() * COLUMN),
            Panel::Rows(rows, _) => rows.as_ptr().wrapping_add(b * F::BYTES),
        }
    }

    /// Block `b`, interleaved here and now if it is not yet.
    #[inline(always)]
    pub(super) fn block<'t, F: Format>(
        &'t self,
        b: usize,
        buffer: &'t mut BlockBuffer,
    ) -> PanelBlock<'t> {
        let bytes = columns::<F>() * COLUMN;
        match self {
            Panel::Packed(panel) => {
                let words = self.blocks::<F>() * bytes + b * words_of::<F>();
                PanelBlock {
                    columns: &panel[b * bytes..(b + 1) * bytes],
                    words: &panel[words..words + words_of::<F>()],
                }
            }
            Panel::Rows(rows, row_bytes) => {
                let BlockBuffer(tile, words) = buffer;
                let words = &mut words[..words_of::<F>()];
                interleave::<F>(rows, *row_bytes, b, &mut tile[..bytes], words);
                PanelBlock {
                    columns: &tile[..bytes],
                    words,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_has_every_byte_of_its_rows_once() {
        for ty in WeightType::ALL.into_iter().filter(|ty| has_panels(*ty)) {
            let n = 3 * ty.block_len();
            let row_bytes = ty.row_bytes(n);
            let rows: Vec<u8> = (0..ROWS * row_bytes)
                .map(|i| (i * 31 % 251) as u8)
                .collect();
            let mut panel = vec![0xaa; panel_bytes(ty, n)];
            pack(ty, n, &rows, &mut panel);
            let count = |bytes: &[u8]| {
                let mut counts = [0; 256];
                bytes.iter().for_each(|b| counts[usize::from(*b)] += 1);
                counts
            };
            assert_eq!(count(&panel[..rows.len()]), count(&rows), "{ty:?}");
        }
    }

    #[test]
    fn a_column_is_the_same_four_bytes_of_each_row() {
        let ty = WeightType::Q4_K;
        let rows: Vec<u8> = (0..2 * 144).map(|i| i as u8).collect();
        let mut panel = vec![0xaa; panel_bytes(ty, 256)];
        pack(ty, 256, &rows, &mut panel);
        assert_eq!(panel[64..72], [4, 5, 6, 7, 148, 149, 150, 151]);
        assert_eq!(panel[72..128], [0; 56], "rows that are not there");
    }
}
