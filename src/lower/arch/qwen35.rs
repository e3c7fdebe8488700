//! Qwen3.5 and Qwen3.6, dense: of every four blocks three are Gated DeltaNet, one is attention with
//! an output gate.

use sharpi_ir::{KeyHeads, ScanGate};

use super::{AttentionKind, DeltaNetKind, Family, FeedForward, Names, Norms};

pub(super) const DELTANET: DeltaNetKind = DeltaNetKind {
    keys: KeyHeads::ByTurns,
    joint_inputs: false,
    joint_gates: false,
    gate: ScanGate::Silu,
};

pub(super) const ATTENTION: AttentionKind = AttentionKind {
    output_gate: true,
    biases: false,
    norms: Norms::Always,
    neighbours: false,
    factors: false,
    indexer: false,
    still_every: None,
};

pub(super) static FAMILY: Family = Family {
    name: "qwen35",
    micro: "micro-qwen35",
    words: "qwen35",
    recurrent: Some(DELTANET),
    attention: ATTENTION,
    feed_forward: FeedForward::Dense,
    streams: false,
    sections: true,
    head: true,
    names: Names::POST_ATTENTION,
};
