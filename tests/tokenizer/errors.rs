//! Vocabularies that cannot be used.

use proptest::prelude::*;
use sharpi_compile::tokenizer::{Tokenizer, TokenizerError, Vocabulary};

use crate::bytes_and;

#[track_caller]
fn check(message: &str, change: fn(&mut Vocabulary)) {
    let mut v = bytes_and(&[("<|im_end|>", 3)]);
    change(&mut v);
    let error: TokenizerError = Tokenizer::new(v).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn an_unknown_model_or_word_rule_is_answered_with_the_known_ones() {
    check(
        "unknown tokenizer model `bert`; accepted are `gpt2` (byte-level BPE) and `llama` \
         (SentencePiece)",
        |v| v.model = "bert".into(),
    );
    check(
        "unknown pre-tokenizer `viking`; accepted are `qwen2`, `qwen35`, `llama-bpe`, `gpt-2`, \
         `smollm`, `glm4`, and the other names that llama.cpp has for these",
        |v| v.pre = "viking".into(),
    );
}

#[test]
fn every_token_needs_a_known_type() {
    check(
        "256 token types for 257 tokens; accepted is one type for each token, or no types",
        |v| v.token_types.truncate(256),
    );
    check(
        "token 7 has type 9; accepted are 0 undefined, 1 normal, 2 unknown, 3 control, \
         4 user-defined, 5 unused, 6 byte",
        |v| v.token_types[7] = 9,
    );
    check(
        "byte token 256 is `<0x+1>`; accepted are `<0x00>` to `<0xFF>`",
        |v| (v.tokens[256], v.token_types[256]) = ("<0x+1>".into(), 6),
    );
}

#[test]
fn every_token_needs_a_text_of_its_own() {
    check(
        "tokens 0 and 256 are both `!`; every token needs a text of its own",
        |v| v.tokens[256] = "!".into(),
    );
}

#[test]
fn merges_are_two_tokens_that_make_a_third() {
    check(
        "merge 0 is `ab`; accepted are two tokens with a space between them",
        |v| v.merges = vec!["ab".into()],
    );
    check(
        "merge 0 is `é `; accepted are two tokens with a space between them",
        |v| v.merges = vec!["é ".into()],
    );
}

/// What a vocabulary of the bytes, `<|im_end|>` and `abc` is warned of, and the ids of "abc".
fn accepted(change: fn(&mut Vocabulary)) -> (Vec<String>, Vec<u32>) {
    let mut v = bytes_and(&[("<|im_end|>", 3), ("abc", 1)]);
    change(&mut v);
    let tokenizer = Tokenizer::new(v).unwrap();
    let warnings = tokenizer.warnings().iter().map(ToString::to_string);
    (warnings.collect(), tokenizer.encode("abc", false))
}

#[test]
fn merges_whose_tokens_are_missing_are_told_and_leave_the_bytes() {
    let (warnings, ids) = accepted(|v| v.merges = vec!["c d".into(), "a bc".into(), "b c".into()]);
    assert_eq!(
        warnings,
        ["3 of the merges need a token that the vocabulary does not have, the first is `c d`"]
    );
    // By way of `bc`, which is no token, they still make `abc`, which is.
    assert_eq!(ids, [257]);
    let (_, ids) = accepted(|v| v.merges = vec!["a b".into()]);
    let (_, bytes) = accepted(|_| {});
    assert_eq!(ids, bytes);
}

#[test]
fn a_word_rule_that_is_not_named_is_told_to_be_assumed() {
    let (warnings, _) = accepted(|v| v.pre.clear());
    let said = "`tokenizer.ggml.pre` is missing: text is cut into words as by `qwen35`";
    assert_eq!(warnings, [said]);
}

#[test]
fn ids_beyond_the_vocabulary_are_unset_and_told() {
    let (warnings, _) = accepted(|v| (v.eos, v.pad, v.bos) = (Some(258), Some(u32::MAX), Some(7)));
    let told = |key, id| {
        format!(
            "`tokenizer.ggml.{key}` is {id}, and the vocabulary has ids below 258: it is ignored"
        )
    };
    let expected = [
        told("eos_token_id", 258),
        told("padding_token_id", u32::MAX),
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn what_prompts_begin_with_must_be_a_token() {
    check(
        "`tokenizer.ggml.add_bos_token` is true; it needs a `tokenizer.ggml.bos_token_id` \
         as well",
        |v| (v.add_bos, v.bos) = (true, Some(257)),
    );
    check(
        "`tokenizer.ggml.add_bos_token` is true; it needs a `tokenizer.ggml.bos_token_id` \
         as well",
        |v| v.add_bos = true,
    );
}

#[test]
fn no_vocabulary_makes_the_tokenizer_panic() {
    let whole = bytes_and(&[]);
    proptest!(|(
        tokens in prop::collection::vec(".{0,4}", 0..4),
        token_types in prop::collection::vec(0i32..6, 256..260),
        merges in prop::collection::vec("[ab é]{0,5}", 0..4),
        eos in prop::option::of(250u32..260),
        keep in 255usize..=256,
    )| {
        let mut v = Vocabulary { token_types, merges, eos, ..whole.clone() };
        v.tokens.truncate(keep);
        v.tokens.extend(tokens);
        if let Ok(tokenizer) = Tokenizer::new(v) {
            tokenizer.decode(&tokenizer.encode("ab é", true), true);
        }
    });
}
