//! Texts held to a grammar.

#[path = "../support/mod.rs"]
mod support;

mod drafting;
mod faults;
mod mask;
mod schemas;
mod tools;

use std::collections::BTreeSet;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use sharpi_compile::Model;
use sharpi_compile::engine::Mask;
use sharpi_compile::guide::{Grammar, Guide, GuideError, GuideVocabulary, Plan};
use sharpi_compile::tokenizer::{Tokenizer, Vocabulary};

/// Texts of ordinary tokens beside the bytes, in the byte alphabet.
const WORDS: [&str; 8] = ["ab", "aba", "</", "think", ">Ċ", "call>x", "Ġ\"", "k>"];
/// Added tokens with their types.
const ADDED: [(&str, i32); 7] = [
    ("<|endoftext|>", 3),
    ("<|im_end|>", 3),
    ("<|im_start|>", 3),
    ("<think>", 4),
    ("</think>", 4),
    ("<tool_call>", 4),
    ("</tool_call>", 4),
];

/// The 256 bytes, [`WORDS`], and then [`ADDED`].
fn vocabulary() -> Arc<GuideVocabulary> {
    vocabulary_with(&ADDED)
}

fn vocabulary_with(added: &[(&str, i32)]) -> Arc<GuideVocabulary> {
    let file = support::fixtures().join("models/micro-dense-f32.gguf");
    let bytes = Model::open(file).unwrap().tokenizer().unwrap();
    let bytes = (0..256).map(|id| bytes.token_text(id).unwrap().to_owned());
    let words = WORDS.iter().map(|word| word.to_string());
    let marks = added.iter().map(|(text, _)| text.to_string());
    let mut token_types = vec![1; 256 + WORDS.len()];
    token_types.extend(added.iter().map(|(_, kind)| kind));
    let tokenizer = Tokenizer::new(Vocabulary {
        model: "gpt2".into(),
        pre: "qwen35".into(),
        tokens: bytes.chain(words).chain(marks).collect(),
        token_types,
        ..Vocabulary::default()
    });
    Arc::new(GuideVocabulary::new(Arc::new(tokenizer.unwrap())).unwrap())
}

fn id(vocabulary: &GuideVocabulary, text: &str) -> u32 {
    let tokenizer = vocabulary.tokenizer();
    let mut ids = (0..tokenizer.len() as u32).rev();
    let found = ids.find(|id| tokenizer.token_bytes(*id) == Some(text.as_bytes()));
    found.unwrap_or_else(|| panic!("no token {text:?}"))
}

/// The ids of a text, byte by byte.
fn bytes(vocabulary: &GuideVocabulary, text: &str) -> Vec<u32> {
    let tokenizer = vocabulary.tokenizer();
    let of = |byte: u8| (0..256).find(|id| tokenizer.token_bytes(*id) == Some(&[byte]));
    text.bytes().map(|byte| of(byte).unwrap()).collect()
}

fn guide(vocabulary: &Arc<GuideVocabulary>, grammar: Grammar) -> Result<Arc<Guide>, GuideError> {
    let plan = Plan::default().start(Some(grammar));
    Guide::new(vocabulary, &plan).map(Arc::new)
}

/// The tokens that a mask lets follow, of more logits than there are tokens.
fn allowed(vocabulary: &GuideVocabulary, mask: &mut dyn Mask, text: &[u32]) -> BTreeSet<u32> {
    let mut logits = vec![0.0; vocabulary.tokenizer().len() + 9];
    mask.apply(text, None, &mut logits).expect("a mask");
    let ids = (0u32..).zip(logits);
    ids.filter(|(_, x)| *x == 0.0).map(|(id, _)| id).collect()
}

/// A text of tokens drawn among those allowed, and whether it has ended by itself.
fn walk(
    vocabulary: &GuideVocabulary,
    mask: &mut dyn Mask,
    rng: &mut StdRng,
    most: usize,
) -> (Vec<u32>, bool) {
    let mut text = Vec::new();
    while text.len() < most {
        let next: Vec<u32> = allowed(vocabulary, mask, &text).into_iter().collect();
        let next = *next.choose(rng).expect("a token");
        if vocabulary.tokenizer().is_end_of_text(next) {
            return (text, true);
        }
        text.push(next);
    }
    (text, false)
}

fn decode(vocabulary: &GuideVocabulary, text: &[u32]) -> String {
    vocabulary.tokenizer().decode(text, true)
}
