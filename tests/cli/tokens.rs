//! `tokenize` and `detokenize`.

use crate::{fails, json, sharpi, stdout};

#[test]
fn text_comes_back_from_its_ids() {
    let text = "<|im_start|>user\nWas für ein Löwe! 🦁\t  x<|im_end|>\n";
    let mut tokenize = sharpi("tokenize --json");
    let ids = stdout({
        tokenize.arg(text);
        tokenize
    });
    let mut detokenize = sharpi("detokenize --ids");
    detokenize.arg(ids.trim());
    assert_eq!(stdout(detokenize), format!("{text}\n"));
}

#[test]
fn the_prompt_of_a_capture_has_its_ids() {
    assert_eq!(
        json(sharpi("tokenize ROMEO: --json")),
        serde_json::json!([870, 25])
    );
    assert_eq!(stdout(sharpi("detokenize --ids 870,25")), "ROMEO:\n");
}

#[test]
fn tokens_are_listed_with_their_text() {
    let list = stdout(sharpi("tokenize <|im_start|>ROMEO:"));
    assert_eq!(
        list,
        "  2044  \"<|im_start|>\"\n   870  \"ROMEO\"\n    25  \":\"\n"
    );
}

#[test]
fn an_id_outside_the_vocabulary_has_no_text() {
    fails(
        sharpi("detokenize --ids 1,999999"),
        1,
        &["999999", "0 to 2047"],
    );
}

#[test]
fn text_may_begin_with_a_dash() {
    let mut command = sharpi("tokenize --json");
    command.arg("- a list");
    assert!(json(command).as_array().is_some_and(|ids| !ids.is_empty()));
}
