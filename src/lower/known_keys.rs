//! Keys under an architecture's prefix that other programs write and nothing here reads: which
//! say nothing about the text, and which values of the others leave it as it is.

use crate::gguf::Value;

use super::keys::{flag_of, float_of};

/// What is known of a key.
pub(super) enum Known {
    /// It has no part in the text, whatever it says; and why.
    Harmless(&'static str),
    /// It changes the text unless its value is one of these, for it is not carried out.
    Unless(Neutral),
}

/// Values that change nothing.
#[derive(Clone, Copy)]
pub(super) enum Neutral {
    /// 0 or false: there is none of it.
    None,
    /// 1, or 0 for none: a factor or a count that stands for what is done anyway.
    One,
    /// True: it is done anyway.
    Yes,
    /// The activation that is computed.
    Silu,
}

impl Neutral {
    /// Whether a value, or each of an array, changes nothing.
    pub(super) fn accepts(self, value: &Value) -> bool {
        match (self, value.as_array()) {
            (_, Some(array)) => {
                let mut all = (0..array.len()).filter_map(|i| array.get(i));
                all.all(|entry| self.accepts(&entry))
            }
            (Neutral::None, _) => number(value) == Some(0.0),
            (Neutral::One, _) => number(value).is_some_and(|x| x == 0.0 || x == 1.0),
            (Neutral::Yes, _) => flag_of(value) == Some(true),
            (Neutral::Silu, _) => value.as_str().is_some_and(|name| name == "silu"),
        }
    }

    /// What is accepted, in words.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Neutral::None => "0 or nothing: it changes the result and is not carried out",
            Neutral::One => "1 or nothing: it changes the result and is not carried out",
            Neutral::Yes => "true or nothing: anything else changes the result",
            Neutral::Silu => "`silu`, the only activation that is computed",
        }
    }
}

fn number(value: &Value) -> Option<f32> {
    float_of(value).or_else(|| value.as_bool().map(|b| f32::from(u8::from(b))))
}

/// What is known of a key, named without the prefix.
pub(super) fn known(key: &str) -> Option<Known> {
    let neutral = |neutral, keys: &[&str]| keys.contains(&key).then_some(Known::Unless(neutral));
    let harmless = || HARMLESS.iter().find(|(_, keys)| keys.contains(&key));
    neutral(Neutral::None, NONE)
        .or_else(|| neutral(Neutral::One, ONE))
        .or_else(|| neutral(Neutral::Yes, YES))
        .or_else(|| neutral(Neutral::Silu, &["hidden_activation"]))
        .or_else(|| harmless().map(|(why, _)| Known::Harmless(why)))
}

const NONE: &[&str] = &[
    "attention.max_alibi_bias",
    "attention.clamp_kqv",
    "attention.q_lora_rank",
    "attention.kv_lora_rank",
    "attention.relative_buckets_count",
    "attention.temperature_length",
    "attention.temperature_scale",
    "attention.shared_kv_layers",
    "attention.indexer.head_count",
    "attention.indexer.top_k",
    "attention.compress_ratios",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "router_logit_softcapping",
    "swiglu_clamp_exp",
    "swiglu_clamp_shexp",
    "use_parallel_residual",
    "leading_dense_block_count",
    "decoder_block_count",
    "expert_latent_length",
    "moe_latent_size",
    "expert_chunk_feed_forward_length",
    "rescale_every_n_layers",
    "token_shift_count",
    "embedding_length_per_layer_input",
    "ssm.dt_b_c_rms",
    "swin_norm",
    "ple.layers",
    "hash_layer_count",
    "rope.scaling.alpha",
    "rope.scaling.yarn_log_multiplier",
];

const ONE: &[&str] = &[
    "expert_group_count",
    "expert_group_used_count",
    "expert_group_scale",
    "experts_per_group",
    "expert_shared_count",
    "moe_every_n_layers",
    "interleave_moe_layer_step",
    "residual_scale",
    "embedding_scale",
    "attention.output_scale",
    "attention.value_scale",
    "num_loops",
    "hyper_connection.count",
    "logit_scale",
    "expert_weights_scale",
    "expert_gating_func",
    "rope.scale_linear",
    "rope.scaling.factor",
    "rope.scaling.attn_factor",
    "rope.scaling.yarn_attn_factor",
];

const YES: &[&str] = &["attention.causal", "expert_weights_norm"];

const WINDOW: &str =
    "it speaks of a sliding window, which the architecture has none of, in llama.cpp neither";

const HARMLESS: &[(&str, &[&str])] = &[
    (
        "the embedding table says how many tokens there are",
        &["vocab_size"],
    ),
    (
        "a note on how the model was trained",
        &["rope.scaling.finetuned"],
    ),
    (
        "images alone need it",
        &["n_deepstack_layers", "deepstack_mapping"],
    ),
    (
        "embeddings and classifiers alone need it",
        &[
            "pooling_type",
            "embedding_length_out",
            "classifier.output_labels",
            "classifier.pooling_type",
        ],
    ),
    (
        "it speaks of another kind of norm",
        &[
            "attention.layer_norm_epsilon",
            "attention.group_norm_epsilon",
            "attention.group_norm_groups",
        ],
    ),
    (
        "it describes a scaling of positions that is not there",
        &[
            "rope.scaling.type",
            "rope.scaling.original_context_length",
            "rope.scaling.yarn_ext_factor",
            "rope.scaling.yarn_beta_fast",
            "rope.scaling.yarn_beta_slow",
        ],
    ),
    (
        WINDOW,
        &[
            "attention.sliding_window",
            "attention.sliding_window_pattern",
            "attention.key_length_swa",
            "attention.value_length_swa",
            "rope.dimension_count_swa",
            "rope.freq_base_swa",
        ],
    ),
];
