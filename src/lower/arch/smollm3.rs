//! SmolLM3: as Llama, but every fourth block attends without positions.

use super::{AttentionKind, Family, FeedForward, Names, llama};

pub(super) static FAMILY: Family = Family {
    name: "smollm3",
    micro: "micro-smollm3",
    words: "llama-bpe",
    recurrent: None,
    attention: AttentionKind {
        factors: false,
        indexer: false,
        still_every: Some(4),
        ..llama::ATTENTION
    },
    feed_forward: FeedForward::Dense,
    streams: false,
    sections: false,
    head: false,
    names: Names::FFN_NORM,
};
