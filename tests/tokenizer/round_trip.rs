//! What holds for every text.

use proptest::prelude::*;

use crate::micro;

/// Strings with control tokens, marks, blanks and broken-off contractions in
/// them more often than chance would have it.
fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        any::<String>(),
        "[ \\t\\r\\n']{0,6}",
        "\\PC{0,8}",
        "[a-z'\u{301}\u{e01}-\u{e4f} ]{0,12}",
        Just("<|im_start|>".to_owned()),
        Just("<|im_end|>".to_owned()),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

#[test]
fn decoding_undoes_encoding() {
    let tokenizer = micro();
    proptest!(|(text in texts(), parse_special: bool)| {
        let ids = tokenizer.encode(&text, parse_special);
        prop_assert_eq!(tokenizer.decode(&ids, true), text);
    });
}

#[test]
fn a_stream_of_valid_text_is_that_text_in_whole_characters() {
    let tokenizer = micro();
    proptest!(|(text in texts())| {
        let mut stream = tokenizer.stream().with_special(true);
        let mut out = String::new();
        for id in tokenizer.encode(&text, true) {
            out += &stream.push(id);
            prop_assert!(text.starts_with(&out), "{:?} does not begin {:?}", out, text);
        }
        prop_assert_eq!(stream.finish(), "");
        prop_assert_eq!(out, text);
    });
}

#[test]
fn a_stream_of_any_tokens_is_their_decoding() {
    let tokenizer = micro();
    proptest!(|(ids in prop::collection::vec(0u32..520, 0..60), special: bool)| {
        let mut stream = tokenizer.stream().with_special(special);
        let mut out: String = ids.iter().map(|&id| stream.push(id)).collect();
        out += &stream.finish();
        prop_assert_eq!(out, tokenizer.decode(&ids, special));
    });
}
