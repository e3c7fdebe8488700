//! DeltaNet's two stateful ops. Both split channels or columns and walk the tokens in order.

use super::{Kernel, Run, Scratch, Slot, StateView};
use crate::kernels::conv::causal_conv;
use crate::kernels::gdn::{Tokens, gdn_scan};

/// Channels of a convolution chunk.
const CHANNELS: usize = 256;

/// Value columns of a scan chunk: with a head of 128 a chunk's part of the state is 16 KB and
/// stays in L1 over all tokens of the run.
const COLUMNS: usize = 32;

/// Causal convolution over time.
pub(super) struct CausalConv {
    pub(super) x: Slot,
    /// `[K, C]`.
    pub(super) taps: Vec<f32>,
    pub(super) state: usize,
    pub(super) y: Slot,
}

impl Kernel for CausalConv {
    fn chunks(&self, run: &Run<'_>) -> usize {
        match run.tokens {
            0 => 0,
            _ => self.x.width().div_ceil(CHANNELS),
        }
    }

    fn run(&self, run: &Run<'_>, chunk: usize, _: &mut Scratch) {
        let channels = self.x.width();
        let first = chunk * CHANNELS;
        let count = CHANNELS.min(channels - first);
        let kept = self.taps.len() / channels - 1;
        let StateView::Recurrent(window) = run.states[self.state] else {
            unreachable!("bound to a recurrent state");
        };
        let at = first * size_of::<f32>();
        // SAFETY: `x` is an operand; these channels of the window and of the result belong to
        // this chunk, and effects keep other ops off the state.
        let (x, mut window, mut y) = unsafe {
            (
                run.read(&self.x),
                window.columns(at, kept, count, channels),
                run.arena
                    .columns(self.y.offset + at, run.tokens, count, channels),
            )
        };
        causal_conv(x, &self.taps, channels, first, &mut window, &mut y);
    }
}

/// The gated delta rule.
pub(super) struct GdnScan {
    pub(super) q: Slot,
    pub(super) k: Slot,
    pub(super) v: Slot,
    pub(super) g: Slot,
    pub(super) beta: Slot,
    pub(super) state: usize,
    pub(super) y: Slot,
}

impl Kernel for GdnScan {
    fn chunks(&self, run: &Run<'_>) -> usize {
        match run.tokens {
            0 => 0,
            _ => self.v.dims[0] * self.v.last().div_ceil(COLUMNS),
        }
    }

    fn run(&self, run: &Run<'_>, chunk: usize, _: &mut Scratch) {
        let (heads, d) = (self.v.dims[0], self.v.last());
        let blocks = d.div_ceil(COLUMNS);
        let (head, column) = (chunk / blocks, chunk % blocks * COLUMNS);
        let columns = COLUMNS.min(d - column);
        let k_head = head % self.k.dims[0];
        let StateView::Recurrent(matrix) = run.states[self.state] else {
            unreachable!("bound to a recurrent state");
        };
        let place = head * d + column;
        // SAFETY: operands; these columns of the head's matrix and of the result belong to this
        // chunk, and effects keep other ops off the state.
        let (tokens, matrix, mut y) = unsafe {
            let tokens = Tokens {
                q: &run.read(&self.q)[k_head * d..],
                k: &run.read(&self.k)[k_head * d..],
                qk_stride: self.k.width(),
                v: &run.read(&self.v)[place..],
                v_stride: heads * d,
                g: &run.read(&self.g)[head..],
                beta: &run.read(&self.beta)[head..],
                gate_stride: heads,
            };
            let at = (head * d + column) * d * size_of::<f32>();
            let matrix: &mut [f32] = matrix.slice_mut(at, columns * d);
            let at = self.y.offset + place * size_of::<f32>();
            (
                tokens,
                matrix,
                run.arena.columns(at, run.tokens, columns, heads * d),
            )
        };
        gdn_scan(tokens, d, matrix, &mut y);
    }
}
