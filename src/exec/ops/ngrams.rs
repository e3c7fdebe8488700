//! What is remembered of n-grams: the rows of a table, and how they come to the residual streams.

use super::deltanet::{CHANNELS, Channels, Inputs, take_in};
use super::{Kernel, Run, Scratch, Segment, Slot};
use sharpi_kernels::conv::advance;
use sharpi_kernels::elementwise::{Rhs, add, dot, mul, sigmoid, signed_sqrt, silu};
use sharpi_kernels::ngram::Ngrams;

/// Rows that n-grams are hashed to; a chunk is a sequence. The log holds ids, each plus one.
pub(super) struct NgramRows {
    pub(super) ids: Slot,
    pub(super) hash: Ngrams,
    pub(super) state: usize,
    pub(super) y: Slot,
}

impl NgramRows {
    /// Takes in what is pending, and a run's own tokens, each plus one.
    ///
    /// What is known of the tokens before the run is returned, the oldest first.
    fn window(&self, segment: &Segment<'_>, own: &[f32]) -> Vec<f32> {
        let state = segment.recurrent(self.state);
        let kept = self.hash.multipliers.len() - 1;
        let rows = segment.logged().max(state.pending);
        // SAFETY: a sequence's state belongs to its chunk; effects keep other ops off it.
        let (mut window, mut log) = unsafe {
            (
                state.values.columns(0, kept, 1, 1),
                state.log.columns(0, rows, 1, 1),
            )
        };
        take_in(&mut window, &mut log, state.pending);
        let before = (0..kept).map(|i| window.row_mut(i)[0]).collect();
        match segment.tentative {
            true => (own.iter().enumerate()).for_each(|(t, id)| log.row_mut(t)[0] = *id),
            false => advance(own, 1, 0, &mut window),
        }
        before
    }
}

impl Kernel for NgramRows {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.segments.len()
    }

    fn run(&self, run: &Run<'_>, chunk: usize, _: &mut Scratch) {
        let segment = &run.segments[chunk];
        // SAFETY: an operand.
        let ids = unsafe { &run.read_ids(&self.ids)[segment.tokens.clone()] };
        // Exact: inference refuses a vocabulary that f32 cannot count.
        let own: Vec<f32> = ids.iter().map(|id| (*id + 1) as f32).collect();
        let mut known = self.window(segment, &own);
        let kept = known.len();
        known.extend(own);
        for (t, id) in ids.iter().enumerate() {
            let at = self.y.offset + (segment.tokens.start + t) * self.y.stride_bytes();
            // SAFETY: a sequence's tokens of the result belong to its chunk.
            let rows: &mut [i32] = unsafe { run.arena.slice_mut(at, self.y.width()) };
            let before = known[t..t + kept].iter().rev();
            let before = before.map(|id| (*id > 0.0).then(|| *id as u32 - 1));
            self.hash.rows(*id as u32, before, rows);
        }
    }
}

/// A row for each stream, by how its key and query agree; a chunk is a token.
pub(super) struct StreamGate {
    pub(super) key: Slot,
    pub(super) query: Slot,
    pub(super) value: Slot,
    pub(super) by: f32,
    pub(super) min: f32,
    pub(super) y: Slot,
}

impl Kernel for StreamGate {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.value)
    }

    fn run(&self, run: &Run<'_>, t: usize, _: &mut Scratch) {
        // SAFETY: operands; token `t` of the result belongs to this chunk.
        let of = |slot: &Slot| unsafe { &run.read(slot)[t * slot.width()..][..slot.width()] };
        // SAFETY: as above.
        let y = unsafe { run.write(&self.y, t) };
        let (key, query, value) = (of(&self.key), of(&self.query), of(&self.value));
        let n = value.len();
        let keys = key.chunks_exact(n).zip(query.chunks_exact(n));
        for (y, (key, query)) in y.chunks_exact_mut(n).zip(keys) {
            let mut gate = [dot(key, query) * self.by];
            signed_sqrt(&mut gate, self.min);
            sigmoid(&mut gate);
            y.copy_from_slice(value);
            mul(y, Rhs::Value(gate[0]));
        }
    }
}

/// What streams get of a dilated convolution's SiLU and of what it convolves; chunks are ranges of
/// channels.
pub(super) struct StreamConv {
    pub(super) x: Slot,
    pub(super) streams: Slot,
    pub(super) gated: Slot,
    /// `[K, C]`.
    pub(super) taps: Vec<f32>,
    pub(super) dilation: usize,
    pub(super) state: usize,
    pub(super) y: Slot,
}

impl Kernel for StreamConv {
    fn chunks(&self, run: &Run<'_>) -> usize {
        match run.tokens {
            0 => 0,
            _ => self.x.width().div_ceil(CHANNELS),
        }
    }

    fn run(&self, run: &Run<'_>, chunk: usize, _: &mut Scratch) {
        let (width, first) = (self.x.width(), chunk * CHANNELS);
        let channels = first..width.min(first + CHANNELS);
        // SAFETY: operands.
        let [x, streams, gated] =
            [&self.x, &self.streams, &self.gated].map(|slot| unsafe { run.read(slot) });
        let inputs = Inputs {
            x,
            taps: &self.taps,
            stride: width,
            first,
            dilation: Some(self.dilation),
        };
        let into = Channels {
            state: self.state,
            y: &self.y,
            channels: channels.clone(),
        };
        into.convolve(run, inputs, |t, y| {
            let own = t * width + channels.start..t * width + channels.end;
            silu(y);
            add(y, Rhs::Row(&gated[own.clone()]));
            add(y, Rhs::Row(&streams[own]));
        });
    }
}
