//! Vocabularies of the wild: what is missing in them, or asks for more than is done.

use sharpi_compile::gguf::{Array, Value};

use crate::files::{DENSE, File, PROMPT, says_the_same};
use crate::{fails, stdout};

#[test]
fn special_ids_beyond_the_vocabulary_are_unset() {
    for (key, id) in [
        ("padding_token_id", Value::U32(512)),
        ("padding_token_id", Value::I32(-1)),
        ("padding_token_id", Value::U64(u64::MAX)),
        ("bos_token_id", Value::U32(248_044)),
        ("eos_token_id", Value::U32(999)),
        ("eot_token_id", "none".into()),
    ] {
        let key = format!("tokenizer.ggml.{key}");
        let file = File::altered(DENSE, &[], |_, writer| {
            writer.metadata(key.clone(), id.clone());
        });
        says_the_same(&file);
        let said = format!("warning: `{key}` is {id}");
        assert!(file.told(PROMPT).contains(&said), "expected {said}");
        assert!(file.told("tokenize x").contains(&said));
    }
}

#[test]
fn a_word_rule_that_is_not_named_is_assumed_with_a_warning() {
    let file = File::without(&["tokenizer.ggml.pre"]);
    says_the_same(&file);
    assert!(
        file.told(PROMPT)
            .contains("warning: `tokenizer.ggml.pre` is missing")
    );
}

#[test]
fn a_vocabulary_without_merges_or_with_empty_lists_is_refused() {
    let empty = |key: &'static str, value: Array| {
        File::altered(DENSE, &[], |_, writer| {
            writer.metadata(key, Value::Array(value));
        })
    };
    let merges = "tokenizer.ggml.merges";
    let types = "tokenizer.ggml.token_type";
    fails(
        File::without(&[merges]).command(PROMPT),
        1,
        &[merges, "missing"],
    );
    fails(
        empty(merges, Vec::<String>::new().into()).command(PROMPT),
        1,
        &[merges],
    );
    fails(
        empty(types, Vec::<i32>::new().into()).command(PROMPT),
        1,
        &[types],
    );
}

#[test]
fn a_vocabulary_that_asks_for_more_than_is_done_is_refused() {
    for (key, asks, does_not) in [
        ("add_eos_token", Value::Bool(true), Value::Bool(false)),
        ("add_sep_token", Value::U8(1), Value::U8(0)),
        (
            "suppress_tokens",
            Value::Array(vec![5i32].into()),
            Value::Array(Vec::<i32>::new().into()),
        ),
    ] {
        let key = format!("tokenizer.ggml.{key}");
        let file = |value: Value| {
            File::altered(DENSE, &[], |_, writer| {
                writer.metadata(key.clone(), value);
            })
        };
        fails(file(asks).command(PROMPT), 4, &[&key]);
        says_the_same(&file(does_not));
    }
}

#[test]
fn detokenize_takes_each_id_that_run_takes() {
    // Rows of the embedding table past the last token have no text.
    let file = File::altered(DENSE, &[], |gguf, writer| {
        let texts = gguf
            .get("tokenizer.ggml.tokens")
            .unwrap()
            .as_array()
            .unwrap();
        let texts = texts.as_strs().unwrap()[..500].to_vec();
        writer.metadata("tokenizer.ggml.tokens", Value::Array(texts.into()));
        writer.metadata(
            "tokenizer.ggml.token_type",
            Value::Array(vec![1i32; 500].into()),
        );
    });
    file.command("run --ids 511 -n 1 --ignore-eos")
        .assert()
        .success();
    assert_eq!(stdout(file.command("detokenize --ids 511")), "\n");
    fails(file.command("run --ids 512 -n 1"), 1, &["512"]);
    fails(file.command("detokenize --ids 512"), 1, &["512"]);
}
