//! Qwen4 (experimental): Gated DeltaNet and attention with a mixture of experts as in Qwen3.5, around
//! which several residual streams run in parallel; sigmoids gate what a scan gives.

use sharpi_ir::ScanGate;

use super::{AttentionKind, DeltaNetKind, Family, FeedForward, Names, qwen35, qwen35moe};

pub(super) static FAMILY: Family = Family {
    name: "qwen4exp",
    micro: "micro-qwen4exp",
    words: "qwen35",
    recurrent: Some(DeltaNetKind {
        gate: ScanGate::Sigmoid,
        ..qwen35::DELTANET
    }),
    attention: AttentionKind {
        indexer: true,
        ..qwen35::ATTENTION
    },
    feed_forward: FeedForward::Experts(qwen35moe::EXPERTS),
    streams: true,
    sections: true,
    head: true,
    names: Names {
        head_as_trunk: true,
        ..Names::POST_ATTENTION
    },
};
