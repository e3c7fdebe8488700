//! Matmul, split by weight rows.

use super::{Activation, Kernel, Run, Scratch, Slot, WeightData};
use crate::kernels::activation::ActivationType;
use crate::kernels::matmul::matmul_rows;

/// Bytes of weights in a chunk: small enough that workers finish together, large enough that
/// taking one costs nothing.
const CHUNK_BYTES: usize = 64 * 1024;

/// Rows of a chunk, in whole groups of 16.
pub(super) fn chunk_rows(row_bytes: usize) -> usize {
    (CHUNK_BYTES / row_bytes.max(1)).max(1).next_multiple_of(16)
}

/// `y = x · Wᵀ`.
pub(super) struct Matmul {
    pub(super) x: Slot,
    pub(super) weight: WeightData,
    pub(super) y: Slot,
}

impl Kernel for Matmul {
    fn chunks(&self, run: &Run<'_>) -> usize {
        match run.count(&self.x) {
            0 => 0,
            _ => self.weight.dims[0].div_ceil(self.rows()),
        }
    }

    fn run(&self, run: &Run<'_>, chunk: usize, scratch: &mut Scratch) {
        let tokens = run.count(&self.x) * (self.x.width() / self.x.last());
        let n_out = self.weight.dims[0];
        let first = chunk * self.rows();
        let rows = first..n_out.min(first + self.rows());
        // SAFETY: `x` is an operand.
        let bytes = unsafe { run.read_bytes(&self.x) };
        let activation = Activation {
            offset: self.x.offset,
            dtype: self.x.dtype,
        };
        if scratch.prepared_for != Some(activation) {
            let ty: ActivationType = self.weight.ty.activation();
            scratch.prepared.prepare(ty, bytes, self.x.last(), tokens);
            scratch.prepared_for = Some(activation);
        }
        // SAFETY: the chunk owns columns `rows` of the result.
        let mut out = unsafe {
            let offset = self.y.offset + rows.start * size_of::<f32>();
            run.arena.columns(offset, tokens, rows.len(), n_out)
        };
        matmul_rows(
            self.weight.ty,
            self.weight.bytes(),
            rows,
            &scratch.prepared,
            &mut out,
        );
    }
}

impl Matmul {
    fn rows(&self) -> usize {
        chunk_rows(self.weight.ty.row_bytes(self.x.last()))
    }
}
