//! DeltaNet's two stateful ops. Both split channels or columns and walk the tokens in order.
//!
//! A run that may be taken back ([`Segment::tentative`]) leaves the state as it was and logs what its
//! tokens would do to it; the next run takes in as many of them as have been kept, and goes on
//! from there. So going back costs nothing, and the state is read and written once a run.

use std::ops::Range;

use sharpi_ir::KeyHeads;

use super::product::Epilogue;
use super::{Kernel, Recurrent, Run, Scratch, Segment, Slot, Weight};
use sharpi_kernels::columns::ColumnsMut;
use sharpi_kernels::conv::{advance, ask, causal_conv, dilated_conv, taps};
use sharpi_kernels::elementwise::silu;
use sharpi_kernels::gdn::{ScanWorkspace, Tokens, Updates, gdn_scan};

/// Channels of a convolution chunk.
pub(super) const CHANNELS: usize = 256;

/// Value columns of a scan chunk, whole groups of the state.
const COLUMNS: usize = 32;

/// Causal convolution over time. The log holds the inputs, `[capacity, C]`.
pub(super) struct CausalConv {
    pub(super) x: Slot,
    /// `[K, C]`.
    pub(super) taps: Vec<f32>,
    /// How many tokens apart the inputs lie that taps meet, if products are rounded before they are
    /// added.
    pub(super) dilation: Option<usize>,
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
        // SAFETY: an operand.
        let x = unsafe { run.read(&self.x) };
        let inputs = Inputs {
            x,
            taps: &self.taps,
            stride: channels,
            first,
            dilation: self.dilation,
        };
        let into = Channels {
            state: self.state,
            y: &self.y,
            channels: first..first + count,
        };
        into.convolve(run, inputs, |_, _| ());
    }
}

/// Some channels of a sequence's tokens of a value.
///
/// # Safety
/// The value is a result of the op that runs, and these channels belong to this chunk alone.
unsafe fn channels_of<'a>(
    run: &Run<'a>,
    segment: &Segment<'_>,
    y: &Slot,
    channels: Range<usize>,
) -> ColumnsMut<'a> {
    let at = y.offset + segment.tokens.start * y.stride_bytes();
    let at = at + channels.start * size_of::<f32>();
    let (tokens, width) = (segment.tokens.len(), y.width());
    // SAFETY: handed on.
    unsafe { run.arena.columns(at, tokens, channels.len(), width) }
}

/// Inputs of a convolution and its taps, both in rows of `stride` channels, of which those from
/// `first` on are meant.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) x: &'a [f32],
    pub(super) taps: &'a [f32],
    pub(super) stride: usize,
    pub(super) first: usize,
    /// As of [`CausalConv`].
    pub(super) dilation: Option<usize>,
}

/// Channels of a convolution's state and result that belong to the chunk that convolves them;
/// effects keep other ops off the state.
pub(super) struct Channels<'a> {
    pub(super) state: usize,
    pub(super) y: &'a Slot,
    pub(super) channels: Range<usize>,
}

impl Channels<'_> {
    /// Convolves the inputs of every sequence, and puts `then` behind each token's row of results.
    pub(super) fn convolve(
        &self,
        run: &Run<'_>,
        inputs: Inputs<'_>,
        then: impl Fn(usize, &mut [f32]),
    ) {
        for segment in &run.segments {
            let (tokens, stride) = (&segment.tokens, inputs.stride);
            let x = &inputs.x[tokens.start * stride..tokens.end * stride];
            // SAFETY: these channels of the result belong to this chunk.
            let mut y = unsafe { channels_of(run, segment, self.y, self.channels.clone()) };
            self.convolve_segment(segment, Inputs { x, ..inputs }, &mut y);
            for t in 0..tokens.len() {
                then(tokens.start + t, y.row_mut(t));
            }
        }
    }

    fn convolve_segment(&self, segment: &Segment<'_>, inputs: Inputs<'_>, y: &mut ColumnsMut<'_>) {
        let state = segment.recurrent(self.state);
        let Inputs {
            x,
            taps,
            stride,
            first,
            dilation,
        } = inputs;
        let kept = (taps.len() / stride - 1) * dilation.unwrap_or(1);
        let count = self.channels.len();
        let rows = segment.logged().max(state.pending);
        let (at, all) = (self.channels.start * size_of::<f32>(), self.y.width());
        // SAFETY: these channels of the window and of the log are this chunk's alone.
        let (mut window, mut log) = unsafe {
            (
                state.values.columns(at, kept, count, all),
                state.log.columns(at, rows, count, all),
            )
        };
        take_in(&mut window, &mut log, state.pending);
        match dilation {
            None => causal_conv(x, taps, stride, first, &mut window, y),
            Some(n) => dilated_conv(x, taps, stride, first, n, &mut window, y),
        }
        if segment.tentative {
            for t in 0..segment.tokens.len() {
                let x = &x[t * stride + first..][..count];
                log.row_mut(t).copy_from_slice(x);
            }
        } else {
            advance(x, stride, first, &mut window);
        }
    }
}

/// The causal convolution of a product and its SiLU. The log is that of [`CausalConv`].
pub(super) struct ConvSilu {
    /// Columns of a chunk,
    columns: usize,
    /// and of each chunk's channels the taps, `[K, channels]`.
    taps: Vec<Vec<f32>>,
    state: usize,
    y: Slot,
}

impl ConvSilu {
    /// `kernel` is `[C, K]`; a chunk has so many columns.
    pub(super) fn new(kernel: &Weight, columns: usize, state: usize, y: Slot) -> ConvSilu {
        let (k, kernel) = (kernel.dims[1], kernel.floats());
        let chunks = kernel.chunks(columns * k);
        ConvSilu {
            columns,
            taps: chunks.map(|chunk| taps(chunk, k)).collect(),
            state,
            y,
        }
    }
}

impl Epilogue for ConvSilu {
    fn ask(&self, run: &Run<'_>, columns: Range<usize>) {
        let taps = &self.taps[columns.start / self.columns];
        let (count, kept) = (columns.len(), taps.len() / columns.len() - 1);
        ask(taps);
        for segment in &run.segments {
            let state = segment.recurrent(self.state);
            let at = columns.start * size_of::<f32>();
            // SAFETY: these channels of the window are this chunk's alone.
            let mut window = unsafe { state.values.columns(at, kept, count, self.y.width()) };
            (0..kept).for_each(|row| ask(window.row_mut(row)));
        }
    }

    fn finish(
        &self,
        run: &Run<'_>,
        columns: Range<usize>,
        [projected, _]: &[Vec<f32>; 2],
        _: &mut Scratch,
    ) {
        let inputs = Inputs {
            x: projected,
            taps: &self.taps[columns.start / self.columns],
            stride: columns.len(),
            first: 0,
            dilation: None,
        };
        let into = Channels {
            state: self.state,
            y: &self.y,
            channels: columns,
        };
        into.convolve(run, inputs, |_, y| silu(y));
    }
}

/// Moves the window on by `pending` logged inputs.
pub(super) fn take_in(window: &mut ColumnsMut<'_>, log: &mut ColumnsMut<'_>, pending: usize) {
    if pending == 0 {
        return;
    }
    let kept = window.rows();
    for i in 0..kept {
        match (i + pending).checked_sub(kept) {
            None => window.copy_row(i + pending, i),
            Some(from) => window.row_mut(i).copy_from_slice(log.row_mut(from)),
        }
    }
}

/// The gated delta rule. The log holds δ, and twice k and g, of which a run writes one side while
/// it reads the other: [`ScanLog`].
pub(super) struct GdnScan {
    pub(super) keys: KeyHeads,
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

impl GdnScan {
    /// Chunks of a sequence.
    fn parts(&self) -> usize {
        self.v.dims[0] * self.v.last().div_ceil(COLUMNS)
    }
}

impl Kernel for GdnScan {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.segments.len() * self.parts()
    }

    fn run(&self, run: &Run<'_>, chunk: usize, scratch: &mut Scratch) {
        let (heads, d) = (self.v.dims[0], self.v.last());
        let segment = &run.segments[chunk / self.parts()];
        let (chunk, blocks) = (chunk % self.parts(), d.div_ceil(COLUMNS));
        let part = HeadColumns {
            keys: self.keys,
            heads,
            k_heads: self.k.dims[0],
            d,
            head: chunk / blocks,
            first: chunk % blocks * COLUMNS,
            columns: COLUMNS.min(d - chunk % blocks * COLUMNS),
        };
        let (head, k_head) = (part.head, part.k_head());
        let place = head * d + part.first;
        let columns = place..place + part.columns;
        // SAFETY: operands; these columns of the result belong to this chunk.
        let (tokens, mut y) = unsafe {
            let of = |slot: &Slot, from: usize| {
                &run.read(slot)[segment.tokens.start * slot.width() + from..]
            };
            let tokens = Tokens {
                q: of(&self.q, k_head * d),
                k: of(&self.k, k_head * d),
                qk_stride: self.k.width(),
                v: of(&self.v, place),
                v_stride: heads * d,
                g: of(&self.g, head),
                beta: of(&self.beta, head),
                gate_stride: heads,
            };
            (tokens, channels_of(run, segment, &self.y, columns))
        };
        let state = segment.recurrent(self.state);
        part.scan(segment, state, tokens, &mut y, &mut scratch.scan);
    }
}

/// Some value columns of one head.
pub(super) struct HeadColumns {
    pub(super) keys: KeyHeads,
    pub(super) heads: usize,
    pub(super) k_heads: usize,
    pub(super) d: usize,
    pub(super) head: usize,
    pub(super) first: usize,
    pub(super) columns: usize,
}

impl HeadColumns {
    /// The k-head that the head uses.
    fn k_head(&self) -> usize {
        self.keys.of(self.head, self.k_heads, self.heads)
    }

    /// Scans these columns, which belong to the chunk that calls this, over all tokens of a
    /// sequence. Effects keep other ops off the state.
    pub(super) fn scan(
        &self,
        segment: &Segment<'_>,
        state: Recurrent<'_>,
        tokens: Tokens<'_>,
        y: &mut ColumnsMut<'_>,
        workspace: &mut ScanWorkspace,
    ) {
        let &HeadColumns {
            heads,
            k_heads,
            d,
            head,
            first,
            columns,
            ..
        } = self;
        let (k_head, pending) = (self.k_head(), state.pending);
        let log = ScanLog::new(state.capacity, k_heads, heads, d);
        let rows = segment.logged().max(pending);
        let at = (head * d + first) * size_of::<f32>();
        // SAFETY: these columns of the head's matrix and of the log's δ are this chunk's alone. Of
        // k and g the side that is read here is the one that nobody writes in this run.
        let (updates, mut deltas, matrix) = unsafe {
            let k: &[f32] = (state.log).slice(log.k[state.side], pending * k_heads * d);
            let g: &[f32] = (state.log).slice(log.g[state.side], pending * heads);
            let updates = Updates {
                tokens: pending,
                k: k.get(k_head * d..).unwrap_or_default(),
                k_stride: k_heads * d,
                g: g.get(head..).unwrap_or_default(),
                g_stride: heads,
            };
            let deltas = state.log.columns(at, rows, columns, heads * d);
            let matrix: &mut [f32] = state.values.slice_mut(at * d, columns * d);
            (updates, deltas, matrix)
        };
        let tentative = segment.tentative;
        gdn_scan(
            updates,
            tokens,
            matrix,
            tentative,
            workspace,
            y,
            &mut deltas,
        );
        if tentative && first == 0 {
            self.log_gates(segment.logged(), state, &log, tokens);
        }
    }

    /// Logs g, as the first part of its head, and k, as that of the first v-head of its k-head.
    fn log_gates(&self, count: usize, state: Recurrent<'_>, log: &ScanLog, tokens: Tokens<'_>) {
        let (written, d) = (1 - state.side, self.d);
        let at = log.g[written] + self.head * size_of::<f32>();
        // SAFETY: nobody reads this side in this run, and no other chunk writes here.
        let mut g = unsafe { state.log.columns(at, count, 1, self.heads) };
        for t in 0..count {
            g.row_mut(t)[0] = tokens.g[t * tokens.gate_stride];
        }
        let k_head = self.k_head();
        let is_first =
            (0..self.head).all(|head| self.keys.of(head, self.k_heads, self.heads) != k_head);
        if is_first {
            let at = log.k[written] + k_head * d * size_of::<f32>();
            // SAFETY: as above.
            let mut k = unsafe { state.log.columns(at, count, d, self.k_heads * d) };
            for t in 0..count {
                k.row_mut(t)
                    .copy_from_slice(&tokens.k[t * tokens.qk_stride..][..d]);
            }
        }
    }
}
