//! Files that say the same in other words, or say more than is computed: run rightly, or refused
//! by name.

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use serde_json::Value as Json;
use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{Array, GgmlType, Gguf, Value};
use tempfile::{TempDir, tempdir};

use crate::rewrite::rewritten;
use crate::{fails, json, sharpi, stdout};

/// Three blocks, the last of them attention, and a head; 512 ids.
pub(crate) const DENSE: &str = "fixtures/models/micro-dense-f32.gguf";
/// Two blocks and a head; five experts, of which two are used.
const MOE: &str = "fixtures/models/micro-moe-f32.gguf";

/// What the dense model goes on with after [`PROMPT`].
const BASE: [u32; 6] = [395, 283, 341, 380, 329, 387];
pub(crate) const PROMPT: &str = "run --ids 5,17,33,100,7 -n 6 --ignore-eos -ctk f32 -ctv f32";

/// A file that lives as long as this.
pub(crate) struct File(TempDir);

impl File {
    pub(crate) fn new(bytes: &[u8]) -> File {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("model.gguf"), bytes).unwrap();
        File(folder)
    }

    /// `source` without the names that are `left_out`, and with what `edit` adds or replaces.
    pub(crate) fn altered(
        source: &str,
        left_out: &[&str],
        edit: impl FnOnce(&Gguf, &mut Writer<'_>),
    ) -> File {
        let gguf = Gguf::open(source).unwrap();
        for name in left_out {
            let known = gguf.get(name).is_some() || gguf.tensor(name).is_some();
            assert!(known, "nothing is called {name}");
        }
        File::new(&rewritten(&gguf, |name| left_out.contains(&name), edit))
    }

    /// The dense model with these keys of its architecture set.
    fn with_keys(keys: &[(&str, Value)]) -> File {
        File::altered(DENSE, &[], |_, writer| {
            for (key, value) in keys {
                writer.metadata(format!("qwen35.{key}"), value.clone());
            }
        })
    }

    pub(crate) fn without(names: &[&str]) -> File {
        File::altered(DENSE, names, |_, _| {})
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("model.gguf")
    }

    /// A command on this file.
    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = sharpi(args);
        command.arg("-m").arg(self.path());
        command
    }

    fn ids(&self) -> Json {
        json(self.command(&format!("{PROMPT} --json")))["ids"].clone()
    }

    /// What a command that goes well says on stderr.
    pub(crate) fn told(&self, args: &str) -> String {
        let output = self
            .command(args)
            .assert()
            .success()
            .get_output()
            .stderr
            .clone();
        String::from_utf8(output).unwrap()
    }

    pub(crate) fn inspect(&self) -> Json {
        let mut command = sharpi("inspect --json");
        command.arg(self.path());
        json(command)
    }
}

fn array(numbers: &[u32]) -> Value {
    Value::Array(Array::from(numbers.to_vec()))
}

#[track_caller]
pub(crate) fn says_the_same(file: &File) {
    assert_eq!(file.ids(), serde_json::json!(BASE));
}

#[test]
fn one_value_may_be_spelt_in_several_ways() {
    let spellings: &[(&str, Value)] = &[
        ("attention.head_count_kv", array(&[1, 1, 1, 1])),
        ("attention.head_count_kv", array(&[0, 0, 1, 1])),
        ("attention.head_count", array(&[0, 0, 2, 2])),
        ("feed_forward_length", Value::Array(vec![256u64; 4].into())),
        ("attention.key_length", Value::I64(128)),
        ("block_count", Value::U8(4)),
        ("nextn_predict_layers", Value::Bool(true)),
        ("attention.recurrent_layers", array(&[1, 1, 0, 0])),
        ("attention.recurrent_layers", array(&[1, 1, 0])),
        (
            "attention.recurrent_layers",
            Value::Array(vec![1i8, 1, 0, 0].into()),
        ),
        ("attention.layer_norm_rms_epsilon", Value::F64(1e-6)),
        ("rope.freq_base", Value::F64(1e7)),
        ("rope.freq_base", Value::U32(10_000_000)),
        (
            "rope.dimension_sections",
            Value::Array(vec![6i32, 5, 5].into()),
        ),
        ("rope.scaling.factor", Value::F32(0.0)),
        ("rope.scaling.factor", Value::F32(1.0)),
    ];
    for (key, value) in spellings {
        let file = File::with_keys(&[(*key, value.clone())]);
        assert_eq!(file.ids(), serde_json::json!(BASE), "{key} = {value}");
    }
}

#[test]
fn what_converters_leave_out_is_what_it_is_elsewhere() {
    for names in [
        &["qwen35.attention.head_count_kv"][..],
        &["qwen35.attention.key_length"],
        &[
            "qwen35.attention.key_length",
            "qwen35.attention.value_length",
        ],
        &[
            "qwen35.attention.recurrent_layers",
            "qwen35.full_attention_interval",
        ],
        &["qwen35.full_attention_interval"],
    ] {
        assert_eq!(
            File::without(names).ids(),
            serde_json::json!(BASE),
            "{names:?}"
        );
    }
    let written = File::with_keys(&[("rope.freq_base", Value::F32(10_000.0))]);
    let left_out = File::without(&["qwen35.rope.freq_base"]);
    assert_eq!(left_out.ids(), written.ids());
    assert_ne!(left_out.ids(), serde_json::json!(BASE));
}

#[test]
fn the_time_step_bias_needs_no_suffix() {
    let gguf = Gguf::open(DENSE).unwrap();
    let names: Vec<&String> = gguf
        .tensors()
        .keys()
        .filter(|n| n.ends_with("ssm_dt.bias"))
        .collect();
    assert_eq!(names.len(), 2);
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    says_the_same(&File::altered(DENSE, &names, |gguf, writer| {
        for name in &names {
            let tensor = gguf.tensor(name).unwrap();
            let short = name.strip_suffix(".bias").unwrap();
            writer.tensor(short, tensor.ty, &tensor.dims, gguf.data(tensor).to_vec());
        }
    }));
}

#[test]
fn entries_that_disagree_are_refused() {
    for (key, value) in [
        ("attention.head_count_kv", array(&[0, 0, 1, 2])),
        ("feed_forward_length", array(&[256, 128, 256, 256])),
        ("attention.head_count_kv", array(&[1, 1])),
        ("attention.recurrent_layers", array(&[1, 2, 0, 0])),
    ] {
        let file = File::with_keys(&[(key, value)]);
        fails(file.command(PROMPT), 1, &[&format!("qwen35.{key}")]);
    }
}

#[test]
fn a_known_key_that_is_not_carried_out_is_refused() {
    for (key, value) in [
        ("attention.causal", Value::Bool(false)),
        ("rope.scaling.type", "longrope".into()),
        ("rope.scaling.yarn_log_multiplier", Value::F32(0.1)),
        ("rope.scaling.alpha", Value::F32(1000.0)),
        ("final_logit_softcapping", Value::F32(30.0)),
        ("attn_logit_softcapping", Value::F64(50.0)),
        ("residual_scale", Value::F32(0.5)),
        ("embedding_scale", Value::F32(12.0)),
        ("use_parallel_residual", Value::Bool(true)),
        ("hidden_activation", "gelu".into()),
    ] {
        let file = File::with_keys(&[(key, value)]);
        let key = format!("qwen35.{key}");
        fails(file.command(PROMPT), 4, &[&key]);
        assert!(
            file.inspect()["unsupported"][0]
                .as_str()
                .unwrap()
                .contains(&key)
        );
    }
}

#[test]
fn a_known_key_that_changes_nothing_changes_nothing() {
    says_the_same(&File::with_keys(&[
        ("attention.sliding_window", Value::U32(1)),
        ("attention.causal", Value::Bool(true)),
        ("attention.scale", Value::F32(0.0)),
        ("final_logit_softcapping", Value::F32(0.0)),
        ("residual_scale", Value::F64(1.0)),
        ("use_parallel_residual", Value::Bool(false)),
        ("vocab_size", Value::U32(512)),
        ("rope.scaling.finetuned", Value::Bool(true)),
        ("expert_count", Value::U32(0)),
        ("expert_used_count", Value::U32(0)),
    ]));
}

#[test]
fn an_unknown_key_is_a_warning_and_with_strict_an_error() {
    let file = File::with_keys(&[("attention.wormhole", Value::F32(2.0))]);
    let said = "`qwen35.attention.wormhole` is not known here";
    assert!(file.told(PROMPT).contains(said));
    says_the_same(&file);
    fails(
        file.command(&format!("{PROMPT} --strict")),
        4,
        &[said, "--strict"],
    );
    fails(file.command("memory --strict"), 4, &[said]);
    assert!(
        file.inspect()["warnings"][0]
            .as_str()
            .unwrap()
            .contains(said)
    );
    let plain = File::with_keys(&[]);
    assert!(
        !plain
            .told(&format!("{PROMPT} --strict"))
            .contains("warning")
    );
}

#[test]
fn a_tensor_that_nothing_uses_is_refused_by_name() {
    for (source, name) in [
        (DENSE, "blk.0.attn_rot.weight"),
        (DENSE, "blk.2.attn_sinks.weight"),
        (DENSE, "blk.3.attn_gate.weight"),
        (DENSE, "rope_freqs.weight"),
        (DENSE, "cls.output.weight"),
        (DENSE, "output_extra"),
        (DENSE, "blk.0.ffn_side.input_scale"),
        (MOE, "blk.0.exp_probs_b.bias"),
        (MOE, "blk.1.ffn_gate.weight"),
    ] {
        let file = File::altered(source, &[], |_, writer| {
            writer.tensor(name, GgmlType::F32, &[4], vec![0; 16]);
        });
        let shown = format!("tensor `{name}`");
        for args in [PROMPT, "memory", "dump-graph --no-draft"] {
            fails(file.command(args), 4, &[&shown]);
        }
        assert!(
            file.inspect()["unsupported"][0]
                .as_str()
                .unwrap()
                .contains(&shown)
        );
    }
    let file = File::altered(DENSE, &[], |_, writer| {
        writer.tensor("blk.7.attn_q.weight", GgmlType::F32, &[4], vec![0; 16]);
    });
    fails(
        file.command(PROMPT),
        4,
        &["`blk.7.*`", "belong to no block"],
    );
}

#[test]
fn what_other_inputs_and_other_programs_need_is_listed() {
    let file = File::altered(DENSE, &[], |_, writer| {
        for name in [
            "v.patch_embed.weight",
            "v.blk.0.ln1.weight",
            "mm.0.weight",
            "mtp.fc.weight",
        ] {
            writer.tensor(name, GgmlType::F32, &[8, 8], vec![0; 256]);
        }
        for block in 0..2 {
            let name = format!("blk.{block}.ffn_up.input_scale");
            writer.tensor(name, GgmlType::F32, &[1], vec![0; 4]);
        }
        writer.metadata("quantize.imatrix.entries_count", 24u32);
        writer.metadata("qwen35.vision.block_count", 24u32);
    });
    says_the_same(&file);
    let listed = file.inspect()["unused"].to_string();
    for what in [
        "2 tensors `v.*`",
        "tensor `mm.0.weight`",
        "tensor `mtp.fc.weight`",
        "2 tensors `*.input_scale`",
        "key `quantize.imatrix.entries_count`",
        "key `qwen35.vision.block_count`",
        "keys `general.*`",
    ] {
        assert!(listed.contains(what), "expected {what} in {listed}");
    }
    let mut inspect = sharpi("inspect");
    inspect.arg(file.path());
    assert!(stdout(inspect).contains("not used for text\n"));
}

#[test]
fn text_in_an_old_encoding_refuses_no_file() {
    let marker = "imatrix-path-in-gbk";
    let file = File::altered(DENSE, &[], |_, writer| {
        writer.metadata("quantize.imatrix.file", marker);
    });
    let mut bytes = fs::read(file.path()).unwrap();
    let found = bytes
        .windows(marker.len())
        .position(|w| w == marker.as_bytes())
        .unwrap();
    bytes[found..found + 4].copy_from_slice(b"\xc4\xa3\xd0\xcd");
    let file = File::new(&bytes);
    says_the_same(&file);
    let path = &file.inspect()["metadata"]["quantize.imatrix.file"];
    assert!(path.as_str().unwrap().contains('\u{fffd}'));
}

#[test]
fn more_blocks_than_the_file_has_are_refused() {
    for count in [6u32, 1000, 1 << 24] {
        let file = File::with_keys(&[("block_count", Value::U32(count))]);
        let said = format!(
            "`qwen35.block_count` is {count}, expected no more blocks than the file has, 4"
        );
        fails(file.command(PROMPT), 1, &[&said]);
    }
    let file = File::with_keys(&[("block_count", Value::U32(5))]);
    fails(
        file.command(PROMPT),
        4,
        &["`blk.3.nextn.*` belong to no block"],
    );
}

#[test]
fn a_whole_model_may_be_named_as_a_part() {
    let file = File::with_keys(&[]);
    let path = file.0.path().join("model-00001-of-00003.gguf");
    fs::rename(file.path(), &path).unwrap();
    let mut command = sharpi(&format!("{PROMPT} --json -m"));
    command.arg(path);
    assert_eq!(json(command)["ids"], serde_json::json!(BASE));
}

#[test]
fn a_mixture_takes_other_spellings_too() {
    let ids = |file: &File| file.ids();
    let plain = ids(&File::altered(MOE, &[], |_, _| {}));
    for (key, value) in [
        ("expert_used_count", array(&[2, 2, 2])),
        ("expert_count", Value::U16(5)),
        ("attention.layer_norm_rms_epsilon", Value::F64(1e-6)),
        ("expert_group_count", Value::U32(1)),
        ("expert_weights_norm", Value::Bool(true)),
    ] {
        let file = File::altered(MOE, &[], |_, writer| {
            writer.metadata(format!("qwen35moe.{key}"), value.clone());
        });
        assert_eq!(ids(&file), plain, "{key} = {value}");
    }
    for (key, value) in [
        ("expert_group_count", Value::U32(4)),
        ("expert_gating_func", Value::U32(4)),
    ] {
        let file = File::altered(MOE, &[], |_, writer| {
            writer.metadata(format!("qwen35moe.{key}"), value.clone());
        });
        fails(file.command(PROMPT), 4, &[&format!("qwen35moe.{key}")]);
    }
}
