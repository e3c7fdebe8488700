//! Qwen3, dense: attention with norms of queries and keys.

use super::{AttentionKind, Family, FeedForward, Names, Norms};

pub(super) const ATTENTION: AttentionKind = AttentionKind {
    output_gate: false,
    biases: false,
    norms: Norms::Always,
    neighbours: false,
    factors: false,
    indexer: false,
    still_every: None,
};

pub(super) static FAMILY: Family = Family {
    name: "qwen3",
    micro: "micro-qwen3",
    words: "qwen2",
    recurrent: None,
    attention: ATTENTION,
    feed_forward: FeedForward::Dense,
    streams: false,
    sections: false,
    head: false,
    names: Names::FFN_NORM,
};
