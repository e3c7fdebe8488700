//! A matrix of weights, in panels or as a file has it.

use crate::panel::{Panel, ROWS, has_panels, packed_bytes, panel_bytes};
use crate::quant::WeightType;

/// A matrix of weights, `rows` of `n`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    /// The format.
    pub ty: WeightType,
    /// Weights of a row.
    pub n: usize,
    /// Rows.
    pub rows: usize,
    pub(super) bytes: &'a [u8],
    pub(super) packed: bool,
}

impl<'a> Matrix<'a> {
    /// Whole rows, one after another, as a file has them.
    ///
    /// # Panics
    /// If `bytes` is not a whole number of rows.
    pub fn of_rows(ty: WeightType, n: usize, bytes: &'a [u8]) -> Matrix<'a> {
        let row_bytes = ty.row_bytes(n).max(1);
        assert!(bytes.len().is_multiple_of(row_bytes), "a part of a row");
        let rows = bytes.len() / row_bytes;
        let packed = false;
        Matrix {
            ty,
            n,
            rows,
            bytes,
            packed,
        }
    }

    /// Panels, one after another ([`pack`](crate::panel::pack)).
    ///
    /// # Panics
    /// If there are not as many as `rows` make.
    pub fn of_panels(ty: WeightType, n: usize, rows: usize, bytes: &'a [u8]) -> Matrix<'a> {
        assert!(has_panels(ty) && bytes.len() == packed_bytes(ty, rows, n));
        let packed = true;
        Matrix {
            ty,
            n,
            rows,
            bytes,
            packed,
        }
    }

    /// Rows `ROWS · p ..`.
    #[inline(always)]
    pub(super) fn panel(&self, p: usize) -> Panel<'a> {
        if self.packed {
            let bytes = panel_bytes(self.ty, self.n);
            return Panel::Packed(&self.bytes[p * bytes..(p + 1) * bytes]);
        }
        let row_bytes = self.ty.row_bytes(self.n);
        let end = self.rows.min((p + 1) * ROWS);
        Panel::Rows(
            &self.bytes[p * ROWS * row_bytes..end * row_bytes],
            row_bytes,
        )
    }
}
