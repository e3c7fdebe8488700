//! A model of the shape of the dense 27B without its weights, for what looks at shapes alone.

use sharpi_compile::Model;
use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{Array, GgmlType, Value};

const WIDTH: u64 = 5120;
const INNER: u64 = 17408;
const VOCABULARY: u64 = 248_320;
const INTERVAL: usize = 4;
const HEADS: u64 = 24;
const KV_HEADS: u64 = 4;
const HEAD: u64 = 256;
const K_HEADS: u64 = 16;
const V_HEADS: u64 = 48;
const STATE: u64 = 128;
const TAPS: u64 = 4;

/// `layers` trunk blocks and one MTP block, all weights zero. The file is gone once it is open;
/// its zeros are holes, which take no room.
pub fn model(layers: usize) -> Model {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    writer(layers)
        .write_sparse(file.as_file())
        .expect("a model");
    Model::open(file.path()).expect("a sound file")
}

fn writer(layers: usize) -> Writer<'static> {
    let mut writer = Writer::new();
    for (key, value) in metadata(layers) {
        writer.metadata(key, value);
    }
    let mut zeros = |name: String, dims: &[u64]| {
        // As in a Q4_K_M file: matrices in blocks, all else in f32.
        let ty = match dims {
            [_, _] if !name.contains("conv1d") => GgmlType::Q4_K,
            _ => GgmlType::F32,
        };
        writer.zeros(name, ty, dims).expect("rows of whole blocks");
    };
    for name in ["token_embd", "output"] {
        zeros(format!("{name}.weight"), &[WIDTH, VOCABULARY]);
    }
    zeros("output_norm.weight".into(), &[WIDTH]);
    for block in 0..=layers {
        let is_attention = block == layers || (block + 1).is_multiple_of(INTERVAL);
        let mixer: &[(&str, &[u64])] = if is_attention { ATTENTION } else { DELTANET };
        let head = if block == layers { HEAD_OF_MTP } else { &[] };
        for (name, dims) in mixer.iter().chain(AROUND).chain(head) {
            zeros(format!("blk.{block}.{name}"), dims);
        }
    }
    writer
}

const AROUND: &[(&str, &[u64])] = &[
    ("attn_norm.weight", &[WIDTH]),
    ("post_attention_norm.weight", &[WIDTH]),
    ("ffn_gate.weight", &[WIDTH, INNER]),
    ("ffn_up.weight", &[WIDTH, INNER]),
    ("ffn_down.weight", &[INNER, WIDTH]),
];

const ATTENTION: &[(&str, &[u64])] = &[
    ("attn_q.weight", &[WIDTH, 2 * HEADS * HEAD]),
    ("attn_k.weight", &[WIDTH, KV_HEADS * HEAD]),
    ("attn_v.weight", &[WIDTH, KV_HEADS * HEAD]),
    ("attn_output.weight", &[HEADS * HEAD, WIDTH]),
    ("attn_q_norm.weight", &[HEAD]),
    ("attn_k_norm.weight", &[HEAD]),
];

const DELTANET: &[(&str, &[u64])] = &[
    ("attn_qkv.weight", &[WIDTH, (2 * K_HEADS + V_HEADS) * STATE]),
    ("attn_gate.weight", &[WIDTH, V_HEADS * STATE]),
    (
        "ssm_conv1d.weight",
        &[TAPS, (2 * K_HEADS + V_HEADS) * STATE],
    ),
    ("ssm_alpha.weight", &[WIDTH, V_HEADS]),
    ("ssm_beta.weight", &[WIDTH, V_HEADS]),
    ("ssm_dt.bias", &[V_HEADS]),
    ("ssm_a", &[V_HEADS]),
    ("ssm_norm.weight", &[STATE]),
    ("ssm_out.weight", &[V_HEADS * STATE, WIDTH]),
];

const HEAD_OF_MTP: &[(&str, &[u64])] = &[
    ("nextn.enorm.weight", &[WIDTH]),
    ("nextn.hnorm.weight", &[WIDTH]),
    ("nextn.eh_proj.weight", &[2 * WIDTH, WIDTH]),
    ("nextn.shared_head_norm.weight", &[WIDTH]),
];

fn metadata(layers: usize) -> Vec<(String, Value)> {
    let counts = [
        ("block_count", layers as u64 + 1),
        ("nextn_predict_layers", 1),
        ("full_attention_interval", INTERVAL as u64),
        ("context_length", 262_144),
        ("embedding_length", WIDTH),
        ("feed_forward_length", INNER),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", KV_HEADS),
        ("attention.key_length", HEAD),
        ("attention.value_length", HEAD),
        ("rope.dimension_count", 64),
        ("ssm.conv_kernel", TAPS),
        ("ssm.state_size", STATE),
        ("ssm.group_count", K_HEADS),
        ("ssm.time_step_rank", V_HEADS),
        ("ssm.inner_size", V_HEADS * STATE),
    ];
    let counts = counts.map(|(key, n)| (key, Value::U32(n as u32)));
    let others = [
        ("attention.layer_norm_rms_epsilon", 1e-6f32.into()),
        ("rope.freq_base", 1e7f32.into()),
        (
            "rope.dimension_sections",
            Array::from(vec![11i32, 11, 10, 0]).into(),
        ),
    ];
    let keys = counts.into_iter().chain(others);
    let keys = keys.map(|(key, value)| (format!("qwen35.{key}"), value));
    std::iter::once(("general.architecture".into(), "qwen35".into()))
        .chain(keys)
        .collect()
}
