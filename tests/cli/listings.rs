//! `inspect` and `passes`.

use crate::{json, sharpi, stdout};

#[test]
fn inspect_tells_what_is_in_a_file() {
    let found = json(sharpi(
        "inspect --json fixtures/models/tiny-dense-Q4_K_M.gguf",
    ));
    assert_eq!(found["version"], 3);
    assert_eq!(found["mtp_head"], true);
    assert_eq!(found["unsupported"], serde_json::json!([]));
    let tensors = found["tensors"].as_array().unwrap();
    let embedding = tensors
        .iter()
        .find(|t| t["name"] == "token_embd.weight")
        .unwrap();
    assert_eq!(embedding["type"], "Q4_K");
    assert_eq!(embedding["dims"], serde_json::json!([256, 2048]));
    let types = found["types"].as_object().unwrap();
    let counted: u64 = types.values().map(|t| t["tensors"].as_u64().unwrap()).sum();
    assert_eq!(counted as usize, tensors.len());
}

#[test]
fn inspect_gives_metadata_as_json_values() {
    let found = json(sharpi(
        "inspect --json fixtures/models/tiny-dense-Q4_K_M.gguf",
    ));
    let metadata = &found["metadata"];
    assert_eq!(metadata["general.architecture"], "qwen35");
    assert_eq!(metadata["qwen35.block_count"], 5);
    assert_eq!(metadata["qwen35.attention.layer_norm_rms_epsilon"], 1e-6);
    let sections = &metadata["qwen35.rope.dimension_sections"];
    assert_eq!(*sections, serde_json::json!([6, 5, 5, 0]));
    let recurrent = &metadata["qwen35.attention.recurrent_layers"];
    assert_eq!(recurrent[0], true);
    let tokens = &metadata["tokenizer.ggml.tokens"];
    assert_eq!(
        (&tokens["type"], &tokens["len"]),
        (&"string".into(), &2048.into())
    );
    assert_eq!(tokens["first"].as_array().unwrap().len(), 8);
}

#[test]
fn inspect_says_it_in_words_with_long_arrays_cut_short() {
    let text = stdout(sharpi("inspect fixtures/models/tiny-dense-Q4_K_M.gguf"));
    for words in [
        "multi-token-prediction head: yes",
        "the model can be run",
        "Q4_K",
    ] {
        assert!(text.contains(words), "{text}");
    }
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest < Some(600), "{widest:?}");
}

#[test]
fn passes_are_listed_in_order() {
    let passes = json(sharpi("passes --json"));
    let passes = passes.as_array().unwrap();
    let place = |name: &str| passes.iter().position(|p| p["name"] == name).unwrap();
    assert!(place("cse") < place("schedule") && place("schedule") < place("plan-memory"));
    assert_eq!(passes[place("cse")]["required"], false);
    assert_eq!(passes[place("plan-memory")]["required"], true);
    assert!(
        passes
            .iter()
            .all(|p| p["doc"].as_str().is_some_and(|doc| !doc.is_empty()))
    );
    let text = stdout(sharpi("passes"));
    assert_eq!(text.lines().count(), passes.len());
}
