//! Residual streams in parallel (Zhu et al. 2024, "Hyper-Connections"): before each part of a block
//! they are mixed into one, and what the part gives is added to each of them, weighted by gates.

use sharpi_ir::{Op, Sums, Value};

use super::context::{Context, Naming};
use super::keys::Keys;
use super::{BlockKind, LowerError};

/// The residual streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Streams {
    /// How many there are.
    pub count: usize,
    /// Inner width of their gates.
    pub rank: usize,
}

impl Streams {
    /// Reads `hyper_connection.*`.
    pub(super) fn read(keys: &Keys) -> Result<Streams, LowerError> {
        let count = keys.size("hyper_connection.count")?;
        if count < 2 {
            return Err(keys.conflict("hyper_connection.count", "2 or more"));
        }
        let rank = keys.size("hyper_connection.low_rank")?;
        Ok(Streams { count, rank })
    }
}

/// Where a mixer stands.
#[derive(Clone, Copy)]
pub(super) enum Mixer<'n> {
    /// Before a part of a block; its tensors begin so.
    Block(&'n str),
    /// At the end of a graph, in place of the last norm; its tensors begin so.
    Last(&'n str, Sums),
}

impl Context<'_, '_> {
    /// As many streams as there are to be, all the same: `[T, E] -> [T, S, E]`.
    pub(super) fn streams(&mut self, x: Value, streams: Streams) -> Result<Value, LowerError> {
        let count = streams.count as u32;
        self.op(Op::Streams { count }, &[x.into()])
    }

    /// Mixer, attention or DeltaNet, sum, mixer, feed-forward, sum: `[T, S, E] -> [T, S, E]`.
    pub(super) fn stream_block(
        &mut self,
        x: Value,
        (pos, kind): (Value, BlockKind),
        streams: Streams,
    ) -> Result<Value, LowerError> {
        let before = Mixer::Block("hc_attn");
        let (mixed, normed) = self.mix_streams(x, before, streams)?;
        let inject = self.inject(normed, "hc_attn_inject.weight", streams)?;
        let added = self.mixer(mixed, pos, kind)?;
        let x = self.add_to_streams(x, added, inject)?;
        self.name(x, "hc_combine", "");
        let (mixed, normed) = self.mix_streams(x, Mixer::Block("hc_ffn"), streams)?;
        let inject = self.inject(normed, "hc_ffn_inject.weight", streams)?;
        let added = self.feed_forward(mixed)?;
        self.add_to_streams(x, added, inject)
    }

    /// The mean of the normed streams, each gated: `[T, S, E] -> [T, E]`; and the normed streams,
    /// `[T, S · E]`.
    pub(super) fn mix_streams(
        &mut self,
        x: Value,
        mixer: Mixer<'_>,
        streams: Streams,
    ) -> Result<(Value, Value), LowerError> {
        let (count, width) = (streams.count, self.hp.embedding);
        let (all, rank) = (count * width, streams.rank);
        let (stem, sums) = match mixer {
            Mixer::Block(stem) => (self.in_block(stem), Sums::Fused),
            Mixer::Last(stem, sums) => (stem.to_owned(), sums),
        };
        let name = |part: &str| format!("{stem}_{part}.weight");
        let normed = self.stream_norm(x, &name("norm"), streams)?;
        let flat = self.reshape(normed, &[all])?;
        let low = self.product(flat, &name("down"), rank, all)?;
        let by = 1.0 / count as f32;
        let low = self.op(Op::Scale { by }, &[low.into()])?;
        let low = self.silu(low)?;
        let gate = self.product(low, &name("up"), all, rank)?;
        self.name_of_mixer(flat, "hc_norm", mixer);
        self.name_of_mixer(gate, "hc_gate", mixer);
        let gate = self.reshape(gate, &[count, width])?;
        let mixed = self.op(Op::StreamMix { sums }, &[normed.into(), gate.into()])?;
        if let Mixer::Block(_) = mixer {
            self.name(mixed, "hc_mixed", "");
        }
        Ok((mixed, flat))
    }

    /// Names what a mixer makes: that at the end of the trunk belongs to no block.
    fn name_of_mixer(&mut self, v: Value, name: &str, mixer: Mixer<'_>) {
        match (mixer, self.naming) {
            (Mixer::Last(..), Naming::Trunk) => self.builder.name(v, name),
            _ => self.name(v, name, ""),
        };
    }

    /// RMS norms of the streams, with weights of their own, which files hold one stream behind the
    /// other, as a vector or a matrix.
    pub(super) fn stream_norm(
        &mut self,
        x: Value,
        tensor: &str,
        streams: Streams,
    ) -> Result<Value, LowerError> {
        let weight = self.flat_weight_f32(tensor, &[streams.count, self.hp.embedding])?;
        let eps = self.hp.rms_eps;
        self.op(Op::Rmsnorm { eps }, &[x.into(), weight.into()])
    }

    /// How much of what follows goes into each stream.
    fn inject(
        &mut self,
        normed: Value,
        tensor: &str,
        streams: Streams,
    ) -> Result<Value, LowerError> {
        let all = streams.count * self.hp.embedding;
        let inject = self.project(normed, tensor, streams.count, all)?;
        Ok(self.name(inject, "hc_inject", ""))
    }

    fn add_to_streams(&mut self, x: Value, added: Value, by: Value) -> Result<Value, LowerError> {
        self.op(Op::StreamAdd {}, &[x.into(), added.into(), by.into()])
    }
}
