//! Ops that work on one row after another: a chunk is a token.

use std::sync::Arc;

use super::{Kernel, Run, Scratch, Slot, Weight};
use sharpi_kernels::activation::{ActivationType, quantize_row};
use sharpi_kernels::norm::{l2norm, rmsnorm};
use sharpi_kernels::quant::dequantize_row;
use sharpi_kernels::rope::Rotation;

/// Rows of an embedding table, one or several for each token.
pub(super) struct Embed {
    pub(super) ids: Slot,
    pub(super) table: Arc<Weight>,
    pub(super) y: Slot,
}

impl Kernel for Embed {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.ids)
    }

    fn run(&self, run: &Run<'_>, t: usize, _: &mut Scratch) {
        // SAFETY: `ids` is an operand; token `t` of the result belongs to this chunk.
        let (ids, y) = unsafe { (run.read_ids(&self.ids), run.write(&self.y, t)) };
        let (n, count) = (self.y.last(), self.ids.width());
        let row_bytes = self.table.ty.row_bytes(n);
        for (id, y) in ids[t * count..][..count].iter().zip(y.chunks_exact_mut(n)) {
            let row = &self.table.bytes()[*id as usize * row_bytes..][..row_bytes];
            dequantize_row(self.table.ty, row, y);
        }
    }
}

/// Chosen rows, whatever their element type.
pub(super) struct GetRows {
    pub(super) x: Slot,
    pub(super) rows: Slot,
    pub(super) y: Slot,
}

impl Kernel for GetRows {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.rows)
    }

    fn run(&self, run: &Run<'_>, r: usize, _: &mut Scratch) {
        let bytes = self.y.stride_bytes();
        // SAFETY: operands, and row `r` of the result belongs to this chunk.
        let (x, rows, y) = unsafe {
            let y: &mut [u8] = (run.arena).slice_mut(self.y.offset + r * bytes, bytes);
            (run.read_bytes(&self.x), run.read_ids(&self.rows), y)
        };
        y.copy_from_slice(&x[rows[r] as usize * bytes..][..bytes]);
    }
}

/// Rounding to an activation format.
pub(super) struct Quantize {
    pub(super) x: Slot,
    pub(super) to: ActivationType,
    pub(super) y: Slot,
}

impl Kernel for Quantize {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.x)
    }

    fn run(&self, run: &Run<'_>, t: usize, _: &mut Scratch) {
        let (width, bytes) = (self.x.width(), self.y.stride_bytes());
        // SAFETY: `x` is an operand; token `t` of the result belongs to this chunk.
        let (x, y) = unsafe {
            let y: &mut [u8] = run.arena.slice_mut(self.y.offset + t * bytes, bytes);
            (&run.read(&self.x)[t * width..][..width], y)
        };
        let row_bytes = bytes / (width / self.x.last());
        for (x, y) in x
            .chunks_exact(self.x.last())
            .zip(y.chunks_exact_mut(row_bytes))
        {
            quantize_row(self.to, x, y);
        }
    }
}

/// RMSNorm with weights, or the L2 norm without.
pub(super) struct Norm {
    pub(super) x: Slot,
    /// The same for all rows of a token, or those of each.
    pub(super) weight: Option<Vec<f32>>,
    pub(super) eps: f32,
    pub(super) y: Slot,
}

impl Kernel for Norm {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.x)
    }

    fn run(&self, run: &Run<'_>, t: usize, _: &mut Scratch) {
        let width = self.x.width();
        // SAFETY: `x` is an operand; token `t` of the result belongs to this chunk.
        let (x, y) = unsafe {
            (
                &run.read(&self.x)[t * width..][..width],
                run.write(&self.y, t),
            )
        };
        let n = self.x.last();
        let weights = self.weight.iter().flat_map(|w| w.chunks_exact(n)).cycle();
        let mut weights = weights.map(Some).chain(std::iter::repeat(None));
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            match weights.next().flatten() {
                Some(w) => rmsnorm(x, w, self.eps, y),
                None => {
                    y.copy_from_slice(x);
                    l2norm(y, self.eps);
                }
            }
        }
    }
}

/// Rotary position embedding.
pub(super) struct Rope {
    pub(super) x: Slot,
    pub(super) pos: Slot,
    pub(super) rotation: Rotation,
    pub(super) y: Slot,
}

impl Kernel for Rope {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.x)
    }

    fn run(&self, run: &Run<'_>, t: usize, scratch: &mut Scratch) {
        let width = self.x.width();
        // SAFETY: operands, and token `t` of the result belongs to this chunk.
        let (x, pos, y) = unsafe {
            (
                run.read(&self.x),
                run.read_ids(&self.pos),
                run.write(&self.y, t),
            )
        };
        y.copy_from_slice(&x[t * width..][..width]);
        let (cos, sin) = scratch.angles_at(pos[t], &self.rotation);
        for head in y.chunks_exact_mut(self.x.last()) {
            self.rotation.turn(head, cos, sin);
        }
    }
}
