//! Qwen3 with a mixture of experts, none of which takes every token.

use super::{Family, FeedForward, MoeKind, Names, Shared, qwen3, qwen35moe};

pub(super) static FAMILY: Family = Family {
    name: "qwen3moe",
    micro: "micro-qwen3moe",
    words: "qwen2",
    recurrent: None,
    attention: qwen3::ATTENTION,
    feed_forward: FeedForward::Experts(MoeKind {
        shared: Shared::None,
        ..qwen35moe::EXPERTS
    }),
    streams: false,
    sections: false,
    head: false,
    names: Names::FFN_NORM,
};
