//! DeltaNet's two stateful ops. Both split channels or columns and walk the tokens in order.
//!
//! A run that may be taken back ([`Run::tentative`]) leaves the state as it was and logs what its
//! tokens would do to it; the next run takes in as many of them as have been kept, and goes on
//! from there. So going back costs nothing, and the state is read and written once a run.

use super::{Kernel, Recurrent, Run, Scratch, Slot, StateView};
use crate::kernels::columns::ColumnsMut;
use crate::kernels::conv::{advance, causal_conv};
use crate::kernels::gdn::{Tokens, Updates, gdn_commit, gdn_scan};

/// Channels of a convolution chunk.
const CHANNELS: usize = 256;

/// Value columns of a scan chunk: with a head of 128 a chunk's part of the state is 16 KB and
/// stays in L1 over all tokens of the run.
const COLUMNS: usize = 32;

fn recurrent<'a>(run: &Run<'a>, state: usize) -> Recurrent<'a> {
    match run.states[state] {
        StateView::Recurrent(state) => state,
        StateView::Kv { .. } => unreachable!("bound to a recurrent state"),
    }
}

/// Causal convolution over time. The log holds the inputs, `[capacity, C]`.
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
        let state = recurrent(run, self.state);
        let rows = if run.tentative { run.tokens } else { 0 }.max(state.pending);
        let at = first * size_of::<f32>();
        let y_at = self.y.offset + at;
        // SAFETY: `x` is an operand; these channels of the window, the log and the result belong
        // to this chunk, and effects keep other ops off the state.
        let (x, mut window, mut log, mut y) = unsafe {
            (
                run.read(&self.x),
                state.values.columns(at, kept, count, channels),
                state.log.columns(at, rows, count, channels),
                run.arena.columns(y_at, run.tokens, count, channels),
            )
        };
        take_in(&mut window, &mut log, state.pending);
        causal_conv(x, &self.taps, channels, first, &mut window, &mut y);
        if run.tentative {
            for t in 0..run.tokens {
                log.row_mut(t)
                    .copy_from_slice(&x[t * channels + first..][..count]);
            }
        } else {
            advance(x, channels, first, &mut window);
        }
    }
}

/// Moves the window on by `pending` logged inputs.
fn take_in(window: &mut ColumnsMut<'_>, log: &mut ColumnsMut<'_>, pending: usize) {
    if pending == 0 {
        return;
    }
    let kept = window.rows();
    for i in 0..kept {
        for c in 0..window.cols() {
            window.row_mut(i)[c] = match i + pending {
                from if from < kept => window.row_mut(from)[c],
                from => log.row_mut(from - kept)[c],
            };
        }
    }
}

/// The gated delta rule. The log holds δ, and twice k and g, of which a run writes one side while
/// it reads the other: [`ScanLog`].
pub(super) struct GdnScan {
    pub(super) q: Slot,
    pub(super) k: Slot,
    pub(super) v: Slot,
    pub(super) g: Slot,
    pub(super) beta: Slot,
    pub(super) state: usize,
    pub(super) y: Slot,
}

/// Where things lie in the log of a scan, in bytes: `δ: [capacity, Hv, D]`, then for each side
/// `k: [capacity, Hk, D]` and `g: [capacity, Hv]`.
struct ScanLog {
    k: [usize; 2],
    g: [usize; 2],
}

impl ScanLog {
    fn new(capacity: usize, k_heads: usize, heads: usize, d: usize) -> ScanLog {
        let delta = capacity * heads * d * size_of::<f32>();
        let k = capacity * k_heads * d * size_of::<f32>();
        let g = capacity * heads * size_of::<f32>();
        ScanLog {
            k: [delta, delta + k],
            g: [delta + 2 * k, delta + 2 * k + g],
        }
    }
}

impl Kernel for GdnScan {
    fn chunks(&self, run: &Run<'_>) -> usize {
        match run.tokens {
            0 => 0,
            _ => self.v.dims[0] * self.v.last().div_ceil(COLUMNS),
        }
    }

    fn run(&self, run: &Run<'_>, chunk: usize, scratch: &mut Scratch) {
        let (heads, k_heads, d) = (self.v.dims[0], self.k.dims[0], self.v.last());
        let blocks = d.div_ceil(COLUMNS);
        let (head, column) = (chunk / blocks, chunk % blocks * COLUMNS);
        let columns = COLUMNS.min(d - column);
        let k_head = head % k_heads;
        let state = recurrent(run, self.state);
        let log = ScanLog::new(state.capacity, k_heads, heads, d);
        let place = head * d + column;
        let rows = if run.tentative { run.tokens } else { 0 }.max(state.pending);
        // SAFETY: operands; these columns of the head's matrix, of the log's δ and of the result
        // belong to this chunk, and effects keep other ops off the state. Of k and g the side
        // that is read here is the one that nobody writes in this run.
        let (tokens, updates, mut deltas, matrix, mut y) = unsafe {
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
            let pending = state.pending;
            let k = state
                .log
                .slice::<f32>(log.k[state.side], pending * k_heads * d);
            let g = state.log.slice::<f32>(log.g[state.side], pending * heads);
            let updates = Updates {
                tokens: pending,
                k: k.get(k_head * d..).unwrap_or_default(),
                k_stride: k_heads * d,
                g: g.get(head..).unwrap_or_default(),
                g_stride: heads,
            };
            let at = place * size_of::<f32>();
            let deltas = state.log.columns(at, rows, columns, heads * d);
            let matrix: &mut [f32] = state.values.slice_mut(at * d, columns * d);
            let y = run
                .arena
                .columns(self.y.offset + at, run.tokens, columns, heads * d);
            (tokens, updates, deltas, matrix, y)
        };
        gdn_commit(updates, &mut deltas, d, matrix);
        if !run.tentative {
            gdn_scan(
                tokens,
                d,
                matrix,
                &mut y,
                &mut deltas.part(0..0, 0..columns),
            );
            return;
        }
        scratch.matrix.clear();
        scratch.matrix.extend_from_slice(matrix);
        gdn_scan(tokens, d, &mut scratch.matrix, &mut y, &mut deltas);
        if column == 0 {
            // SAFETY: nobody reads this side in this run; the first block of a head writes the
            // head's g, that of the first v-head of a k-head its k.
            unsafe {
                let at = log.g[1 - state.side] + head * size_of::<f32>();
                let mut g = state.log.columns(at, run.tokens, 1, heads);
                for t in 0..run.tokens {
                    g.row_mut(t)[0] = tokens.g[t * heads];
                }
            }
            if head < k_heads {
                let at = log.k[1 - state.side] + k_head * d * size_of::<f32>();
                // SAFETY: as above.
                let mut k = unsafe { state.log.columns(at, run.tokens, d, k_heads * d) };
                for t in 0..run.tokens {
                    k.row_mut(t)
                        .copy_from_slice(&tokens.k[t * k_heads * d..][..d]);
                }
            }
        }
    }
}
