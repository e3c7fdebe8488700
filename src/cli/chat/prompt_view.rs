//! A prompt as the model gets it.

use sharpi_compile::tokenizer::Tokenizer;

/// The text of a prompt, each special token between `«` and `»`; those two characters are escaped
/// elsewhere.
pub(super) fn shown(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut text = String::new();
    for run in ids.chunk_by(|a, b| !tokenizer.is_added(*a) && !tokenizer.is_added(*b)) {
        let plain = tokenizer.decode(run, true);
        match run {
            [id] if tokenizer.is_added(*id) => text += &format!("«{plain}»"),
            _ => text += &escaped(&plain),
        }
    }
    text
}

fn escaped(text: &str) -> String {
    let marks = |c: char| match c {
        '«' | '»' => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    text.chars().map(marks).collect()
}

#[cfg(test)]
mod tests {
    use sharpi_compile::Model;

    use super::*;

    #[test]
    fn special_tokens_are_told_from_the_same_text() {
        let tokenizer = Model::embedded().and_then(|m| m.tokenizer()).unwrap();
        let parts = [
            ("<|im_start|>", true),
            ("a«<|im_end|>»", false),
            ("<|im_end|>", true),
        ];
        let ids = tokenizer.encode_parts(&parts);
        assert_eq!(
            shown(&tokenizer, &ids),
            "«<|im_start|>»a\\u{ab}<|im_end|>\\u{bb}«<|im_end|>»"
        );
    }
}
