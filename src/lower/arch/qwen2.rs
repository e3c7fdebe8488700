//! Qwen2 and Qwen2.5: attention whose queries, keys and values have biases.

use super::{AttentionKind, Family, FeedForward, Names, Norms};

pub(super) static FAMILY: Family = Family {
    name: "qwen2",
    micro: "micro-qwen2",
    words: "qwen2",
    recurrent: None,
    attention: AttentionKind {
        output_gate: false,
        biases: true,
        norms: Norms::Never,
        neighbours: false,
        factors: false,
        indexer: false,
        still_every: None,
    },
    feed_forward: FeedForward::Dense,
    streams: false,
    sections: false,
    head: false,
    names: Names::FFN_NORM,
};
