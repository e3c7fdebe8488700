//! Metadata of a made-up model: its sizes, and a vocabulary whose tokens name their ids.

use crate::gguf::{Array, Value};
use crate::lower::{BlockKind, Hparams};
use crate::tokenizer::alphabet;

/// `general.file_type` of a file that is mostly Q4_K in the mix called M.
const MOSTLY_Q4_K_M: u32 = 15;
/// Token types.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

/// Keys and values, in the order of the file.
pub(super) fn all(hp: &Hparams) -> Vec<(String, Value)> {
    let general = [
        ("general.architecture", hp.arch.name().into()),
        ("general.name", "synthetic".into()),
        ("general.file_type", MOSTLY_Q4_K_M.into()),
        ("general.quantization_version", 2u32.into()),
    ];
    let owned = |(key, value): (&str, Value)| (key.to_owned(), value);
    let prefixed = |(key, value): (&str, Value)| (format!("{}.{key}", hp.arch.name()), value);
    let counts = counts(hp).into_iter();
    let counts = counts.map(|(key, n)| (key, Value::U32(n as u32)));
    let general = general.into_iter().map(owned);
    let model = counts.chain(constants(hp)).map(prefixed);
    let tokenizer = tokenizer(hp.vocabulary).into_iter().map(owned);
    general.chain(model).chain(tokenizer).collect()
}

fn counts(hp: &Hparams) -> Vec<(&'static str, usize)> {
    let attention = |kind: &BlockKind| *kind == BlockKind::Attention;
    let first = hp.blocks.iter().position(attention);
    let mut counts = vec![
        ("block_count", hp.blocks.len() + hp.mtp_blocks),
        ("nextn_predict_layers", hp.mtp_blocks),
        ("full_attention_interval", first.map_or(1, |i| i + 1)),
        ("context_length", hp.context_length),
        ("embedding_length", hp.embedding),
        ("attention.head_count", hp.heads),
        ("attention.head_count_kv", hp.kv_heads),
        ("attention.key_length", hp.head_dim),
        ("attention.value_length", hp.head_dim),
        ("rope.dimension_count", hp.n_rot),
        ("ssm.conv_kernel", hp.deltanet.conv_kernel),
        ("ssm.state_size", hp.deltanet.head_dim),
        ("ssm.group_count", hp.deltanet.k_heads),
        ("ssm.time_step_rank", hp.deltanet.v_heads),
        ("ssm.inner_size", hp.deltanet.v_width()),
    ];
    counts.extend(hp.ffn_width.map(|width| ("feed_forward_length", width)));
    if let Some(experts) = hp.experts {
        counts.extend([
            ("expert_count", experts.count),
            ("expert_used_count", experts.used),
            ("expert_feed_forward_length", experts.width),
            ("expert_shared_feed_forward_length", experts.shared_width),
        ]);
    }
    counts
}

fn constants(hp: &Hparams) -> [(&'static str, Value); 3] {
    // Text has the same position in all sections, whatever their sizes.
    let pairs = hp.n_rot as i32 / 2;
    let third = (pairs + 2) / 3;
    let sections = vec![third, third, pairs - 2 * third, 0];
    [
        ("attention.layer_norm_rms_epsilon", hp.rms_eps.into()),
        ("rope.freq_base", hp.freq_base.into()),
        ("rope.dimension_sections", Array::from(sections).into()),
    ]
}

/// The 256 bytes, one merge, and ` 257`, ` 258` and so on, the last of which ends a text.
fn tokenizer(vocabulary: usize) -> [(&'static str, Value); 6] {
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
        ("tokenizer.ggml.pre", "qwen35".into()),
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
