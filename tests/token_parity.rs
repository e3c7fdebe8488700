//! The same tokens as llama.cpp: free-running where the reference agrees with itself,
//! teacher-forced everywhere.

mod support;

use sharpi_compile::Model;
use sharpi_compile::ir::{DType, Module};
use sharpi_compile::parity::Capture;
use support::{argmax, captured_models, compile, feed, session};

/// How far apart the reference's own two best may lie for a different choice to mean nothing.
fn epsilon(module: &Module) -> f32 {
    let types = || module.symbols.weights().map(|(_, _, w)| w.ty.dtype);
    if types().any(|t| t.block_len() > 1) {
        0.25
    } else if types().any(|t| t == DType::F16 || t == DType::BF16) {
        0.02
    } else {
        0.002
    }
}

fn end_of_text(model: &Model, capture: &Capture) -> Vec<u32> {
    let tokenizer = model.tokenizer().expect("a tokeniser");
    match capture.ignore_eos {
        true => tokenizer.end_of_text_ids().to_vec(),
        false => Vec::new(),
    }
}

#[test]
fn stable_captures_are_generated_id_by_id() {
    let (mut captures, mut ids) = (0, 0);
    let mut forks = 0;
    for (name, model, entries) in captured_models() {
        for capture in entries.iter().filter(|c| c.n_draft_max == 0 && c.stable) {
            let executable = compile(&model, capture.cache_type);
            let mut session = session(&executable, 1);
            let without = end_of_text(&model, capture);
            let mut logits = feed_prompt(&mut session, &capture.prompt_ids);
            let mut emitted = Vec::new();
            while emitted.len() < capture.ids.len() {
                let id = argmax(&logits, &without);
                emitted.push(id);
                logits = feed(&mut session, &[id]).remove(0);
            }
            captures += 1;
            ids += emitted.len();
            if let Some(i) = (0..emitted.len()).find(|&i| emitted[i] != capture.ids[i]) {
                let (id, reference) = (emitted[i], capture.ids[i]);
                println!(
                    "{name} {} {:?}: id {i} is {id}, the reference has {reference}",
                    capture.cache_type, capture.prompt
                );
                forks += 1;
            }
        }
    }
    println!("free-running: {captures} captures, {ids} ids, {forks} forks");
    assert!(captures > 0);
    assert_eq!(forks, 0, "stable captures with other ids");
}

#[test]
fn teacher_forced_choices_differ_only_where_the_reference_hesitates() {
    let (mut captures, mut ids, mut close) = (0, 0, Vec::new());
    let mut failures = Vec::new();
    for (name, model, entries) in captured_models() {
        for capture in entries.iter().filter(|c| c.n_draft_max == 0) {
            let executable = compile(&model, capture.cache_type);
            let epsilon = epsilon(executable.module());
            let mut session = session(&executable, 1);
            let without = end_of_text(&model, capture);
            let mut logits = feed_prompt(&mut session, &capture.prompt_ids);
            let mut worst = 0f32;
            for (i, &id) in capture.ids.iter().enumerate() {
                // A few captures hold the best logits of their first steps only.
                let Some(top) = capture.top5.get(i) else {
                    break;
                };
                let (choice, gap) = (argmax(&logits, &without), top[0].1 - top[1].1);
                for (id, logit) in top {
                    worst = worst.max((logits[*id as usize] - logit).abs());
                }
                if choice != id {
                    let line = format!(
                        "{name} {} {:?} step {i}: {choice} for {id}, reference gap {gap}",
                        capture.cache_type, capture.prompt
                    );
                    match gap < epsilon {
                        true => close.push(line),
                        false => failures.push(line),
                    }
                }
                logits = feed(&mut session, &[id]).remove(0);
                ids += 1;
            }
            captures += 1;
            println!(
                "{name} {} {:?}: largest difference of a top-five logit {worst}",
                capture.cache_type, capture.prompt
            );
        }
    }
    println!(
        "teacher-forced: {captures} captures, {ids} ids, {} disagreements",
        close.len()
    );
    println!("{}", close.join("\n"));
    assert!(
        captures > 0 && failures.is_empty(),
        "{}",
        failures.join("\n")
    );
}

fn feed_prompt(session: &mut sharpi_compile::Session, ids: &[u32]) -> Vec<f32> {
    let mut last = Vec::new();
    for piece in ids.chunks(16) {
        last = feed(session, piece).pop().expect("a row");
    }
    last
}
