//! Qwen3.5 and Qwen3.6 with a mixture of experts in place of the dense feed-forward block.

use super::{Family, FeedForward, MoeKind, Names, Shared, qwen35};
use crate::lower::Gating;

pub(super) const EXPERTS: MoeKind = MoeKind {
    width: "expert_feed_forward_length",
    shared: Shared::Gated,
    gating: Gating::Softmax,
    normalised: true,
    biased_choice: false,
    dense_lead: false,
};

pub(super) static FAMILY: Family = Family {
    name: "qwen35moe",
    micro: "micro-qwen35moe",
    words: "qwen35",
    recurrent: Some(qwen35::DELTANET),
    attention: qwen35::ATTENTION,
    feed_forward: FeedForward::Experts(EXPERTS),
    streams: false,
    sections: true,
    head: true,
    names: Names::POST_ATTENTION,
};
