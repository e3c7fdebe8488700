//! Metadata of a made-up model: its sizes, and a vocabulary whose tokens name their ids.

use crate::gguf::{Array, Value};
use crate::lower::{BlockKind, Experts, Gating, Hparams, Ngrams, Routing, Shared};
use crate::tokenizer::alphabet;

use super::Weights;

/// `general.file_type` of a file of f32, and of one that is mostly Q4_K in the mix called M.
const ALL_F32: u32 = 0;
const MOSTLY_Q4_K_M: u32 = 15;
/// The key of the width of dense blocks, which llama.cpp asks for even where none is dense.
const FFN_WIDTH: &str = "feed_forward_length";
/// Token types.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

/// Keys and values, in the order of the file.
pub(super) fn all(hp: &Hparams, weights: Weights) -> Vec<(String, Value)> {
    let file_type = match weights {
        Weights::Counting { .. } => MOSTLY_Q4_K_M,
        Weights::Random => ALL_F32,
    };
    let general = [
        ("general.architecture", hp.arch.name().into()),
        ("general.name", "synthetic".into()),
        ("general.file_type", file_type.into()),
        ("general.quantization_version", 2u32.into()),
    ];
    let owned = |(key, value): (&str, Value)| (key.to_owned(), value);
    let prefixed = |(key, value): (&str, Value)| (format!("{}.{key}", hp.arch.name()), value);
    let counts = counts(hp).into_iter();
    let counts = counts.map(|(key, n)| (key, Value::U32(n as u32)));
    let general = general.into_iter().map(owned);
    let model = counts.chain(constants(hp)).map(prefixed);
    let tokenizer = tokenizer(hp).into_iter().map(owned);
    general.chain(model).chain(tokenizer).collect()
}

fn counts(hp: &Hparams) -> Vec<(&'static str, usize)> {
    let attention = |kind: &BlockKind| *kind == BlockKind::Attention;
    let first = hp.blocks.iter().position(attention);
    let mut counts = vec![
        ("block_count", hp.blocks.len() + hp.mtp_blocks),
        ("context_length", hp.context_length),
        ("embedding_length", hp.embedding),
        ("attention.head_count", hp.heads),
        ("attention.head_count_kv", hp.kv_heads),
        ("attention.key_length", hp.head_dim),
        ("attention.value_length", hp.head_dim),
        ("rope.dimension_count", hp.n_rot),
    ];
    if let Some(deltanet) = hp.deltanet {
        counts.extend([
            ("full_attention_interval", first.map_or(1, |i| i + 1)),
            ("ssm.conv_kernel", deltanet.conv_kernel),
            ("ssm.state_size", deltanet.head_dim),
            ("ssm.group_count", deltanet.k_heads),
            ("ssm.time_step_rank", deltanet.v_heads),
            ("ssm.inner_size", deltanet.v_width()),
        ]);
    }
    if let Some(streams) = hp.streams {
        counts.extend([
            ("hyper_connection.count", streams.count),
            ("hyper_connection.low_rank", streams.rank),
        ]);
    }
    if let Some(indexer) = &hp.indexer {
        counts.extend([
            ("attention.indexer.head_count", indexer.heads),
            ("attention.indexer.key_length", indexer.head_dim),
            ("attention.indexer.top_k", indexer.top_k),
        ]);
    }
    if hp.mtp_blocks > 0 {
        counts.insert(1, ("nextn_predict_layers", hp.mtp_blocks));
    }
    let ffn_width = hp.ffn_width.or(hp.experts.map(|experts| experts.width));
    counts.extend(ffn_width.map(|width| (FFN_WIDTH, width)));
    if let Some(experts) = hp.experts {
        counts.extend([
            ("expert_count", experts.count),
            ("expert_used_count", experts.used),
        ]);
        counts.extend(widths(hp, experts));
    }
    if hp.dense_blocks > 0 {
        counts.push(("leading_dense_block_count", hp.dense_blocks));
    }
    counts
}

/// How wide experts are, unless it is said already, and the one that takes every token.
fn widths(hp: &Hparams, experts: Experts) -> Vec<(&'static str, usize)> {
    let Some(kind) = hp.arch.family().feed_forward.experts() else {
        return Vec::new();
    };
    let mut widths = vec![(kind.width, experts.width)];
    widths.retain(|(key, _)| *key != FFN_WIDTH);
    let shared = experts.shared_width;
    widths.extend(match kind.shared {
        Shared::None => None,
        Shared::Counted => Some(("expert_shared_count", shared / experts.width)),
        Shared::Gated => Some(("expert_shared_feed_forward_length", shared)),
    });
    widths
}

fn constants(hp: &Hparams) -> Vec<(&'static str, Value)> {
    let mut constants = vec![
        ("attention.layer_norm_rms_epsilon", hp.rms_eps.into()),
        ("rope.freq_base", hp.freq_base.into()),
    ];
    if hp.routing != Routing::default() {
        let gating: u32 = match hp.routing.gating {
            Gating::Softmax => 1,
            Gating::Sigmoid => 2,
            Gating::SoftmaxOfChosen => 3,
        };
        constants.extend([
            ("expert_gating_func", gating.into()),
            ("expert_weights_norm", hp.routing.normalised.into()),
            ("expert_weights_scale", hp.routing.scale.into()),
        ]);
    }
    if let Some(ngrams) = &hp.ngrams {
        constants.extend(hashes(ngrams));
    }
    if let Some((pool, chooses)) = hp
        .indexer
        .as_ref()
        .and_then(|of| Some((of.pool?, &of.chooses)))
    {
        let ratio = |chooses: &bool| if *chooses { pool as u32 } else { 0 };
        let ratios: Vec<u32> = chooses.iter().map(ratio).collect();
        constants.push(("attention.compress_ratios", Array::from(ratios).into()));
    }
    if hp.arch.family().sections {
        constants.push(("rope.dimension_sections", sections(hp)));
    }
    constants
}

fn hashes(ngrams: &Ngrams) -> [(&'static str, Value); 9] {
    let hash = &ngrams.hash;
    let count = |n: usize| Value::U32(n as u32);
    let long = |list: &[u32]| Array::from(list.iter().map(|n| u64::from(*n)).collect::<Vec<_>>());
    [
        ("ple.layers", Array::from(vec![ngrams.block as u32]).into()),
        ("ple.ngram_size", count(hash.multipliers.len())),
        ("ple.heads_per_ngram", count(hash.heads_per_length())),
        ("ple.conv_kernel", count(ngrams.taps)),
        ("ple.eos_token_id", hash.end.into()),
        (
            "ple.layer_multipliers",
            Array::from(hash.multipliers.clone()).into(),
        ),
        ("ple.head_offsets", long(&hash.offsets).into()),
        ("ple.head_vocab_sizes", long(&hash.sizes).into()),
        ("embedding_length_per_layer_input", count(ngrams.row)),
    ]
}

/// Pairs by whether they turn by time, height or width.
fn sections(hp: &Hparams) -> Value {
    // Text has the same position in all sections, whatever their sizes.
    let pairs = hp.n_rot as i32 / 2;
    let third = (pairs + 2) / 3;
    let sections = vec![third, third, pairs - 2 * third, 0];
    Array::from(sections).into()
}

/// The 256 bytes, one merge, and ` 257`, ` 258` and so on, the last of which ends a text.
fn tokenizer(hp: &Hparams) -> [(&'static str, Value); 7] {
    let vocabulary = hp.vocabulary;
    let bytes = alphabet::letters().map(|(_, letter)| letter.to_string());
    let numbers = (257..vocabulary - 1).map(|id| format!("Ġ{id}"));
    let tokens = bytes
        .chain(["Ġt".into()])
        .chain(numbers)
        .chain(["<|im_end|>".into()]);
    let mut types = vec![NORMAL; vocabulary];
    types[vocabulary - 1] = CONTROL;
    [
        ("tokenizer.ggml.model", "gpt2".into()),
        ("tokenizer.ggml.pre", hp.arch.family().words.into()),
        ("tokenizer.ggml.add_bos_token", false.into()),
        (
            "tokenizer.ggml.tokens",
            Array::from(tokens.collect::<Vec<_>>()).into(),
        ),
        ("tokenizer.ggml.token_type", Array::from(types).into()),
        (
            // llama.cpp asks for a list that is not empty.
            "tokenizer.ggml.merges",
            Array::from(vec!["Ġ t".to_owned()]).into(),
        ),
        (
            "tokenizer.ggml.eos_token_id",
            (vocabulary as u32 - 1).into(),
        ),
    ]
}
