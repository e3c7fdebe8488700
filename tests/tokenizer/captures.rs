//! Prompts and answers as the reference captured them.

use sharpi_compile::tokenizer::Tokenizer;

use crate::support::synthetic;
use crate::{fixtures, vocabulary};

/// The captures were printed with control tokens shown.
const SPECIAL: bool = true;

#[derive(serde::Deserialize)]
struct Capture {
    prompt: String,
    prompt_ids: Vec<u32>,
    ids: Vec<u32>,
    text: String,
}

/// Every capture file with the tokenizer of its model. All `micro-dense` models have one vocabulary, so
/// one of them stands in for the rest, and so for `micro-moe`.
fn captures() -> Vec<(String, Tokenizer, Vec<Capture>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(fixtures("golden")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".tensors") {
            continue;
        }
        let name = name.strip_suffix("-cache").unwrap_or(&name).to_owned();
        let mut model = fixtures("models").join(format!("{name}.gguf"));
        let family = name.strip_suffix("-Q8_0").unwrap_or(&name);
        let tokenizer = match synthetic(family) {
            Some(model) => model.tokenizer().unwrap(),
            None => {
                if !model.exists() {
                    let made = ["micro-dense", "micro-moe"].into_iter();
                    let mut of = made.filter(|of| name.starts_with(of));
                    let of = of.next().unwrap_or_else(|| panic!("no model for {name}"));
                    model.set_file_name(format!("{of}-f32.gguf"));
                }
                Tokenizer::new(vocabulary(&model)).unwrap()
            }
        };
        let captures = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        found.push((name, tokenizer, captures));
    }
    assert!(found.len() >= 10, "{} capture files", found.len());
    found
}

#[test]
fn prompts_encode_to_the_captured_ids() {
    for (name, tokenizer, captures) in captures() {
        for c in captures {
            let ids = tokenizer.encode(&c.prompt, true);
            assert_eq!(ids, c.prompt_ids, "{name}: {:?}", c.prompt);
        }
    }
}

#[test]
fn generated_ids_decode_to_the_captured_text() {
    for (name, tokenizer, captures) in captures() {
        for c in captures {
            assert_eq!(tokenizer.decode(&c.ids, SPECIAL), c.text, "{name}");
        }
    }
}
