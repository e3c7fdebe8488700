//! The supported architectures, one a file: which blocks they have, what is in those, and what
//! their files leave unsaid. The blocks themselves are shared; nothing else names an architecture.

mod glm4moe;
mod llama;
mod qwen2;
mod qwen3;
mod qwen35;
mod qwen35moe;
mod qwen3moe;
mod qwen3next;
mod qwen4exp;
mod smollm3;

use std::fmt;

use sharpi_ir::{KeyHeads, ScanGate};

use super::Gating;

/// A supported architecture.
#[derive(Clone, Copy)]
pub struct Arch(&'static Family);

impl Arch {
    /// GLM-4.5: attention, a mixture of experts behind dense blocks.
    pub const GLM4MOE: Arch = Arch(&glm4moe::FAMILY);
    /// Llama 2 and 3 and what is built like them.
    pub const LLAMA: Arch = Arch(&llama::FAMILY);
    /// Qwen2 and Qwen2.5.
    pub const QWEN2: Arch = Arch(&qwen2::FAMILY);
    /// Qwen3, dense.
    pub const QWEN3: Arch = Arch(&qwen3::FAMILY);
    /// Qwen3.5, dense: Gated DeltaNet and attention.
    pub const QWEN35: Arch = Arch(&qwen35::FAMILY);
    /// Qwen3.5 with a mixture of experts.
    pub const QWEN35MOE: Arch = Arch(&qwen35moe::FAMILY);
    /// Qwen3 with a mixture of experts.
    pub const QWEN3MOE: Arch = Arch(&qwen3moe::FAMILY);
    /// Qwen3-Next: Gated DeltaNet and attention, a mixture of experts.
    pub const QWEN3NEXT: Arch = Arch(&qwen3next::FAMILY);
    /// Qwen4 (experimental): as Qwen3.5 with a mixture of experts, with parallel residual streams.
    pub const QWEN4EXP: Arch = Arch(&qwen4exp::FAMILY);
    /// SmolLM3: every fourth block without positions.
    pub const SMOLLM3: Arch = Arch(&smollm3::FAMILY);

    /// Every one, by name.
    pub const ALL: [Arch; 10] = [
        Arch::GLM4MOE,
        Arch::LLAMA,
        Arch::QWEN2,
        Arch::QWEN3,
        Arch::QWEN35,
        Arch::QWEN35MOE,
        Arch::QWEN3MOE,
        Arch::QWEN3NEXT,
        Arch::QWEN4EXP,
        Arch::SMOLLM3,
    ];

    /// The name in `general.architecture`, which prefixes the metadata keys.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.name() == name)
    }

    pub(crate) fn family(self) -> &'static Family {
        self.0
    }
}

impl PartialEq for Arch {
    fn eq(&self, other: &Arch) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Arch {}

impl fmt::Debug for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What sets an architecture apart where its metadata do not say it.
#[cfg_attr(
    not(feature = "tools"),
    expect(dead_code, reason = "models are made by tools")
)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    /// The name of its small model.
    pub(crate) micro: &'static str,
    /// The pre-tokeniser of its models.
    pub(crate) words: &'static str,
    /// The kind of the blocks that do not attend, if there are such.
    pub(crate) recurrent: Option<DeltaNetKind>,
    pub(crate) attention: AttentionKind,
    pub(crate) feed_forward: FeedForward,
    /// Whether blocks read and add to several residual streams in parallel, mixed and gated anew
    /// before each (hyper-connections).
    pub(crate) streams: bool,
    /// Whether RoPE's pairs are divided by time, height and width.
    pub(crate) sections: bool,
    /// Whether the file may have a multi-token-prediction head.
    pub(crate) head: bool,
    pub(crate) names: Names,
}

/// What is particular of a DeltaNet mixer.
#[derive(Clone, Copy)]
pub(crate) struct DeltaNetKind {
    /// Which k-head a v-head uses.
    pub(crate) keys: KeyHeads,
    /// Whether in older files one matrix makes queries, keys, values and the gates of the result, by
    /// k-heads: `ssm_in.weight`.
    pub(crate) joint_inputs: bool,
    /// Whether one matrix makes beta and the decay's alpha, by k-heads: `ssm_ba.weight`.
    pub(crate) joint_gates: bool,
    /// What gates the result.
    pub(crate) gate: ScanGate,
}

/// What is particular of attention.
#[cfg_attr(
    not(feature = "tools"),
    expect(dead_code, reason = "models are made by tools")
)]
pub(crate) struct AttentionKind {
    /// Whether each head's query stands before a gate of its result.
    pub(crate) output_gate: bool,
    /// Whether its models add biases to queries, keys and values; what counts is the file.
    pub(crate) biases: bool,
    /// Norms of queries and keys by heads.
    pub(crate) norms: Norms,
    /// Whether RoPE turns neighbours, and not an element of each half.
    pub(crate) neighbours: bool,
    /// Whether `rope_freqs.weight`, if the file has it, divides RoPE's angles.
    pub(crate) factors: bool,
    /// Whether an indexer may choose what positions a block sees.
    pub(crate) indexer: bool,
    /// Every how many blocks one does not turn its queries and keys.
    pub(crate) still_every: Option<usize>,
}

/// Whether something is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Norms {
    /// In no file.
    Never,
    /// In every file.
    Always,
    /// Where the file has it.
    IfThere,
}

/// What follows the mixer.
pub(crate) enum FeedForward {
    /// SwiGLU.
    Dense,
    /// A mixture of experts.
    Experts(MoeKind),
    /// A mixture of experts in files that count some, SwiGLU in others.
    Either(MoeKind),
}

impl FeedForward {
    /// The mixture of experts, if a file may have it.
    pub(crate) fn experts(&self) -> Option<&MoeKind> {
        match self {
            FeedForward::Dense => None,
            FeedForward::Experts(kind) | FeedForward::Either(kind) => Some(kind),
        }
    }
}

/// What is particular of a mixture of experts.
#[derive(Clone, Copy)]
pub(crate) struct MoeKind {
    /// The key of an expert's inner width.
    pub(crate) width: &'static str,
    /// The expert that takes every token.
    pub(crate) shared: Shared,
    /// Where the file does not say it.
    pub(crate) gating: Gating,
    /// Whether weights are divided by their sum where the file does not say it.
    pub(crate) normalised: bool,
    /// Whether `exp_probs_b.bias` is added to what the experts are chosen by.
    pub(crate) biased_choice: bool,
    /// Whether the first blocks are dense, `leading_dense_block_count` of them.
    pub(crate) dense_lead: bool,
}

/// The expert that takes every token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shared {
    /// There is none.
    None,
    /// As wide as `expert_shared_count` experts, if that is not 0.
    Counted,
    /// As wide as `expert_shared_feed_forward_length`, with a gate.
    Gated,
}

/// What the reference calls things: in the trunk, and in the head.
pub(crate) struct Names {
    /// The norm after the mixer, in files.
    pub(crate) post_norm: &'static str,
    /// The sum with what the mixer gives.
    pub(crate) residual: (&'static str, &'static str),
    /// What that norm gives.
    pub(crate) normed: (&'static str, &'static str),
    /// What the shared expert gives.
    pub(crate) shared: (&'static str, &'static str),
    /// The embeddings of the tokens.
    pub(crate) embedding: &'static str,
    /// Of queries with gates, the queries.
    pub(crate) query: &'static str,
    /// And their gates, in the trunk.
    pub(crate) gate: &'static str,
    /// Whether in the head all have the names that they have in the trunk.
    pub(crate) head_as_trunk: bool,
}

impl Names {
    /// Of blocks with `ffn_norm.weight`.
    pub(crate) const FFN_NORM: Names = Names {
        post_norm: "ffn_norm.weight",
        residual: ("ffn_inp", ""),
        normed: ("ffn_norm", ""),
        shared: ("", ""),
        embedding: "embd",
        query: "",
        gate: "",
        head_as_trunk: false,
    };

    /// Of blocks with `post_attention_norm.weight`.
    pub(crate) const POST_ATTENTION: Names = Names {
        post_norm: "post_attention_norm.weight",
        residual: ("attn_residual", "mtp_attn_residual"),
        normed: ("attn_post_norm", "mtp_attn_post_norm"),
        shared: ("ffn_shexp", "mtp_ffn_shexp"),
        embedding: "model.input_embed",
        query: "Qcur_reshaped",
        gate: "gate_reshaped",
        head_as_trunk: false,
    };
}
