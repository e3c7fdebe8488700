//! Model files that cannot be used.

use std::fs;
use std::path::Path;

use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{GgmlType, Gguf};
use tempfile::{TempDir, tempdir};

use crate::rewrite::rewritten;
use crate::{fails, json, sharpi, stdout};

const MODEL: &str = "fixtures/models/micro-dense-IQ4_XS.gguf";

/// A folder with one file in it, `model.gguf`.
fn folder(bytes: &[u8]) -> TempDir {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("model.gguf"), bytes).unwrap();
    folder
}

/// Runs `run` on the file in `folder`.
fn run(folder: &TempDir) -> assert_cmd::Command {
    let mut command = sharpi("run -p x -m");
    command.arg(model(folder));
    command
}

fn model(folder: &TempDir) -> impl AsRef<Path> + AsRef<std::ffi::OsStr> {
    folder.path().join("model.gguf")
}

/// The model with other texts for some keys, or with one tensor of another type.
fn changed(texts: &[(&str, &str)], tensor: Option<(&str, GgmlType)>) -> TempDir {
    let gguf = Gguf::open(MODEL).unwrap();
    let mut writer = Writer::new();
    for (key, value) in gguf.metadata() {
        writer.metadata(key, value.clone());
    }
    for (key, text) in texts {
        writer.metadata(*key, *text);
    }
    for (name, info) in gguf.tensors() {
        match tensor {
            Some((changed, ty)) if changed == name => {
                let bytes = info.elements() / ty.block_len() * ty.block_bytes();
                writer.tensor(name, ty, &info.dims, vec![0; bytes as usize]);
            }
            _ => {
                writer.tensor(name, info.ty, &info.dims, gguf.data(info));
            }
        }
    }
    let mut bytes = Vec::new();
    writer.write(&mut bytes).unwrap();
    folder(&bytes)
}

#[test]
fn a_file_that_is_not_there_is_named() {
    fails(
        sharpi("run -p x -m no/such.gguf"),
        1,
        &["no/such.gguf", "path"],
    );
    fails(sharpi("inspect no/such.gguf"), 1, &["no/such.gguf", "path"]);
}

#[test]
fn a_folder_is_no_model() {
    let folder = tempdir().unwrap();
    let mut inspect = sharpi("inspect");
    inspect.arg(folder.path());
    fails(inspect, 1, &["is a folder", "expected a regular file"]);
}

#[test]
fn a_file_of_another_kind_is_refused() {
    let text = folder(b"Once upon a time");
    fails(
        run(&text),
        1,
        &["model.gguf", "expected the magic", "no GGUF model"],
    );
}

#[test]
fn a_file_of_another_version_or_byte_order_has_to_be_converted_again() {
    for (version, words) in [([1, 0, 0, 0], "version 1"), ([0, 0, 0, 3], "big-endian")] {
        let bytes = [&b"GGUF"[..], &version, &[0; 64]].concat();
        fails(run(&folder(&bytes)), 1, &[words, "convert_hf_to_gguf.py"]);
    }
}

#[test]
fn a_truncated_file_is_incomplete() {
    let bytes = fs::read(MODEL).unwrap();
    for part in [bytes.len() / 2, 1000, 20] {
        fails(
            run(&folder(&bytes[..part])),
            1,
            &["offset 0x", "incomplete"],
        );
    }
}

#[test]
fn an_architecture_that_is_not_supported_is_named() {
    let gemma = changed(
        &[
            ("general.architecture", "gemma3"),
            ("tokenizer.ggml.pre", "gemma"),
        ],
        None,
    );
    fails(run(&gemma), 4, &["`gemma3`", "`qwen35`, `qwen35moe`"]);
    let mut dump = sharpi("dump-graph -m");
    dump.arg(model(&gemma));
    fails(dump, 4, &["`gemma3`"]);
}

#[test]
fn a_tensor_type_without_a_kernel_is_named_with_its_tensor() {
    let integers = changed(&[], Some(("blk.0.ffn_up.weight", GgmlType::I8)));
    fails(run(&integers), 4, &["blk.0.ffn_up.weight", "TQ1_0", "Q4_K"]);
}

#[test]
fn a_tensor_type_that_nobody_knows_is_unsupported() {
    let mut bytes = fs::read(MODEL).unwrap();
    let name = b"blk.0.ffn_up.weight";
    let at = bytes.windows(name.len()).position(|w| w == name).unwrap();
    // Behind the name stand the number of dimensions, the two of them, and the type.
    let ty = at + name.len() + 4 + 2 * 8;
    for (id, words) in [(99u32, "type 99 is not known"), (4, "type 4 (Q4_2)")] {
        bytes[ty..ty + 4].copy_from_slice(&id.to_le_bytes());
        let unknown = folder(&bytes);
        let all = ["blk.0.ffn_up.weight", words, "quantise"];
        fails(run(&unknown), 4, &all);
        let mut inspect = sharpi("inspect");
        inspect.arg(model(&unknown));
        fails(inspect, 4, &all);
    }
}

#[test]
fn a_tokenizer_that_is_not_supported_is_named() {
    for (key, expected) in [
        ("tokenizer.ggml.pre", "`qwen2`, `qwen35`, `llama-bpe`"),
        ("tokenizer.ggml.model", "`gpt2`"),
    ] {
        let other = changed(&[(key, "another")], None);
        fails(run(&other), 4, &["`another`", expected]);
        let mut tokenize = sharpi("tokenize x -m");
        tokenize.arg(model(&other));
        fails(tokenize, 4, &["`another`", expected]);
    }
}

#[test]
fn a_vocabulary_key_of_another_type_is_named() {
    let text = changed(&[("tokenizer.ggml.tokens", "last")], None);
    let words = [
        "`tokenizer.ggml.tokens`",
        "\"last\"",
        "a list of one or more texts",
    ];
    fails(run(&text), 1, &words);
}

#[test]
fn what_cannot_be_run_can_be_inspected() {
    let integers = changed(&[], Some(("blk.0.ffn_up.weight", GgmlType::I8)));
    let inspect = |flags: &str| {
        let mut command = sharpi(&format!("inspect {flags}"));
        command.arg(model(&integers));
        command
    };
    assert!(stdout(inspect("")).contains("the model cannot be run:"));
    let reason = "tensor `blk.0.ffn_up.weight` has type I8, which has no kernel";
    assert_eq!(json(inspect("--json"))["unsupported"][0], reason);
}

#[test]
fn drafting_without_a_head_names_the_key_and_auto_goes_on_without() {
    let gguf = Gguf::open(MODEL).unwrap();
    let blocks = gguf.get("qwen35.block_count").and_then(|v| v.as_u64());
    let trunk = blocks.unwrap() as u32 - 1;
    let head = format!("blk.{trunk}.");
    let of_the_head = |name: &str| name == "qwen35.nextn_predict_layers" || name.starts_with(&head);
    let bytes = rewritten(&gguf, of_the_head, |_, writer| {
        writer.metadata("qwen35.block_count", trunk);
    });
    let headless = folder(&bytes);
    let words = ["qwen35.nextn_predict_layers", "convert_hf_to_gguf.py"];
    let mut drafting = run(&headless);
    drafting.args(["--spec-type", "draft-mtp"]);
    fails(drafting, 4, &words);
    let mut bench = sharpi("bench --spec-draft-n-max 0,1 -m");
    bench.arg(model(&headless));
    fails(bench, 4, &words);
    let mut auto = run(&headless);
    auto.args(["--spec-type", "auto", "-n", "2", "--ignore-eos"]);
    let assert = auto.assert().success();
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("no MTP head"), "{stderr}");
}
