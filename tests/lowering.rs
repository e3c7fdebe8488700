//! Files that are no model: every error names what is wrong and what was expected.

mod support;

use sharpi_compile::Model;
use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{GgmlType, Gguf, Value};
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::{CompileOptions, ir::DType};
use support::fixtures;
use support::rewrite::rewritten;

fn source() -> Gguf {
    Gguf::open(fixtures().join("models/micro-dense-f32.gguf")).expect("a model")
}

/// The smallest model, changed by `edit` and without the key or tensor called `left_out`.
fn altered(left_out: &str, edit: impl FnOnce(&Gguf, &mut Writer<'_>)) -> Model {
    let bytes = rewritten(&source(), |name| name == left_out, edit);
    Model::from_gguf(Gguf::from_bytes(bytes).expect("a sound file"))
}

fn without(name: &str) -> Model {
    let source = source();
    assert!(source.get(name).is_some() || source.tensor(name).is_some());
    altered(name, |_, _| {})
}

fn with_key(key: &str, value: impl Into<Value>) -> Model {
    altered("", |_, writer| {
        writer.metadata(key, value);
    })
}

/// The model with a tensor of zero bytes of that type and shape in the place of its own.
fn with_tensor(name: &str, ty: GgmlType, dims: &[u64]) -> Model {
    assert!(source().tensor(name).is_some());
    let elements: u64 = dims.iter().product();
    let bytes = elements / ty.block_len() * ty.block_bytes();
    altered("", |_, writer| {
        writer.tensor(name, ty, dims, vec![0; bytes as usize]);
    })
}

/// What compiling the model says, and whether it says that the kind is not supported.
fn refusal(model: &Model) -> (String, bool) {
    let refused = model.compile(&CompileOptions::default());
    let error = refused.err().expect("an error");
    (error.to_string(), error.is_unsupported())
}

#[track_caller]
fn assert_refused(model: &Model, expected: &str) {
    assert_eq!(refusal(model), (expected.to_string(), false));
}

fn dims(name: &str) -> Vec<u64> {
    source().tensor(name).expect("a tensor").dims.clone()
}

#[test]
fn a_model_rewritten_as_it_is_lowers_to_the_same_graphs() {
    let print = |model: &Model| {
        let module = model.lower(&LowerOptions::default()).expect("graphs");
        sharpi_compile::ir::text::print(&module)
    };
    assert_eq!(
        print(&altered("", |_, _| {})),
        print(&Model::from_gguf(source()))
    );
}

#[test]
fn a_missing_tensor_is_named_with_its_dimensions() {
    for name in ["blk.0.ffn_down.weight", "output_norm.weight"] {
        let expected = dims(name);
        assert_refused(
            &without(name),
            &format!(
                "tensor `{name}` is missing, expected dimensions {expected:?} (fastest first)"
            ),
        );
    }
}

#[test]
fn a_missing_tensor_of_the_head_is_named_with_its_dimensions() {
    let hp = Model::from_gguf(source()).hparams().expect("sizes");
    let block = hp.mtp_block().expect("a head");
    let name = format!("blk.{block}.nextn.eh_proj.weight");
    let (wide, narrow) = (2 * hp.embedding, hp.embedding);
    assert_refused(
        &without(&name),
        &format!(
            "tensor `{name}` is missing, expected dimensions [{wide}, {narrow}] (fastest first)"
        ),
    );
}

#[test]
fn a_missing_embedding_table_is_named_with_its_width() {
    let width = dims("token_embd.weight")[0];
    assert_refused(
        &without("token_embd.weight"),
        &format!(
            "tensor `token_embd.weight` is missing, expected dimensions [{width}, number of tokens] (fastest first)"
        ),
    );
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    let name = "blk.0.ffn_down.weight";
    let expected = dims(name);
    let found = vec![expected[0], expected[1] + 1];
    assert_refused(
        &with_tensor(name, GgmlType::F32, &found),
        &format!(
            "tensor `{name}` has dimensions {found:?}, expected {expected:?} (fastest first, from the metadata)"
        ),
    );
}

#[test]
fn a_transposed_tensor_is_named_with_both_shapes() {
    let name = "blk.0.attn_gate.weight";
    let expected = dims(name);
    let found = vec![expected[1], expected[0]];
    assert_ne!(found, expected);
    assert_refused(
        &with_tensor(name, GgmlType::F32, &found),
        &format!(
            "tensor `{name}` has dimensions {found:?}, expected {expected:?} (fastest first, from the metadata)"
        ),
    );
}

#[test]
fn a_missing_key_is_named_with_what_it_should_hold() {
    for (key, expected) in [
        ("qwen35.embedding_length", "a whole number above 0"),
        ("qwen35.context_length", "a whole number above 0"),
        (
            "qwen35.attention.layer_norm_rms_epsilon",
            "a number above 0",
        ),
        ("qwen35.ssm.state_size", "a whole number above 0"),
        ("general.architecture", "the name of an architecture"),
    ] {
        let expected = format!("metadata key `{key}` is missing, expected {expected}");
        assert_refused(&without(key), &expected);
    }
}

#[test]
fn an_unusable_key_is_named_with_what_it_holds_and_should_hold() {
    for (key, value, said) in [
        (
            "block_count",
            Value::U32(0),
            "0, expected a whole number above 0",
        ),
        (
            "embedding_length",
            "wide".into(),
            "\"wide\", expected a whole number up to 16777216",
        ),
        (
            "embedding_length",
            Value::U32(u32::MAX),
            "4294967295, expected a whole number up to 16777216",
        ),
        (
            "rope.freq_base",
            Value::F32(-1.0),
            "-1, expected a finite number above 0",
        ),
    ] {
        let key = format!("qwen35.{key}");
        let expected = format!("metadata key `{key}` is {said}");
        assert_refused(&with_key(&key, value), &expected);
    }
}

#[test]
fn more_than_one_mtp_block_is_refused_by_its_key() {
    let (message, _) = refusal(&with_key("qwen35.nextn_predict_layers", 2u32));
    let said = "metadata key `qwen35.nextn_predict_layers` is 2, expected 0 or 1, and fewer than";
    assert!(message.starts_with(said), "{message}");
}

#[test]
fn a_sliding_window_is_no_part_of_any_architecture_as_in_llama_cpp() {
    let lowered = |gguf: Gguf| {
        let module = Model::from_gguf(gguf).lower(&LowerOptions::default());
        sharpi_compile::ir::text::print(&module.expect("graphs"))
    };
    for name in support::families() {
        let plain = support::synthetic_gguf(name).expect("a preset");
        let arch = plain.get("general.architecture").and_then(|v| v.as_str());
        let arch = arch.expect("a name").to_owned();
        let bytes = rewritten(
            &plain,
            |_| false,
            |_, writer| {
                writer.metadata(format!("{arch}.attention.sliding_window"), 1u32);
                writer.metadata(format!("{arch}.attention.sliding_window_pattern"), 2u32);
            },
        );
        let windowed = Gguf::from_bytes(bytes).expect("a sound file");
        assert_eq!(lowered(windowed), lowered(plain), "{name}");
    }
}

#[test]
fn another_architecture_is_named_and_counts_as_unsupported() {
    let found = refusal(&with_key("general.architecture", "gemma3"));
    let said = "architecture `gemma3` is not supported, expected one of `glm4moe`, `llama`, `qwen2`, \
                `qwen3`, `qwen35`, `qwen35moe`, `qwen3moe`, `qwen3next`, `qwen4exp`, `smollm3`";
    assert_eq!(found, (said.to_string(), true));
}

#[test]
fn a_type_without_a_kernel_is_named_and_counts_as_unsupported() {
    let name = "blk.0.ffn_down.weight";
    let model = with_tensor(name, GgmlType::I8, &dims(name));
    let (message, unsupported) = refusal(&model);
    let said = format!("tensor `{name}` has type I8, which has no kernel; supported here: ");
    let supported = message.strip_prefix(&said).expect(&message);
    assert!(unsupported);
    let types: Vec<&str> = supported.split(", ").collect();
    assert!(
        ["F32", "F16", "BF16", "Q4_K"]
            .iter()
            .all(|t| types.contains(t))
    );
    assert!(!types.contains(&"I8"));
}

#[test]
fn a_norm_that_is_not_f32_is_named_with_the_only_type_it_can_have() {
    let name = "output_norm.weight";
    let found = refusal(&with_tensor(name, GgmlType::F16, &dims(name)));
    let said = format!("tensor `{name}` has type F16, which has no kernel; supported here: F32");
    assert_eq!(found, (said, true));
}

#[test]
fn a_cache_type_that_cannot_hold_keys_is_named() {
    let lower = LowerOptions::default().cache_v(DType::Q5_0);
    let error = Model::from_gguf(source())
        .lower(&lower)
        .expect_err("an error");
    let said = "the cache cannot hold q5_0, expected one of f16, bf16, f32, q8_0, q4_0";
    assert_eq!(error.to_string(), said);
}

#[test]
fn a_cache_in_blocks_holds_heads_of_whole_blocks_alone() {
    let lower = LowerOptions::default().cache_k(DType::Q4_0);
    let model = altered("", |_, writer| {
        for length in ["key_length", "value_length"] {
            writer.metadata(format!("qwen35.attention.{length}"), 80u32);
        }
    });
    let error = model.lower(&lower).expect_err("an error");
    let said = "the cache cannot hold heads of 80 in blocks of 32, as q4_0 has";
    assert_eq!(error.to_string(), said);
}

#[test]
fn a_model_that_predicts_no_further_tokens_has_no_mtp_graph() {
    let blocks = source().get("qwen35.block_count").and_then(Value::as_u64);
    let trunk_blocks = blocks.expect("a count") as u32 - 1;
    let head = format!("blk.{trunk_blocks}.");
    let of_the_head =
        |name: &str| name.ends_with("nextn_predict_layers") || name.starts_with(&head);
    let bytes = rewritten(&source(), of_the_head, |_, writer| {
        writer.metadata("qwen35.block_count", trunk_blocks);
    });
    let model = Model::from_gguf(Gguf::from_bytes(bytes).expect("a sound file"));
    let executable = model.compile(&CompileOptions::default()).expect("a model");
    let graphs: Vec<&String> = executable.module().graphs.keys().collect();
    assert_eq!(graphs, ["trunk"]);
    let weights = executable.module().symbols.weights();
    assert!(
        weights
            .into_iter()
            .all(|(_, name, _)| !name.contains("nextn"))
    );
}
