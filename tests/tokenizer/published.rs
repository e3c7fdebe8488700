//! llama.cpp's own test vectors, where an environment variable says where they are.

use std::path::Path;

use sharpi_compile::tokenizer::Tokenizer;

use crate::vocabulary;

const FOLDER: &str = "SHARPI_TOKENIZER_DIR";

/// Runs llama.cpp's test vectors for one vocabulary: the texts of `.inp`,
/// with a line `__ggml_vocab_test__` between them, have the ids in the lines
/// of `.out`.
fn check(pre: &str) {
    let Some(folder) = std::env::var_os(FOLDER) else {
        println!("skipped: {FOLDER} names no folder with ggml-vocab-{pre}.gguf");
        return;
    };
    let file = |end: &str| Path::new(&folder).join(format!("ggml-vocab-{pre}.gguf{end}"));
    let tokenizer = Tokenizer::new(vocabulary(&file(""))).unwrap();
    let texts = std::fs::read_to_string(file(".inp")).unwrap();
    let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
    let lines = std::fs::read_to_string(file(".out")).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    assert!(lines.len() > 40, "{} lines", lines.len());
    // The separator behind the last text leaves an empty one, without ids.
    assert_eq!(texts.len(), lines.len() + 1);
    assert_eq!(texts.last(), Some(&""));
    for (text, line) in texts.into_iter().zip(lines) {
        let want: Vec<u32> = line
            .split_whitespace()
            .map(|id| id.parse().unwrap())
            .collect();
        for parse_special in [false, true] {
            assert_eq!(tokenizer.encode(text, parse_special), want, "{text:?}");
        }
        assert_eq!(tokenizer.decode(&want, true), text);
    }
}

#[test]
fn qwen2_agrees_with_the_published_vectors() {
    check("qwen2");
}

#[test]
fn qwen35_agrees_with_the_published_vectors() {
    check("qwen35");
}
