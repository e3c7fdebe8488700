//! Llama and what is built like it (Mistral, SmolLM, SmolLM2): RoPE turns neighbours, and from
//! Llama 3.1 on its angles are divided by factors that the file brings. Mixtral's files are of this
//! architecture, with experts as wide as a dense block is in others.

use super::{AttentionKind, Family, FeedForward, MoeKind, Names, Norms, Shared, qwen35moe};

pub(super) const ATTENTION: AttentionKind = AttentionKind {
    output_gate: false,
    biases: false,
    norms: Norms::Never,
    neighbours: true,
    factors: true,
    indexer: false,
    still_every: None,
};

pub(super) static FAMILY: Family = Family {
    name: "llama",
    micro: "micro-llama",
    words: "llama-bpe",
    recurrent: None,
    attention: ATTENTION,
    feed_forward: FeedForward::Either(MoeKind {
        width: "feed_forward_length",
        shared: Shared::None,
        ..qwen35moe::EXPERTS
    }),
    streams: false,
    sections: false,
    head: false,
    names: Names::FFN_NORM,
};
