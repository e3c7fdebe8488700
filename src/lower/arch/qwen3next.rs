//! Qwen3-Next: as Qwen3.5 with a mixture of experts, but v-heads one after another share a k-head,
//! and one matrix makes beta and alpha; in older files also one makes all that stands before them.

use sharpi_ir::KeyHeads;

use super::{DeltaNetKind, Family, FeedForward, Names, qwen35, qwen35moe};

pub(super) static FAMILY: Family = Family {
    name: "qwen3next",
    micro: "micro-qwen3next",
    words: "qwen2",
    recurrent: Some(DeltaNetKind {
        keys: KeyHeads::Grouped,
        joint_inputs: true,
        joint_gates: true,
        ..qwen35::DELTANET
    }),
    attention: qwen35::ATTENTION,
    feed_forward: FeedForward::Experts(qwen35moe::EXPERTS),
    streams: false,
    sections: false,
    head: true,
    names: Names {
        embedding: "model.embed_tokens",
        query: "Qcur_view",
        gate: "gate",
        ..Names::POST_ATTENTION
    },
};
