//! Concat and split: copies along an axis, a chunk is a token.

use super::{Kernel, Run, Scratch, Slot};

/// Tensors joined along an axis, or the other way round one tensor and its parts.
pub(super) struct Pieces {
    /// The joined tensor.
    pub(super) whole: Slot,
    /// Its parts in order.
    pub(super) parts: Vec<Slot>,
    /// The axis, counted after the token axis.
    pub(super) axis: usize,
}

impl Pieces {
    /// Calls `copy(part, offset in the part, offset in the whole, length)` for every contiguous
    /// run of a token.
    fn runs(&self, mut copy: impl FnMut(usize, usize, usize, usize)) {
        let outer: usize = self.whole.dims[..self.axis].iter().product();
        let inner: usize = self.whole.dims[self.axis + 1..].iter().product();
        let row = self.whole.dims[self.axis] * inner;
        let mut start = 0;
        for (i, part) in self.parts.iter().enumerate() {
            let n = part.dims[self.axis] * inner;
            for o in 0..outer {
                copy(i, o * n, o * row + start, n);
            }
            start += n;
        }
    }
}

/// Joins its parts.
pub(super) struct Concat(pub(super) Pieces);

impl Kernel for Concat {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.0.whole)
    }

    fn run(&self, run: &Run<'_>, t: usize, _: &mut Scratch) {
        let parts = &self.0.parts;
        // SAFETY: token `t` of the result belongs to this chunk.
        let whole = unsafe { run.write(&self.0.whole, t) };
        self.0.runs(|part, from, to, n| {
            let slot = &parts[part];
            // SAFETY: the parts are operands.
            let part = unsafe { &run.read(slot)[t * slot.width()..] };
            whole[to..to + n].copy_from_slice(&part[from..from + n]);
        });
    }
}

/// Takes a tensor apart.
pub(super) struct Split(pub(super) Pieces);

impl Kernel for Split {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.0.whole)
    }

    fn run(&self, run: &Run<'_>, t: usize, _: &mut Scratch) {
        let width = self.0.whole.width();
        // SAFETY: the whole is an operand.
        let whole = unsafe { &run.read(&self.0.whole)[t * width..][..width] };
        self.0.runs(|part, to, from, n| {
            // SAFETY: token `t` of every result belongs to this chunk.
            let part = unsafe { run.write(&self.0.parts[part], t) };
            part[to..to + n].copy_from_slice(&whole[from..from + n]);
        });
    }
}
