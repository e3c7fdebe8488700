//! Where words are cut and how their bytes are merged.

use sharpi_compile::tokenizer::{Tokenizer, Vocabulary};

use crate::{bytes_and, micro};

#[test]
fn combining_marks_join_letters_in_qwen35_only() {
    // The mark is CC 81. A merge of the letter with its first byte shows
    // whether there is a border between them.
    let mut v = bytes_and(&[("eÌ", 1)]);
    v.merges = vec!["e Ì".into()];
    let ids = |pre: &str| {
        let pre = pre.to_owned();
        let tokenizer = Tokenizer::new(Vocabulary { pre, ..v.clone() }).unwrap();
        tokenizer.encode("e\u{301}", false)
    };
    assert_eq!(ids("qwen35").len(), 2);
    assert_eq!(ids("qwen2").len(), 3);
}

#[test]
fn long_words_come_back_whole() {
    let mut v = bytes_and(&[("aa", 1), ("aaaa", 1), ("aaaaaaaa", 1)]);
    v.merges = ["a a", "aa aa", "aaaa aaaa"].map(String::from).into();
    let tokenizer = Tokenizer::new(v).unwrap();
    for letter in ["a", " ", "\n", "!", "\u{301}"] {
        let text = letter.repeat(100_000);
        let ids = tokenizer.encode(&text, true);
        assert_eq!(tokenizer.decode(&ids, true), text);
    }
    assert_eq!(tokenizer.encode(&"a".repeat(100_000), true).len(), 12_500);
}

#[test]
fn the_more_urgent_merge_is_made_first() {
    let mut v = bytes_and(&[("ab", 1), ("bc", 1)]);
    v.merges = ["b c", "a b"].map(String::from).into();
    let tokenizer = Tokenizer::new(v).unwrap();
    assert_eq!(tokenizer.encode("abc", false), [64, 257]);
}

#[test]
fn the_first_of_two_equal_merges_counts() {
    let mut v = bytes_and(&[("ab", 1), ("bc", 1)]);
    v.merges = ["b c", "a b", "b c"].map(String::from).into();
    let tokenizer = Tokenizer::new(v).unwrap();
    assert_eq!(tokenizer.encode("abc", false), [64, 257]);
}

#[test]
fn nothing_is_encoded_as_nothing() {
    assert_eq!(micro().encode("", true), [0u32; 0]);
    assert_eq!(micro().decode(&[], true), "");
}

#[test]
fn a_byte_without_a_token_is_told_and_left_out_as_in_the_reference() {
    let mut v = bytes_and(&[]);
    let tab = v
        .tokens
        .iter()
        .position(|text| text == "ĉ")
        .expect("a token");
    v.tokens[tab] = "tab".into();
    // No text has this byte.
    let never = v
        .tokens
        .iter()
        .position(|text| text == "À")
        .expect("a token");
    v.tokens[never] = "never".into();
    let tokenizer = Tokenizer::new(v).unwrap();
    let warnings: Vec<String> = tokenizer
        .warnings()
        .iter()
        .map(ToString::to_string)
        .collect();
    let said = "no token stands for 1 of the bytes that a text can have, the first is 0x09: such \
                bytes are left out of a prompt";
    assert_eq!(warnings, [said]);
    let ids = tokenizer.encode("a\tb", true);
    assert_eq!(tokenizer.decode(&ids, true), "ab");
}
