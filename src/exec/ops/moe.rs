//! Mixture of experts: the choice, the experts' matmuls, the sum.

use std::sync::Arc;

use super::product::chunk_rows;
use super::{Kernel, Run, Scratch, Slot, Weight};
use sharpi_kernels::elementwise::{Rhs, add};
use sharpi_kernels::matmul::matmul_rows;
use sharpi_kernels::topk::top_k;

/// The `k` best experts of each token.
pub(super) struct TopkRouter {
    pub(super) probs: Slot,
    /// What is added before the choice.
    pub(super) bias: Option<Vec<f32>>,
    pub(super) ids: Slot,
    pub(super) weights: Slot,
}

impl Kernel for TopkRouter {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.probs)
    }

    fn run(&self, run: &Run<'_>, t: usize, scratch: &mut Scratch) {
        let (experts, k) = (self.probs.width(), self.ids.width());
        // SAFETY: `probs` is an operand; token `t` of both results belongs to this chunk.
        let (probs, ids, weights) = unsafe {
            let probs = &run.read(&self.probs)[t * experts..][..experts];
            let offset = self.ids.offset + t * self.ids.stride_bytes();
            let ids: &mut [i32] = run.arena.slice_mut(offset, k);
            (probs, ids, run.write(&self.weights, t))
        };
        let mut chosen = vec![0; k];
        scratch.row.clear();
        scratch.row.extend_from_slice(probs);
        if let Some(bias) = &self.bias {
            add(&mut scratch.row, Rhs::Row(bias));
        }
        top_k(&scratch.row, &mut chosen);
        for (i, expert) in chosen.into_iter().enumerate() {
            ids[i] = expert as i32;
            weights[i] = probs[expert as usize];
        }
    }
}

/// What a table says of each token's experts; a chunk is a token.
pub(super) struct ExpertRows {
    pub(super) ids: Slot,
    pub(super) table: Vec<f32>,
    pub(super) y: Slot,
}

impl Kernel for ExpertRows {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.ids)
    }

    fn run(&self, run: &Run<'_>, t: usize, _: &mut Scratch) {
        let (k, n) = (self.ids.width(), self.y.last());
        // SAFETY: `ids` is an operand; token `t` of the result belongs to this chunk.
        let (ids, y) = unsafe { (run.read_ids(&self.ids), run.write(&self.y, t)) };
        for (id, y) in ids[t * k..][..k].iter().zip(y.chunks_exact_mut(n)) {
            y.copy_from_slice(&self.table[*id as usize * n..][..n]);
        }
    }
}

/// Each token times the weights of its experts; a chunk is a range of rows of one expert of one
/// token.
pub(super) struct MoeMatmul {
    pub(super) x: Slot,
    pub(super) ids: Slot,
    pub(super) weight: Arc<Weight>,
    pub(super) y: Slot,
}

impl MoeMatmul {
    fn rows(&self) -> usize {
        chunk_rows(self.weight.ty.row_bytes(self.x.last()))
    }
}

impl Kernel for MoeMatmul {
    fn chunks(&self, run: &Run<'_>) -> usize {
        let n_out = self.weight.dims[1];
        run.count(&self.ids) * self.ids.width() * n_out.div_ceil(self.rows())
    }

    fn run(&self, run: &Run<'_>, chunk: usize, _: &mut Scratch) {
        let (n_out, k) = (self.weight.dims[1], self.ids.width());
        let pieces = n_out.div_ceil(self.rows());
        let (pair, piece) = (chunk / pieces, chunk % pieces);
        let rows = piece * self.rows()..n_out.min((piece + 1) * self.rows());
        // SAFETY: both are operands.
        let (x, ids) = unsafe { (run.read_bytes(&self.x), run.read_ids(&self.ids)) };
        let row_bytes = self.x.last() / self.x.dtype.block_len() * self.x.dtype.block_bytes();
        // `[T, K]` is shared by a token's experts, `[T, k, K]` is not.
        let row = if self.x.dims.len() == 1 {
            pair / k
        } else {
            pair
        };
        let x = &x[row * row_bytes..][..row_bytes];
        // SAFETY: the chunk owns these columns of its pair's row.
        let mut out = unsafe {
            let offset = self.y.offset + (pair * n_out + rows.start) * size_of::<f32>();
            run.arena.columns(offset, 1, rows.len(), n_out)
        };
        let expert = self.weight.expert(ids[pair] as usize);
        matmul_rows(expert, rows, x.into(), &mut out);
    }
}

/// Sum over a token's experts, first to last.
pub(super) struct ExpertSum {
    pub(super) x: Slot,
    pub(super) y: Slot,
}

impl Kernel for ExpertSum {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.x)
    }

    fn run(&self, run: &Run<'_>, t: usize, _: &mut Scratch) {
        // SAFETY: `x` is an operand; token `t` of the result belongs to this chunk.
        let (x, y) = unsafe { (run.read(&self.x), run.write(&self.y, t)) };
        let mut rows = x[t * self.x.width()..][..self.x.width()].chunks_exact(y.len());
        y.copy_from_slice(rows.next().unwrap_or(&[]));
        for row in rows {
            add(y, Rhs::Row(row));
        }
    }
}
