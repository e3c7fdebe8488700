//! The tokenizer against captured ids, published test vectors and its own laws.

mod added_tokens;
mod captures;
mod errors;
mod published;
mod round_trip;
mod streaming;
#[path = "../support/mod.rs"]
mod support;
mod words_and_merges;

use std::path::{Path, PathBuf};

use sharpi_compile::gguf::Gguf;
use sharpi_compile::tokenizer::{Tokenizer, Vocabulary};

/// Reads the vocabulary of a GGUF file.
fn vocabulary(path: &Path) -> Vocabulary {
    Vocabulary::read(&Gguf::open(path).unwrap()).unwrap()
}

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(folder)
}

fn micro_vocabulary() -> Vocabulary {
    vocabulary(&fixtures("models").join("micro-dense-f32.gguf"))
}

fn micro() -> Tokenizer {
    Tokenizer::new(micro_vocabulary()).unwrap()
}

/// A vocabulary of the 256 bytes and then the given tokens, with their types.
fn bytes_and(added: &[(&str, i32)]) -> Vocabulary {
    let mut tokens = micro_vocabulary().tokens;
    tokens.truncate(256);
    tokens.extend(added.iter().map(|(text, _)| text.to_string()));
    let mut token_types = vec![1; 256];
    token_types.extend(added.iter().map(|(_, kind)| kind));
    Vocabulary {
        model: "gpt2".into(),
        pre: "qwen35".into(),
        tokens,
        token_types,
        ..Vocabulary::default()
    }
}

#[test]
fn ids_beyond_the_vocabulary_print_nothing() {
    let tokenizer = micro();
    assert_eq!(tokenizer.len(), 512);
    assert_eq!(tokenizer.decode(&[46, 512, u32::MAX, 46], true), "OO");
    assert_eq!(tokenizer.token_bytes(512), None);
    assert_eq!(tokenizer.token_text(512), None);
    assert!(!tokenizer.is_end_of_text(512));
}
