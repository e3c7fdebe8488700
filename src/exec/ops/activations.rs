//! What products multiply: rows as they lie in the arena, or normed and rounded.
//!
//! Norm and rounding every worker does for itself: that costs less than a barrier.

use super::{Run, Slot};
use sharpi_kernels::activation::{ActivationType, quantize_row};
use sharpi_kernels::matmul::{Acts, Tiles};
use sharpi_kernels::norm::rmsnorm;
use sharpi_kernels::quant::WeightType;

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
