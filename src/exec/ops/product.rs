//! Products of activations with weights, split by columns, with what a fused op does to a chunk's
//! columns before they are written.

use std::ops::Range;
use std::sync::Arc;

use super::activations::Activations;
use super::{Kernel, Run, Scratch, Slot, Weight};
use sharpi_kernels::activation::{ActivationType, quantize_row};
use sharpi_kernels::columns::ColumnsMut;
use sharpi_kernels::elementwise::{Rhs, add, mul, silu, swiglu};
use sharpi_kernels::matmul::matmul_rows;

/// Bytes of weights in a chunk: small enough that workers finish together, large enough that
/// taking one costs nothing.
const CHUNK_BYTES: usize = 64 * 1024;

/// Rows of a chunk, in whole groups of 16.
pub(super) fn chunk_rows(row_bytes: usize) -> usize {
    (CHUNK_BYTES / row_bytes.max(1)).max(1).next_multiple_of(16)
}

/// One input times one weight or several; a chunk is a range of columns of one part.
pub(super) struct Product {
    pub(super) x: Activations,
    pub(super) parts: Vec<Part>,
}

/// Weights whose products meet column by column.
pub(super) struct Part {
    weights: Vec<Arc<Weight>>,
    /// Columns of a chunk.
    columns: usize,
    end: End,
}

/// Where a chunk's columns go.
enum End {
    /// Into the result as they are.
    Result(Slot),
    /// From a tile for each weight through what writes them.
    Epilogue(Box<dyn Epilogue>),
}

/// What a fused op does to columns of its products.
pub(super) trait Epilogue: Send + Sync {
    /// Asks for memory that [`finish`](Epilogue::finish) reads of these columns, while the weights
    /// are read.
    fn ask(&self, _run: &Run<'_>, _columns: Range<usize>) {}

    /// Takes `columns` of every row, which belong to the chunk that calls this, from a tile for
    /// each weight, `[rows, columns]`, and writes what becomes of them.
    fn finish(
        &self,
        run: &Run<'_>,
        columns: Range<usize>,
        tiles: &[Vec<f32>; 2],
        scratch: &mut Scratch,
    );
}

/// Columns of a chunk that reads as many bytes of weights as others do, in whole blocks of
/// `block` columns.
pub(super) fn chunk_columns(x: &Activations, weights: &[Arc<Weight>], block: usize) -> usize {
    let row_bytes = weights.iter().map(|w| w.ty.row_bytes(x.x.last()));
    chunk_rows(row_bytes.sum()).next_multiple_of(block)
}

impl Part {
    /// A product that is a result.
    pub(super) fn plain(x: &Activations, weight: Arc<Weight>, y: Slot) -> Part {
        let weights = vec![weight];
        Part {
            columns: chunk_columns(x, &weights, 1),
            weights,
            end: End::Result(y),
        }
    }

    /// Products with one weight or two, so many columns in a chunk, and what becomes of them.
    pub(super) fn then(
        weights: Vec<Arc<Weight>>,
        columns: usize,
        epilogue: impl Epilogue + 'static,
    ) -> Part {
        let end = End::Epilogue(Box::new(epilogue));
        Part {
            weights,
            columns,
            end,
        }
    }

    fn width(&self) -> usize {
        self.weights[0].dims[0]
    }

    fn chunks(&self) -> usize {
        self.width().div_ceil(self.columns)
    }

    fn run(&self, x: &Activations, run: &Run<'_>, chunk: usize, scratch: &mut Scratch) {
        let first = chunk * self.columns;
        let columns = first..self.width().min(first + self.columns);
        let (rows, count) = (x.rows(run), columns.len());
        match &self.end {
            End::Result(y) => {
                let weight = &self.weights[0];
                let acts = x.acts(run, weight.ty, &mut scratch.rounded);
                let at = y.offset + first * size_of::<f32>();
                // SAFETY: the chunk owns these columns of this result.
                let mut out = unsafe { run.arena.columns(at, rows, count, self.width()) };
                matmul_rows(weight.matrix(), columns, acts, &mut out);
            }
            End::Epilogue(epilogue) => {
                epilogue.ask(run, columns.clone());
                let mut tiles = std::mem::take(&mut scratch.tiles);
                for (weight, tile) in self.weights.iter().zip(&mut tiles) {
                    let acts = x.acts(run, weight.ty, &mut scratch.rounded);
                    tile.resize(rows * count, 0.0);
                    let mut out = ColumnsMut::new(tile, count, count);
                    matmul_rows(weight.matrix(), columns.clone(), acts, &mut out);
                }
                epilogue.finish(run, columns, &tiles, scratch);
                scratch.tiles = tiles;
            }
        }
    }
}

impl Kernel for Product {
    fn chunks(&self, run: &Run<'_>) -> usize {
        match self.x.rows(run) {
            0 => 0,
            _ => self.parts.iter().map(Part::chunks).sum(),
        }
    }

    fn run(&self, run: &Run<'_>, mut chunk: usize, scratch: &mut Scratch) {
        for part in &self.parts {
            match chunk.checked_sub(part.chunks()) {
                Some(behind) => chunk = behind,
                None => return part.run(&self.x, run, chunk, scratch),
            }
        }
    }
}

/// `silu(gate) · up`, rounded.
pub(super) struct Swiglu {
    pub(super) to: ActivationType,
    pub(super) y: Slot,
}

impl Swiglu {
    /// Columns of those rows of the result that `rows` names, from a tile of gates and one of ups.
    ///
    /// # Safety
    /// These columns of these rows belong to the chunk that calls this.
    pub(super) unsafe fn write(
        &self,
        run: &Run<'_>,
        columns: &Range<usize>,
        rows: impl Iterator<Item = usize>,
        [gates, ups]: &[Vec<f32>; 2],
        row: &mut Vec<f32>,
    ) {
        let count = columns.len();
        row.resize(count, 0.0);
        let (width, bytes) = (self.to.row_bytes(self.y.last()), self.to.row_bytes(count));
        let first = self.y.offset + self.to.row_bytes(columns.start);
        let pairs = gates.chunks_exact(count).zip(ups.chunks_exact(count));
        for ((gate, up), t) in pairs.zip(rows) {
            swiglu(gate, up, row);
            // SAFETY: handed on.
            let y: &mut [u8] = unsafe { run.arena.slice_mut(first + t * width, bytes) };
            quantize_row(self.to, row, y);
        }
    }
}

impl Epilogue for Swiglu {
    fn finish(
        &self,
        run: &Run<'_>,
        columns: Range<usize>,
        tiles: &[Vec<f32>; 2],
        scratch: &mut Scratch,
    ) {
        // SAFETY: the chunk owns these columns of the result.
        unsafe { self.write(run, &columns, 0.., tiles, &mut scratch.row) };
    }
}

/// `silu(by · product)`, rounded.
pub(super) struct ScaledSilu {
    pub(super) by: f32,
    pub(super) to: ActivationType,
    pub(super) y: Slot,
}

impl Epilogue for ScaledSilu {
    fn finish(
        &self,
        run: &Run<'_>,
        columns: Range<usize>,
        [products, _]: &[Vec<f32>; 2],
        scratch: &mut Scratch,
    ) {
        let count = columns.len();
        let (width, bytes) = (self.to.row_bytes(self.y.last()), self.to.row_bytes(count));
        let first = self.y.offset + self.to.row_bytes(columns.start);
        let row = &mut scratch.row;
        for (t, product) in products.chunks_exact(count).enumerate() {
            row.clear();
            row.extend_from_slice(product);
            mul(row, Rhs::Value(self.by));
            silu(row);
            // SAFETY: the chunk owns these columns of the result.
            let y: &mut [u8] = unsafe { run.arena.slice_mut(first + t * width, bytes) };
            quantize_row(self.to, row, y);
        }
    }
}

/// `residual + sum`, or the sum where there is no residual; the result may lie where the residual
/// lies.
pub(super) struct OntoResidual {
    pub(super) residual: Option<Slot>,
    pub(super) y: Slot,
}

impl OntoResidual {
    /// Adds to row `t` of the residual, from column `first` on.
    ///
    /// # Safety
    /// These columns of row `t` of the result belong to the chunk that calls this.
    pub(super) unsafe fn write(&self, run: &Run<'_>, t: usize, first: usize, sum: &[f32]) {
        let (at, count) = ((t * self.y.last() + first) * size_of::<f32>(), sum.len());
        // SAFETY: handed on.
        let place = || unsafe { run.arena.slice_mut::<f32>(self.y.offset + at, count) };
        let Some(residual) = &self.residual else {
            return place().copy_from_slice(sum);
        };
        if residual.offset != self.y.offset {
            // SAFETY: the residual is an operand; where it lies in the same place, its columns are
            // read by this chunk alone.
            let residual: &[f32] = unsafe { run.arena.slice(residual.offset + at, count) };
            place().copy_from_slice(residual);
        }
        add(place(), Rhs::Row(sum));
    }
}

impl Epilogue for OntoResidual {
    fn finish(
        &self,
        run: &Run<'_>,
        columns: Range<usize>,
        [products, _]: &[Vec<f32>; 2],
        _: &mut Scratch,
    ) {
        for (t, product) in products.chunks_exact(columns.len()).enumerate() {
            // SAFETY: the chunk owns these columns of the result.
            unsafe { self.write(run, t, columns.start, product) };
        }
    }
}
