//! Ops bound to memory: what a worker runs, chunk by chunk.
//!
//! Each op becomes a [`Kernel`] that knows where its operands lie, how many chunks a run has, and
//! computes one of them. Chunks split outputs, never a reduction, so who runs which is free.

mod activations;
mod all_gather;
mod attention;
mod bind;
mod deltanet;
mod elementwise;
mod gated_delta_net;
mod indexer;
mod layout;
mod moe;
mod moe_fused;
mod ngrams;
mod parts;
mod product;
mod rows;
mod streams;
mod weight;

pub use bind::bind;
pub use parts::{BindError, Bound, State};
pub use weight::{Place, Weight};

use activations::Rounded;
use gated_delta_net::HeadRows;
use moe_fused::Routing;
use parts::activation_type;

use std::ops::Range;

use sharpi_ir::DType;

use super::memory::Shared;
use super::peers::Peers;
use sharpi_kernels::activation::ActivationType;
use sharpi_kernels::attention::index::ChoiceWorkspace;
use sharpi_kernels::attention::{AttentionWorkspace, CacheType};
use sharpi_kernels::gdn::ScanWorkspace;
use sharpi_kernels::rope::Rotation;

/// The axis that a value's first dimension counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Axis {
    /// Tokens of the run.
    Tokens,
    /// Rows of logits asked for.
    Rows,
}

/// Where a value lies in the arena and how it is laid out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// Byte in the arena.
    pub offset: usize,
    /// What the first dimension counts.
    pub axis: Axis,
    /// The other dimensions, slowest first.
    pub dims: Vec<usize>,
    /// Element type.
    pub dtype: DType,
}

impl Slot {
    /// Elements for each token (or row).
    pub fn width(&self) -> usize {
        self.dims.iter().product()
    }

    /// The contiguous dimension.
    pub fn last(&self) -> usize {
        self.dims.last().copied().unwrap_or(1)
    }

    /// The format in which its rows may meet weights.
    fn activation_type(&self) -> Option<ActivationType> {
        activation_type(self.dtype)
    }

    /// Bytes for each token (or row).
    pub fn stride_bytes(&self) -> usize {
        self.width() / self.dtype.block_len() * self.dtype.block_bytes()
    }
}

/// A state's memory during a run.
#[derive(Clone, Copy)]
pub enum StateView<'a> {
    /// f32 values, read and overwritten.
    Recurrent(Recurrent<'a>),
    /// Keys and values, position after position.
    Kv {
        /// Key rows.
        k: Shared<'a>,
        /// Value rows.
        v: Shared<'a>,
    },
}

/// A recurrent state during a run.
#[derive(Clone, Copy)]
pub struct Recurrent<'a> {
    /// The values, without the tokens that are pending.
    pub values: Shared<'a>,
    /// What tokens would do to the values, written by tentative runs in the way of the op.
    pub log: Shared<'a>,
    /// How many logged tokens this run has to take in, from the first on.
    pub pending: usize,
    /// Most tokens that the log holds.
    pub capacity: usize,
    /// Which of two sides of the log to read, 0 or 1; the other one is there to be written.
    pub side: usize,
}

/// Format of a KV cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KvLayout {
    /// Element type of keys.
    pub k: CacheType,
    /// Element type of values.
    pub v: CacheType,
    /// Key-value heads.
    pub heads: usize,
    /// Elements of a head.
    pub dim: usize,
}

/// One run of a graph, as its kernels see it: tokens of one sequence or of several, those of each
/// together.
pub struct Run<'a> {
    /// The values.
    pub arena: Shared<'a>,
    /// The sequences, in the order of their tokens, each with one token or more. What works on each
    /// row by itself never looks at them.
    pub segments: Vec<Segment<'a>>,
    /// Tokens of the run.
    pub tokens: usize,
    /// Rows of logits asked for.
    pub rows: usize,
    /// How many workers share the run. Chunks may be cut to suit, results do not depend on it.
    pub workers: usize,
    /// The other ranks of a sharded model.
    pub peers: Option<&'a Peers>,
}

/// The tokens of one sequence in a run.
pub struct Segment<'a> {
    /// Which tokens of the run they are.
    pub tokens: Range<usize>,
    /// The sequence's states by index.
    pub states: Vec<StateView<'a>>,
    /// Whether recurrent states stay as they were and the tokens are logged.
    pub tentative: bool,
}

impl<'a> Segment<'a> {
    /// Tokens that this run logs.
    fn logged(&self) -> usize {
        if self.tentative { self.tokens.len() } else { 0 }
    }

    /// The memory of a state that the verifier has found to be recurrent.
    fn recurrent(&self, state: usize) -> Recurrent<'a> {
        match self.states[state] {
            StateView::Recurrent(state) => state,
            StateView::Kv { .. } => unreachable!("bound to a recurrent state"),
        }
    }

    /// The keys and the values of a state that the verifier has found to be a cache.
    fn caches(&self, state: usize) -> (Shared<'a>, Shared<'a>) {
        match self.states[state] {
            StateView::Kv { k, v } => (k, v),
            StateView::Recurrent(_) => unreachable!("bound to a KV cache"),
        }
    }
}

impl<'a> Run<'a> {
    /// The sequence that a token belongs to.
    fn segment_of(&self, token: usize) -> &Segment<'a> {
        let after = self.segments.partition_point(|s| s.tokens.start <= token);
        &self.segments[after - 1]
    }

    /// How many tokens or rows a value has in this run.
    pub fn count(&self, slot: &Slot) -> usize {
        match slot.axis {
            Axis::Tokens => self.tokens,
            Axis::Rows => self.rows,
        }
    }

    /// Gives `own` to all other ranks and takes what they give. Once that has failed nothing more is
    /// exchanged, and the run fails at its end.
    fn exchange(&self, own: &[u8], others: &mut [Vec<u8>]) {
        if let Some(peers) = self.peers {
            peers.exchange(own, others);
        }
    }

    /// A whole operand.
    ///
    /// # Safety
    /// The value is an operand of the op that runs: the plan lets nobody write it in this step.
    pub unsafe fn read(&self, slot: &Slot) -> &'a [f32] {
        // SAFETY: handed on.
        unsafe {
            self.arena
                .slice(slot.offset, self.count(slot) * slot.width())
        }
    }

    /// A sequence's tokens of an operand.
    ///
    /// # Safety
    /// As [`Run::read`].
    unsafe fn read_segment(&self, slot: &Slot, segment: &Segment<'_>) -> &'a [f32] {
        let at = slot.offset + segment.tokens.start * slot.stride_bytes();
        let count = segment.tokens.len() * slot.width();
        // SAFETY: handed on.
        unsafe { self.arena.slice(at, count) }
    }

    /// A whole operand of whole numbers.
    ///
    /// # Safety
    /// As [`Run::read`].
    pub unsafe fn read_ids(&self, slot: &Slot) -> &'a [i32] {
        // SAFETY: handed on.
        unsafe {
            self.arena
                .slice(slot.offset, self.count(slot) * slot.width())
        }
    }

    /// A whole operand as bytes.
    ///
    /// # Safety
    /// As [`Run::read`].
    pub unsafe fn read_bytes(&self, slot: &Slot) -> &'a [u8] {
        let bytes = self.count(slot) * slot.stride_bytes();
        // SAFETY: handed on.
        unsafe { self.arena.slice(slot.offset, bytes) }
    }

    /// Token `t` of a result, to write.
    ///
    /// # Safety
    /// The value is a result of the op that runs, and token `t` belongs to this chunk alone.
    pub unsafe fn write(&self, slot: &Slot, t: usize) -> &'a mut [f32] {
        let offset = slot.offset + t * slot.stride_bytes();
        // SAFETY: handed on.
        unsafe { self.arena.slice_mut(offset, slot.width()) }
    }
}

/// What a worker keeps from chunk to chunk.
#[derive(Default)]
pub struct Scratch {
    /// Attention queries, how much each token sees, and the softmaxes on the way.
    query: Vec<f32>,
    seen: Vec<usize>,
    attention: AttentionWorkspace,
    /// The choice of an indexer.
    choice: ChoiceWorkspace,
    chosen: Vec<u32>,
    /// Weights of a token's experts.
    scores: Vec<f32>,
    scan: ScanWorkspace,
    /// What one head of a scan takes and gives.
    head: HeadRows,
    /// RoPE cosines and sines, and of which position and rotation.
    angles: (Vec<f32>, Vec<f32>),
    angles_of: Option<(i32, Rotation)>,
    /// Activations as the matmul kernels take them.
    rounded: Rounded,
    /// One row on its way to being rounded.
    row: Vec<f32>,
    /// Which experts take which tokens, and their activations.
    routing: Routing,
    /// What other ranks have given.
    given: Vec<Vec<u8>>,
    /// Columns that a chunk has made and nobody else sees.
    tiles: [Vec<f32>; 2],
}

impl Scratch {
    /// Forgets what belongs to an earlier step.
    pub fn next_step(&mut self) {
        self.rounded.next_step();
        self.routing.of = None;
    }

    /// RoPE's cosines and sines at a position.
    fn angles_at(&mut self, pos: i32, rotation: &Rotation) -> (&[f32], &[f32]) {
        let (cos, sin) = &mut self.angles;
        let there = |(at, of): &(i32, Rotation)| *at == pos && of == rotation;
        if !self.angles_of.as_ref().is_some_and(there) {
            cos.resize(rotation.n_rot / 2, 0.0);
            sin.resize(rotation.n_rot / 2, 0.0);
            rotation.angles(pos as u32, cos, sin);
            self.angles_of = Some((pos, rotation.clone()));
        }
        (cos, sin)
    }
}

/// An op bound to its memory.
pub trait Kernel: Send + Sync {
    /// How many chunks there are in this run; 0 where there is nothing to do.
    fn chunks(&self, run: &Run<'_>) -> usize;

    /// Computes one chunk. Each chunk of a step is run once, by any worker, at any time between
    /// the two barriers of its step.
    fn run(&self, run: &Run<'_>, chunk: usize, scratch: &mut Scratch);
}
