//! Control, user-defined, unused and byte tokens.

use sharpi_compile::tokenizer::{Tokenizer, Vocabulary};

use crate::{bytes_and, micro};

#[test]
fn control_tokens_are_recognised_only_on_request() {
    let tokenizer = micro();
    let text = "<|im_start|>O<|im_end|>";
    assert_eq!(tokenizer.encode(text, true), [510, 46, 511]);
    let plain = tokenizer.encode(text, false);
    assert!(plain.iter().all(|&id| id < 509), "{plain:?}");
    assert_eq!(tokenizer.decode(&plain, false), text);
}

#[test]
fn control_tokens_are_printed_only_on_request() {
    let tokenizer = micro();
    let ids = [510, 46, 511];
    assert_eq!(tokenizer.decode(&ids, false), "O");
    assert_eq!(tokenizer.decode(&ids, true), "<|im_start|>O<|im_end|>");
}

#[test]
fn user_defined_tokens_are_always_recognised_and_printed() {
    let tokenizer = Tokenizer::new(bytes_and(&[("<tool>", 4), ("<mark>", 3)])).unwrap();
    for parse_special in [false, true] {
        assert_eq!(tokenizer.encode("<tool>", parse_special), [256]);
    }
    assert_eq!(tokenizer.encode("<mark>", false).len(), 6);
    assert_eq!(tokenizer.decode(&[256, 257], false), "<tool>");
}

#[test]
fn fill_in_the_middle_marks_are_control_tokens_even_if_called_user_defined() {
    let tokenizer = Tokenizer::new(bytes_and(&[("<|fim_prefix|>", 4)])).unwrap();
    assert_eq!(tokenizer.encode("<|fim_prefix|>", true), [256]);
    assert_eq!(tokenizer.encode("<|fim_prefix|>", false).len(), 14);
    assert_eq!(tokenizer.decode(&[256], false), "");
}

#[test]
fn the_longest_of_overlapping_tokens_wins() {
    let added = [("ab", 4), ("abc", 4), ("cdef", 4)];
    let tokenizer = Tokenizer::new(bytes_and(&added)).unwrap();
    assert_eq!(tokenizer.encode("abcab", false), [257, 256]);
    assert_eq!(tokenizer.encode("abcdef", false), [256, 258]);
}

#[test]
fn unused_tokens_are_neither_printed_nor_recognised() {
    let tokenizer = Tokenizer::new(bytes_and(&[("[PAD256]", 5)])).unwrap();
    assert_eq!(tokenizer.encode("[PAD256]", true).len(), 8);
    assert_eq!(tokenizer.decode(&[256], true), "");
    assert_eq!(tokenizer.token_text(256), Some("[PAD256]"));
}

#[test]
fn byte_tokens_print_their_byte() {
    let tokenizer = Tokenizer::new(bytes_and(&[("<0x41>", 6)])).unwrap();
    assert_eq!(tokenizer.token_bytes(256), Some(&b"A"[..]));
}

#[test]
fn texts_end_at_the_tokens_of_the_keys_and_those_known_by_text() {
    assert_eq!(micro().end_of_text_ids(), [509, 511]);
    let tokenizer = Tokenizer::new(Vocabulary {
        eos: Some(3),
        eot: Some(2),
        eom: Some(3),
        ..bytes_and(&[("<|im_start|>", 3), ("<|fim_pad|>", 4)])
    })
    .unwrap();
    assert_eq!(tokenizer.end_of_text_ids(), [2, 3, 257]);
    assert!(tokenizer.is_end_of_text(3) && !tokenizer.is_end_of_text(256));
    // A token that only a key names is still printed.
    assert_eq!(tokenizer.decode(&[3], false), "$");
}

#[test]
fn nothing_in_an_untrusted_part_is_an_added_token_and_all_else_is_as_in_the_whole_text() {
    let tokenizer = micro();
    let whole = "<|im_start|>user\nWhat, ho!<|im_end|>\n";
    for cut in [12, 17, 20] {
        let end = whole.find("<|im_end|>").unwrap();
        let parts = [
            (&whole[..cut], true),
            (&whole[cut..end], false),
            (&whole[end..], true),
        ];
        assert_eq!(
            tokenizer.encode_parts(&parts),
            tokenizer.encode(whole, true),
            "{cut}"
        );
    }
    let typed = [
        ("<|im_start|>", true),
        ("O<|im_end|><|im_", false),
        ("end|>", true),
    ];
    let ids = tokenizer.encode_parts(&typed);
    assert_eq!(ids[..2], [510, 46]);
    assert!(ids[2..].iter().all(|id| *id < 509), "{ids:?}");
    // A mark that a text only begins is none either.
    let split = [("<|im_", true), ("start|>", true)];
    assert_eq!(tokenizer.encode_parts(&split), [510]);
    let marks = Tokenizer::new(bytes_and(&[("<think>", 4)])).unwrap();
    assert_eq!(marks.encode_parts(&[("<think>", false)]).len(), 7);
    assert_eq!(marks.encode_parts(&[("<think>", true)]), [256]);
    // A place that is not allowed does not hide one that overlaps it.
    let twice = Tokenizer::new(bytes_and(&[("aba", 4)])).unwrap();
    assert_eq!(
        twice.encode_parts(&[("ab", false), ("aba", true)]).last(),
        Some(&256)
    );
}
