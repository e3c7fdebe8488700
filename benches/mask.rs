//! What a grammar costs beside the model: making the vocabulary, compiling, and choosing what may
//! follow, for a vocabulary of 248,320 tokens made of syllables.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use sharpi_compile::guide::{Grammar, Guide, GuideVocabulary, Plan};
use sharpi_compile::tokenizer::{Tokenizer, Vocabulary};

const TOKENS: usize = 248_320;
const SYLLABLES: [&str; 24] = [
    "a", "an", "be", "ca", "de", "el", "fi", "ge", "ho", "in", "ki", "la", "me", "no", "or", "pre",
    "qui", "re", "st", "ti", "un", "ver", "wa", "zu",
];
/// What stands before and behind words, in the byte alphabet: "Ġ" is a space, "Ċ" a line break.
const BEFORE: [&str; 6] = ["Ġ", "", "Ġ\"", "(", "\"", "_"];
const BEHIND: [&str; 6] = ["", "s", ",", "\":", "\",", ".Ċ"];

fn tokenizer() -> Arc<Tokenizer> {
    let model = sharpi_compile::Model::embedded().expect("a model");
    let bytes = model.tokenizer().expect("a tokenizer");
    let bytes = (0..256).map(|id| bytes.token_text(id).expect("a byte").to_owned());
    let word = |i: usize| {
        let (mut word, mut rest) = (BEFORE[i % 6].to_owned(), i / 6);
        let behind = BEHIND[rest % 6];
        rest /= 6;
        while rest > 0 {
            word.push_str(SYLLABLES[rest % 24]);
            rest /= 24;
        }
        word + behind
    };
    let mut seen = std::collections::HashSet::new();
    let words = (200..).map(word).filter(|word| seen.insert(word.clone()));
    let mut tokens: Vec<String> = bytes.chain(words).take(TOKENS - 1).collect();
    tokens.push("<|im_end|>".into());
    let vocabulary = Vocabulary {
        model: "gpt2".into(),
        pre: "qwen35".into(),
        tokens,
        ..Vocabulary::default()
    };
    Arc::new(Tokenizer::new(vocabulary).expect("a tokenizer"))
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("mask");
    group.sample_size(10);
    let tokenizer = tokenizer();
    group.bench_function("vocabulary", |b| {
        b.iter(|| GuideVocabulary::new(tokenizer.clone()).expect("a vocabulary"));
    });
    let vocabulary = Arc::new(GuideVocabulary::new(tokenizer.clone()).expect("a vocabulary"));
    let schema = json!({
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "code": {"type": "string", "maxLength": 40},
            "years": {"type": "array", "items": {"type": "integer", "minimum": 1500}},
            "kind": {"enum": ["comedy", "history", "tragedy"]},
        },
        "required": ["title", "code", "years", "kind"],
    });
    let text =
        r#"{"title": "an el of fire", "code": "zu-3", "years": [1599, 1601], "kind": "history"}"#;
    let grammars = [
        ("schema", Grammar::json_schema(schema), text),
        (
            "regex",
            Grammar::Regex(r"(\p{L}+[,.]? ?)+".into()),
            "an el of fire, and no more.",
        ),
    ];
    for (name, grammar, text) in grammars {
        let plan = Plan::default().start(Some(grammar));
        group.bench_function(format!("{name}, compiled"), |b| {
            b.iter(|| Guide::new(&vocabulary, &plan).expect("a guide"));
        });
        let guide = Arc::new(Guide::new(&vocabulary, &plan).expect("a guide"));
        let ids = tokenizer.encode(text, true);
        let mut logits = vec![0.0; TOKENS];
        group.bench_function(format!("{name}, {} tokens", ids.len() + 1), |b| {
            b.iter(|| {
                let mut mask = guide.mask();
                for n in 0..=ids.len() {
                    mask.apply(&ids[..n], None, black_box(&mut logits))
                        .expect("a mask");
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
