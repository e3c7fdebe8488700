//! GLM-4.5: attention with biases, half of each head turned; behind the first dense blocks a mixture
//! of experts, chosen by sigmoids with a bias, and a shared expert without a gate.

use super::{AttentionKind, Family, FeedForward, MoeKind, Names, Norms, Shared};
use crate::lower::Gating;

pub(super) static FAMILY: Family = Family {
    name: "glm4moe",
    micro: "micro-glm4moe",
    words: "glm4",
    recurrent: None,
    attention: AttentionKind {
        output_gate: false,
        biases: true,
        norms: Norms::IfThere,
        neighbours: false,
        factors: false,
        indexer: false,
        still_every: None,
    },
    feed_forward: FeedForward::Experts(MoeKind {
        width: "expert_feed_forward_length",
        shared: Shared::Counted,
        gating: Gating::Sigmoid,
        normalised: false,
        biased_choice: true,
        dense_lead: true,
    }),
    streams: false,
    sections: false,
    head: true,
    names: Names {
        post_norm: "post_attention_norm.weight",
        residual: ("ffn_inp", "mtp_ffn_inp"),
        normed: ("post_attn_norm", "mtp_post_attn_norm"),
        shared: ("ffn_shexp_out", "mtp_ffn_shexp_out"),
        ..Names::FFN_NORM
    },
};
