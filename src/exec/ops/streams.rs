//! Residual streams that blocks read and add to in parallel; a chunk is a token.

use super::{Kernel, Run, Scratch, Slot};
use sharpi_ir::Sums;
use sharpi_kernels::streams::{add_gated, inject_weights, mix};

/// As many streams as there are to be, all the same.
pub(super) struct Streams {
    pub(super) x: Slot,
    pub(super) y: Slot,
}

impl Kernel for Streams {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.x)
    }

    fn run(&self, run: &Run<'_>, t: usize, _: &mut Scratch) {
        let width = self.x.width();
        // SAFETY: `x` is an operand; token `t` of the result belongs to this chunk.
        let (x, y) = unsafe { (run.read(&self.x), run.write(&self.y, t)) };
        for y in y.chunks_exact_mut(width) {
            y.copy_from_slice(&x[t * width..][..width]);
        }
    }
}

/// The mean of the gated streams.
pub(super) struct StreamMix {
    pub(super) sums: Sums,
    pub(super) x: Slot,
    pub(super) gate: Slot,
    pub(super) y: Slot,
}

impl Kernel for StreamMix {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.x)
    }

    fn run(&self, run: &Run<'_>, t: usize, _: &mut Scratch) {
        let width = self.x.width();
        // SAFETY: operands, and token `t` of the result belongs to this chunk.
        let (x, gate, y) = unsafe {
            (
                &run.read(&self.x)[t * width..][..width],
                &run.read(&self.gate)[t * width..][..width],
                run.write(&self.y, t),
            )
        };
        mix(x, gate, self.sums == Sums::Fused, y);
    }
}

/// The streams and what a block adds; the result may lie where the streams lie.
pub(super) struct StreamAdd {
    pub(super) streams: Slot,
    pub(super) x: Slot,
    pub(super) inject: Slot,
    pub(super) y: Slot,
}

impl Kernel for StreamAdd {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.x)
    }

    fn run(&self, run: &Run<'_>, t: usize, scratch: &mut Scratch) {
        let (width, count) = (self.x.width(), self.inject.width());
        let at = t * self.streams.stride_bytes();
        // SAFETY: operands, and token `t` of the result belongs to this chunk. Where the streams lie
        // in the same place, those of the token are read by this chunk alone.
        let (x, y) = unsafe {
            if self.streams.offset != self.y.offset {
                let streams = run.arena.slice(self.streams.offset + at, count * width);
                run.write(&self.y, t).copy_from_slice(streams);
            }
            (run.read(&self.x), run.write(&self.y, t))
        };
        scratch.row.clear();
        // SAFETY: an operand.
        let inject = unsafe { run.read(&self.inject) };
        scratch.row.extend_from_slice(&inject[t * count..][..count]);
        inject_weights(&mut scratch.row);
        let x = &x[t * width..][..width];
        for (y, weight) in y.chunks_exact_mut(width).zip(&scratch.row) {
            add_gated(x, *weight, y);
        }
    }
}
