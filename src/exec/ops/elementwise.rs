//! Elementwise ops: a chunk is a token.

use super::{Kernel, Run, Scratch, Slot};
use sharpi_kernels::elementwise::{self as kernel, Rhs};

/// An op on one tensor, row by row over the last dimension.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum UnaryOp {
    Silu,
    Sigmoid,
    Softplus,
    Softmax,
    ClampMin(f32),
    Scale(f32),
    SignedSqrt(f32),
}

/// `y = op(x)`.
pub(super) struct Unary {
    pub(super) op: UnaryOp,
    pub(super) x: Slot,
    pub(super) y: Slot,
}

impl Kernel for Unary {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.x)
    }

    fn run(&self, run: &Run<'_>, t: usize, _: &mut Scratch) {
        let width = self.x.width();
        // SAFETY: `x` is an operand; token `t` of the result belongs to this chunk.
        let (x, y) = unsafe { (run.read(&self.x), run.write(&self.y, t)) };
        y.copy_from_slice(&x[t * width..][..width]);
        match self.op {
            UnaryOp::Silu => kernel::silu(y),
            UnaryOp::Sigmoid => kernel::sigmoid(y),
            UnaryOp::Softplus => kernel::softplus(y),
            UnaryOp::Softmax => y.chunks_exact_mut(self.x.last()).for_each(kernel::softmax),
            UnaryOp::Scale(by) => kernel::mul(y, Rhs::Value(by)),
            UnaryOp::SignedSqrt(min) => kernel::signed_sqrt(y, min),
            UnaryOp::ClampMin(min) => y.iter_mut().for_each(|y| *y = y.max(min)),
        }
    }
}

/// An op on two tensors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BinaryOp {
    Add,
    Mul,
    Div,
}

/// The right-hand side of a [`Binary`].
pub(super) enum Right {
    /// A value that changes from token to token.
    Value(Slot),
    /// A weight, the same for every token.
    Weight(Vec<f32>),
}

/// `y = a op b`, `b` broadcast onto `a`.
pub(super) struct Binary {
    pub(super) op: BinaryOp,
    pub(super) a: Slot,
    pub(super) b: Right,
    /// `b`'s dimensions after the token axis, aligned with `a`'s: equal to them or 1.
    pub(super) b_dims: Vec<usize>,
    pub(super) y: Slot,
}

impl Kernel for Binary {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.a)
    }

    fn run(&self, run: &Run<'_>, t: usize, _: &mut Scratch) {
        let width = self.a.width();
        // SAFETY: `a` is an operand; token `t` of the result belongs to this chunk.
        let (a, y) = unsafe { (run.read(&self.a), run.write(&self.y, t)) };
        y.copy_from_slice(&a[t * width..][..width]);
        let b = match &self.b {
            Right::Weight(values) => &values[..],
            // SAFETY: `b` is an operand.
            Right::Value(slot) => unsafe { &run.read(slot)[t * slot.width()..][..slot.width()] },
        };
        let n = self.b_dims.last().copied().unwrap_or(1);
        for (i, y) in y.chunks_exact_mut(self.a.last()).enumerate() {
            let at = self.b_row(i) * n;
            let rhs = match n {
                1 => Rhs::Value(b[at]),
                _ => Rhs::Row(&b[at..at + n]),
            };
            match self.op {
                BinaryOp::Add => kernel::add(y, rhs),
                BinaryOp::Mul => kernel::mul(y, rhs),
                BinaryOp::Div => kernel::div(y, rhs),
            }
        }
    }
}

impl Binary {
    /// Which row of `b` meets row `i` of `a`: a dimension of 1 stays where it is.
    fn b_row(&self, mut i: usize) -> usize {
        let outer = self.a.dims.len().saturating_sub(1);
        let (mut row, mut stride) = (0, 1);
        for (a, b) in self.a.dims[..outer].iter().zip(&self.b_dims[..outer]).rev() {
            if *b != 1 {
                row += i % a * stride;
            }
            stride *= b;
            i /= a;
        }
        row
    }
}

/// Sum over the last dimension in f64, rounded once, as ggml sums rows.
pub(super) struct RowSum {
    pub(super) x: Slot,
    pub(super) y: Slot,
}

impl Kernel for RowSum {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.x)
    }

    fn run(&self, run: &Run<'_>, t: usize, _: &mut Scratch) {
        let width = self.x.width();
        // SAFETY: `x` is an operand; token `t` of the result belongs to this chunk.
        let (x, y) = unsafe { (run.read(&self.x), run.write(&self.y, t)) };
        for (x, y) in x[t * width..][..width].chunks_exact(self.x.last()).zip(y) {
            *y = x.iter().map(|&x| f64::from(x)).sum::<f64>() as f32;
        }
    }
}
