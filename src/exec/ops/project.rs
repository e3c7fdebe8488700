//! Products of activations with weights, split by weight rows, with what stands before and behind
//! them in a fused op.
//!
//! What stands before, an RMS norm and the rounding, every worker does for itself: that costs less
//! than a barrier. What stands behind works on the columns that a chunk has made.

use std::sync::Arc;

use super::{Kernel, Run, Scratch, Slot, Weight};
use sharpi_kernels::activation::{ActivationType, quantize_row};
use sharpi_kernels::columns::ColumnsMut;
use sharpi_kernels::elementwise::{Rhs, add, swiglu};
use sharpi_kernels::matmul::{Acts, Tiles, matmul_rows};
use sharpi_kernels::norm::rmsnorm;
use sharpi_kernels::quant::WeightType;

/// Bytes of weights in a chunk: small enough that workers finish together, large enough that
/// taking one costs nothing.
const CHUNK_BYTES: usize = 64 * 1024;

/// Rows of a chunk, in whole groups of 16.
pub(super) fn chunk_rows(row_bytes: usize) -> usize {
    (CHUNK_BYTES / row_bytes.max(1)).max(1).next_multiple_of(16)
}

/// The weights of an RMS norm.
pub(super) struct RowNorm {
    pub(super) weight: Vec<f32>,
    pub(super) eps: f32,
    /// Where the weights lie: norms of one place and `eps` are the same.
    pub(super) place: usize,
}

/// What a product multiplies: rows as they lie in the arena, or normed or rounded first.
pub(super) struct Activations {
    pub(super) x: Slot,
    pub(super) norm: Option<RowNorm>,
}

/// Which activations a worker has rounded; they stay the same for one step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RoundedFor {
    offset: usize,
    /// Place and `eps` of the norm.
    norm: Option<(usize, u32)>,
    ty: ActivationType,
}

/// Rows rounded by a worker for itself.
#[derive(Default)]
pub(super) struct Rounded {
    bytes: Vec<u8>,
    /// One row behind its norm.
    row: Vec<f32>,
    of: Option<RoundedFor>,
    /// The rows of `tiles_of`, if there are many.
    tiles: Tiles,
    tiles_of: Option<RoundedFor>,
}

impl Rounded {
    /// Forgets what belongs to an earlier step.
    pub(super) fn next_step(&mut self) {
        (self.of, self.tiles_of) = (None, None);
    }
}

impl Activations {
    /// Rows as they lie in the arena.
    pub(super) fn plain(x: Slot) -> Activations {
        Activations { x, norm: None }
    }

    /// Rows of the last dimension in this run.
    pub(super) fn rows(&self, run: &Run<'_>) -> usize {
        run.count(&self.x) * (self.x.width() / self.x.last().max(1))
    }

    pub(super) fn key(&self, ty: ActivationType) -> RoundedFor {
        let norm = self.norm.as_ref().map(|n| (n.place, n.eps.to_bits()));
        RoundedFor {
            offset: self.x.offset,
            norm,
            ty,
        }
    }

    /// All rows as weights of this type take them.
    pub(super) fn acts<'r>(&self, run: &Run<'r>, ty: WeightType, own: &'r mut Rounded) -> Acts<'r> {
        let tokens = self.rows(run);
        if !Tiles::pay(ty, tokens) {
            return Acts::Rows(self.rounded(run, ty.activation(), own));
        }
        let of = Some(self.key(ty.activation()));
        if own.tiles_of != of || !own.tiles.are_for(ty) {
            let mut tiles = std::mem::take(&mut own.tiles);
            tiles.fill(ty, tokens, self.rounded(run, ty.activation(), own));
            (own.tiles, own.tiles_of) = (tiles, of);
        }
        Acts::Tiles(&own.tiles)
    }

    /// All rows in the format `ty`, one after another.
    pub(super) fn rounded<'r>(
        &self,
        run: &Run<'r>,
        ty: ActivationType,
        own: &'r mut Rounded,
    ) -> &'r [u8] {
        if self.norm.is_none() && self.x.activation_type() == Some(ty) {
            // SAFETY: `x` is an operand.
            return unsafe { run.read_bytes(&self.x) };
        }
        let Rounded { bytes, row, of, .. } = own;
        if *of == Some(self.key(ty)) {
            return bytes;
        }
        *of = Some(self.key(ty));
        let n = self.x.last();
        let row_bytes = ty.row_bytes(n);
        bytes.resize(self.rows(run) * row_bytes, 0);
        row.resize(n, 0.0);
        // SAFETY: as above.
        let x = unsafe { run.read(&self.x) };
        for (x, bytes) in x.chunks_exact(n).zip(bytes.chunks_exact_mut(row_bytes)) {
            match &self.norm {
                None => quantize_row(ty, x, bytes),
                Some(norm) => {
                    rmsnorm(x, &norm.weight, norm.eps, row);
                    quantize_row(ty, row, bytes);
                }
            }
        }
        bytes
    }
}

/// `yᵢ = x · Wᵢᵀ` for one weight or several.
pub(super) struct Project {
    pub(super) x: Activations,
    pub(super) parts: Vec<(Arc<Weight>, Slot)>,
}

impl Project {
    fn rows(&self, weight: &Weight) -> usize {
        chunk_rows(weight.ty.row_bytes(self.x.x.last()))
    }

    fn chunks_of(&self, weight: &Weight) -> usize {
        weight.dims[0].div_ceil(self.rows(weight))
    }
}

impl Kernel for Project {
    fn chunks(&self, run: &Run<'_>) -> usize {
        match self.x.rows(run) {
            0 => 0,
            _ => self.parts.iter().map(|(w, _)| self.chunks_of(w)).sum(),
        }
    }

    fn run(&self, run: &Run<'_>, mut chunk: usize, scratch: &mut Scratch) {
        for (weight, y) in &self.parts {
            let chunks = self.chunks_of(weight);
            if chunk >= chunks {
                chunk -= chunks;
                continue;
            }
            let n_out = weight.dims[0];
            let first = chunk * self.rows(weight);
            let rows = first..n_out.min(first + self.rows(weight));
            let acts = (self.x).acts(run, weight.ty, &mut scratch.rounded);
            // SAFETY: the chunk owns columns `rows` of this result.
            let mut out = unsafe {
                let offset = y.offset + rows.start * size_of::<f32>();
                (run.arena).columns(offset, self.x.rows(run), rows.len(), n_out)
            };
            return matmul_rows(weight.matrix(), rows, acts, &mut out);
        }
    }
}

/// `y = silu(x · Gᵀ) · (x · Uᵀ)`, rounded.
pub(super) struct ProjectSwiglu {
    pub(super) x: Activations,
    pub(super) gate: Arc<Weight>,
    pub(super) up: Arc<Weight>,
    pub(super) to: ActivationType,
    pub(super) y: Slot,
}

impl ProjectSwiglu {
    /// Columns of a chunk: whole blocks of the format.
    fn columns(&self) -> usize {
        let row_bytes = |w: &Weight| w.ty.row_bytes(self.x.x.last());
        chunk_rows(row_bytes(&self.gate) + row_bytes(&self.up))
            .next_multiple_of(self.to.block_len())
    }
}

impl Kernel for ProjectSwiglu {
    fn chunks(&self, run: &Run<'_>) -> usize {
        match self.x.rows(run) {
            0 => 0,
            _ => self.gate.dims[0].div_ceil(self.columns()),
        }
    }

    fn run(&self, run: &Run<'_>, chunk: usize, scratch: &mut Scratch) {
        let tokens = self.x.rows(run);
        let first = chunk * self.columns();
        let columns = first..self.gate.dims[0].min(first + self.columns());
        let count = columns.len();
        let [mut gate, mut up] = std::mem::take(&mut scratch.tiles);
        for (weight, tile) in [(&self.gate, &mut gate), (&self.up, &mut up)] {
            let acts = (self.x).acts(run, weight.ty, &mut scratch.rounded);
            tile.resize(tokens * count, 0.0);
            let mut tile = ColumnsMut::new(tile, count, count);
            matmul_rows(weight.matrix(), columns.clone(), acts, &mut tile);
        }
        scratch.row.resize(count, 0.0);
        let row_bytes = self.to.row_bytes(self.gate.dims[0]);
        let at = self.y.offset + self.to.row_bytes(first);
        let rows = gate.chunks_exact(count).zip(up.chunks_exact(count));
        for (t, (gate, up)) in rows.enumerate() {
            swiglu(gate, up, &mut scratch.row);
            let bytes = self.to.row_bytes(count);
            // SAFETY: the chunk owns these columns of the result.
            let y: &mut [u8] = unsafe { run.arena.slice_mut(at + t * row_bytes, bytes) };
            quantize_row(self.to, &scratch.row, y);
        }
        scratch.tiles = [gate, up];
    }
}

/// `y = residual + x · Wᵀ`; `y` may lie where the residual lies.
pub(super) struct MatmulAdd {
    pub(super) x: Activations,
    pub(super) weight: Arc<Weight>,
    pub(super) residual: Slot,
    pub(super) y: Slot,
}

impl MatmulAdd {
    fn rows(&self) -> usize {
        chunk_rows(self.weight.ty.row_bytes(self.x.x.last()))
    }
}

impl Kernel for MatmulAdd {
    fn chunks(&self, run: &Run<'_>) -> usize {
        match self.x.rows(run) {
            0 => 0,
            _ => self.weight.dims[0].div_ceil(self.rows()),
        }
    }

    fn run(&self, run: &Run<'_>, chunk: usize, scratch: &mut Scratch) {
        let (tokens, n_out) = (self.x.rows(run), self.weight.dims[0]);
        let first = chunk * self.rows();
        let rows = first..n_out.min(first + self.rows());
        let count = rows.len();
        let acts = (self.x).acts(run, self.weight.ty, &mut scratch.rounded);
        let [tile, _] = &mut scratch.tiles;
        tile.resize(tokens * count, 0.0);
        let mut product = ColumnsMut::new(tile, count, count);
        matmul_rows(self.weight.matrix(), rows, acts, &mut product);
        for (t, product) in tile.chunks_exact(count).enumerate() {
            let at = (t * n_out + first) * size_of::<f32>();
            // SAFETY: the chunk owns these columns of the result. The residual is an operand; where
            // it lies in the same place, its columns are read by this chunk alone.
            let y = unsafe {
                if self.residual.offset != self.y.offset {
                    let residual = run.arena.slice(self.residual.offset + at, count);
                    let y: &mut [f32] = run.arena.slice_mut(self.y.offset + at, count);
                    y.copy_from_slice(residual);
                }
                run.arena.slice_mut(self.y.offset + at, count)
            };
            add(y, Rhs::Row(product));
        }
    }
}
