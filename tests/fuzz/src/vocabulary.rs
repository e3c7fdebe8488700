//! Vocabularies, and texts that are encoded with them and decoded again.
//!
//! A file is a GGUF file, or a description of one that is easier to vary: lines of a letter and a
//! text. Behind the tokens of the 256 bytes come those of the lines `t` (normal), `c` (control),
//! `u` (user-defined), `x` (unused) and `b` (byte); `m` is a merge, `p` the pre-tokeniser, `e` the
//! id that ends a text, and everything else a text to encode.

use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{Array, Gguf};
use sharpi_compile::tokenizer::{Tokenizer, Vocabulary};

use crate::message;

/// Encodes and decodes texts with the vocabulary of a file.
pub fn check(file: &[u8]) {
    if file.starts_with(b"GGUF") {
        if let Ok(gguf) = Gguf::from_bytes(file.to_vec()) {
            let texts = ["<|im_start|>user\nDon't  pänic\u{2028}١٢٣ 🙂"];
            with_file(&gguf, &texts, false);
        }
        return;
    }
    let lines = String::from_utf8_lossy(file);
    let (gguf, texts, sound) = described(&lines);
    with_file(&gguf, &texts, sound);
}

/// `sound`: whether all that merges make are normal tokens. One of another type stands for other
/// bytes than it was made of, as it does in llama.cpp.
fn with_file(gguf: &Gguf, texts: &[&str], sound: bool) {
    let vocabulary = match Vocabulary::read(gguf) {
        Ok(vocabulary) => vocabulary,
        Err(error) => return message::check(error),
    };
    match Tokenizer::new(vocabulary) {
        Ok(tokenizer) => (texts.iter()).for_each(|text| with_text(&tokenizer, text, sound)),
        Err(error) => message::check(error),
    }
}

/// A text is its tokens' bytes one after the other, special tokens or not, and the same comes out
/// of a stream.
fn with_text(tokenizer: &Tokenizer, text: &str, sound: bool) {
    for special in [true, false] {
        let ids = tokenizer.encode(text, special);
        let mut bytes: Vec<u8> = Vec::new();
        for &id in &ids {
            bytes.extend(tokenizer.token_bytes(id).expect("an id of the vocabulary"));
        }
        if sound {
            assert_eq!(bytes, text.as_bytes(), "{ids:?}");
        }
        assert_eq!(
            tokenizer.decode(&ids, true),
            String::from_utf8_lossy(&bytes)
        );
        let mut stream = tokenizer.stream();
        let mut streamed: String = ids.iter().map(|&id| stream.push(id)).collect();
        streamed.push_str(&stream.finish());
        assert_eq!(streamed, tokenizer.decode(&ids, false));
    }
}

/// The file that the lines describe, the texts among them, and whether all that the merges make are
/// normal tokens.
fn described(lines: &str) -> (Gguf, Vec<&str>, bool) {
    let mut tokens: Vec<String> = letters().map(String::from).collect();
    let mut types = vec![1i32; tokens.len()];
    let (mut merges, mut texts) = (Vec::new(), Vec::new());
    let mut writer = Writer::new();
    writer.metadata("tokenizer.ggml.model", "gpt2");
    writer.metadata("tokenizer.ggml.pre", "qwen35");
    for line in lines.split('\n') {
        let mut chars = line.chars();
        let letter = chars.next();
        let rest = chars.as_str();
        let mut token = |kind| {
            tokens.push(rest.into());
            types.push(kind);
        };
        match letter {
            Some('t') => token(1),
            Some('c') => token(3),
            Some('u') => token(4),
            Some('x') => token(5),
            Some('b') => token(6),
            Some('m') => merges.push(rest.to_owned()),
            Some('p') => {
                writer.metadata("tokenizer.ggml.pre", rest);
            }
            Some('e') => {
                let id: u32 = rest.parse().unwrap_or_default();
                writer.metadata("tokenizer.ggml.eos_token_id", id);
            }
            _ => texts.push(line),
        }
    }
    let normal = |merge: &String| {
        let made = merge.replacen(' ', "", 1);
        let mut same = tokens.iter().zip(&types).filter(|(text, _)| **text == made);
        same.all(|(_, kind)| *kind == 1)
    };
    let sound = merges.iter().all(normal);
    writer.metadata("tokenizer.ggml.tokens", Array::from(tokens));
    writer.metadata("tokenizer.ggml.token_type", Array::from(types));
    writer.metadata("tokenizer.ggml.merges", Array::from(merges));
    let mut bytes = Vec::new();
    writer.write(&mut bytes).expect("memory takes all");
    (Gguf::from_bytes(bytes).expect("a sound file"), texts, sound)
}

/// The characters that byte-level vocabularies spell the 256 bytes with.
fn letters() -> impl Iterator<Item = char> {
    let shown = |c: &char| matches!(c, '!'..='~' | '¡'..='¬' | '®'..='ÿ');
    ('\0'..='ÿ').filter(shown).chain('Ā'..='Ń')
}
