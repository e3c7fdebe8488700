//! A strided view of f32 rows, by which threads write disjoint columns of one matrix.

use std::marker::PhantomData;
use std::ops::Range;

/// `rows` × `cols` f32 values; row `r` starts `r · stride` values after the first.
///
/// Several views of one row-major matrix may live at once as long as their columns
/// are disjoint: a thread then owns a range of columns of every row.
pub struct ColumnsMut<'a> {
    first: *mut f32,
    rows: usize,
    cols: usize,
    stride: usize,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: a view is as exclusive as the `&mut [f32]` rows which it stands for.
unsafe impl Send for ColumnsMut<'_> {}

impl<'a> ColumnsMut<'a> {
    /// A view of the first `cols` columns of a row-major matrix with rows of `stride` values.
    ///
    /// # Panics
    /// If `cols > stride` or `values` is not a whole number of rows.
    pub fn new(values: &'a mut [f32], cols: usize, stride: usize) -> Self {
        assert!(cols <= stride && values.len().is_multiple_of(stride.max(1)));
        let rows = values.len() / stride.max(1);
        Self {
            first: values.as_mut_ptr(),
            rows,
            cols,
            stride,
            owner: PhantomData,
        }
    }

    /// A view from its first value.
    ///
    /// # Safety
    /// For `'a`, the `cols` values from `first + r · stride` on must be valid for reads
    /// and writes for every `r < rows`, and nobody else may touch them.
    pub unsafe fn from_raw(first: *mut f32, rows: usize, cols: usize, stride: usize) -> Self {
        Self {
            first,
            rows,
            cols,
            stride,
            owner: PhantomData,
        }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns in the view.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The columns of row `r`.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline(always)]
    pub fn row_mut(&mut self, r: usize) -> &mut [f32] {
        assert!(r < self.rows, "row {r} of {}", self.rows);
        // SAFETY: `r < rows`; the constructor's contract makes these values ours, and
        // `&mut self` keeps a second slice from existing.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(r * self.stride), self.cols) }
    }

    /// Makes row `to` equal to row `from`.
    ///
    /// # Panics
    /// If there are no such rows.
    pub fn copy_row(&mut self, from: usize, to: usize) {
        let from = self.row_mut(from).as_ptr();
        // SAFETY: both are rows of our own, and rows are the same or do not overlap.
        unsafe { std::ptr::copy(from, self.row_mut(to).as_mut_ptr(), self.cols) }
    }

    /// The view of some rows and columns of this one.
    ///
    /// # Panics
    /// If they are not all there.
    pub fn part(&mut self, rows: Range<usize>, cols: Range<usize>) -> ColumnsMut<'_> {
        assert!(
            rows.start <= rows.end && rows.end <= self.rows,
            "rows {rows:?} of {}",
            self.rows
        );
        assert!(
            cols.start <= cols.end && cols.end <= self.cols,
            "columns {cols:?} of {}",
            self.cols
        );
        let first = self
            .first
            .wrapping_add(rows.start * self.stride + cols.start);
        // SAFETY: these values are among our own, which the borrow lends out.
        unsafe { ColumnsMut::from_raw(first, rows.len(), cols.len(), self.stride) }
    }
}
