//! Receipts: an answer is proven afterwards, and what is not the answer is not.

mod support;

use std::sync::Arc;

use proptest::prelude::*;
use sharpi_compile::engine::{Engine, EngineOptions, Event, Request};
use sharpi_compile::generate::{DraftOptions, GenerateOptions, SamplerOptions};
use sharpi_compile::guide::{Form, Grammar, Plan, ReasoningBudget};
use sharpi_compile::ir::DType;
use sharpi_compile::receipt::{Receipt, Recorder, Replay, Verdict, What};
use sharpi_compile::tokenizer::Tokenizer;
use sharpi_compile::{Executable, Session, SessionOptions};
use support::{compile, model};

fn tokenizer() -> Arc<Tokenizer> {
    let tokenizer = model("micro-dense-Q8_0").tokenizer();
    Arc::new(tokenizer.expect("a tokenizer"))
}

fn executable(cache: DType) -> Arc<Executable> {
    compile(&model("micro-dense-Q8_0"), cache)
}

/// Answers of an engine that has several to give at once, with their receipts.
fn receipts(executable: &Arc<Executable>, draft: bool, ends: &[u32]) -> Vec<Receipt> {
    receipts_under(&Form::default(), executable, draft, ends)
}

/// The same, each held to a form.
fn receipts_under(
    form: &Form,
    executable: &Arc<Executable>,
    draft: bool,
    ends: &[u32],
) -> Vec<Receipt> {
    let tokenizer = tokenizer();
    let options = EngineOptions::default().parallel(4).drafts(3);
    let engine = Engine::start(executable.clone(), None, options).expect("an engine");
    let asked = (0..6u32).map(|i| {
        let prompt: Vec<u32> = (0..4 + 5 * i).map(|j| (j * 17 + i) % 500).collect();
        let sampler = SamplerOptions::default()
            .temp(0.4 * i as f32)
            .seed(i.into())
            .logit_bias(vec![(i, f32::NEG_INFINITY)]);
        let recorder = Recorder::new(executable, &prompt, &sampler, (ends, false));
        let recorder = recorder.form(form.clone());
        let options = GenerateOptions::default()
            .max_tokens(Some(20))
            .end_of_text(ends.to_vec())
            .hash_logits(true);
        let request = Request::default()
            .prompt(prompt)
            .options(options)
            .sampler(sampler)
            .mask(form.compile(&tokenizer).expect("a form"))
            .draft(draft.then(|| DraftOptions::default().n_max(3)));
        (recorder, engine.submit(request).expect("a place"))
    });
    let asked: Vec<_> = asked.collect();
    let answered = asked.into_iter().map(|(mut recorder, answer)| {
        for event in answer {
            match event {
                Event::Token { token, .. } => recorder.push(&token),
                Event::End(end) => return recorder.finish(Some(end.reason), end.logits_hash),
                _ => {}
            }
        }
        panic!("an answer without an end")
    });
    answered.collect()
}

fn replay(
    executable: &Arc<Executable>,
    receipt: &Receipt,
    threads: usize,
    drafts: usize,
) -> Verdict {
    let options = SessionOptions::default()
        .context(receipt.context() + drafts)
        .threads(threads)
        .rollback(if drafts > 0 { drafts + 1 } else { 0 });
    let session = Session::new(executable.clone(), &options).expect("a session");
    let draft = (drafts > 0).then(|| DraftOptions::default().n_max(drafts));
    let options = GenerateOptions::default();
    let replay = Replay::new(receipt, session, &tokenizer(), draft, options);
    replay.expect("a replay").run(|_| {}).expect("a verdict")
}

#[test]
fn an_answer_in_company_is_proven_alone_with_drafts_and_without() {
    let executable = executable(DType::F16);
    let ends: Vec<u32> = (0..500).step_by(9).collect();
    for ends in [&[][..], &ends] {
        for draft in [false, true] {
            let all = receipts(&executable, draft, ends);
            assert_eq!(all.iter().any(|r| r.end.is_some()), !ends.is_empty());
            for receipt in all {
                let text = serde_json::to_string(&receipt).expect("JSON");
                let read: Receipt = serde_json::from_str(&text).expect("a receipt");
                assert_eq!(read, receipt);
                let rows = read.ids.len() + usize::from(read.end.is_some());
                for (threads, drafts) in [(1, 0), (2, 0), (2, 3)] {
                    let verdict = replay(&executable, &read, threads, drafts);
                    assert_eq!(verdict, Verdict::Same { rows });
                }
            }
        }
    }
}

/// Forms of all kinds in which a receipt can have one.
fn forms() -> Vec<Form> {
    let schema = serde_json::json!({
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 0.5}, "b": {"enum": ["x", "\u{1F600}"]}},
        "required": ["b"],
    });
    let grammars = vec![
        Grammar::json_schema(schema),
        Grammar::Regex("[a-f]{3,30}".into()),
        Grammar::Gbnf("root ::= \"a\" root | \"b\"".into()),
    ];
    let any = Grammar::AnyOf(grammars.clone());
    let start = |grammar| Form::default().plan(Some(Plan::default().start(Some(grammar))));
    let mut forms: Vec<Form> = grammars.into_iter().map(start).collect();
    let behind = Grammar::BehindBreaks(Box::new(any));
    let plan = Plan::default().required(true);
    let plan = plan.marks(vec![("</think>".into(), behind)]);
    let (tokens, begun) = (5, true);
    let budget = ReasoningBudget { tokens, begun };
    forms.push(Form::default().plan(Some(plan)).reasoning(Some(budget)));
    forms
}

#[test]
fn an_answer_under_a_form_is_proven_with_the_form_in_its_receipt() {
    let executable = executable(DType::F16);
    let ends = tokenizer().end_of_text_ids().to_vec();
    for form in forms() {
        for draft in [false, true] {
            for receipt in receipts_under(&form, &executable, draft, &ends) {
                let text = serde_json::to_string(&receipt).expect("JSON");
                let read: Receipt = serde_json::from_str(&text).expect("a receipt");
                assert_eq!(read, receipt);
                let rows = read.ids.len() + usize::from(read.end.is_some());
                for (threads, drafts) in [(1, 0), (2, 3)] {
                    let verdict = replay(&executable, &read, threads, drafts);
                    assert_eq!(verdict, Verdict::Same { rows }, "{text}");
                }
                let mut free = read;
                free.form = None;
                let verdict = replay(&executable, &free, 1, 0);
                assert!(matches!(verdict, Verdict::Differs(_)), "{verdict:?}");
            }
        }
    }
}

#[test]
fn a_receipt_of_another_model_or_cache_is_refused() {
    let receipt = receipts(&executable(DType::F16), false, &[]).remove(0);
    for other in [
        executable(DType::F32),
        compile(&model("micro-dense-f32"), DType::F16),
    ] {
        let error = receipt.check(&other).expect_err("a refusal");
        assert!(error.to_string().contains("another model"), "{error}");
    }
    assert!(receipt.check(&executable(DType::F16)).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_first_thing_that_was_changed_is_found(which in 0usize..6, place in 0usize..20, what in 0..4) {
        let executable = executable(DType::F16);
        let mut receipt = receipts(&executable, false, &[]).remove(which);
        let place = place % receipt.ids.len();
        let verdict = match what {
            0 => {
                receipt.ids[place] ^= 1;
                replay(&executable, &receipt, 1, 0)
            }
            1 => {
                receipt.logits[place].0[7] ^= 1;
                replay(&executable, &receipt, 1, 0)
            }
            2 => {
                receipt.ids.truncate(place);
                receipt.logits.truncate(place);
                // A shorter answer is one too.
                let rows = place;
                prop_assert_eq!(replay(&executable, &receipt, 1, 0), Verdict::Same { rows });
                return Ok(());
            }
            _ => {
                let at = place % receipt.prompt.len();
                receipt.prompt[at] ^= 1;
                let verdict = replay(&executable, &receipt, 1, 0);
                let Verdict::Differs(found) = verdict else {
                    panic!("{verdict:?}");
                };
                prop_assert_eq!(found.token, 0);
                let logits = matches!(found.what, What::Logits { .. });
                prop_assert!(logits);
                return Ok(());
            }
        };
        let Verdict::Differs(found) = verdict else {
            panic!("{verdict:?}");
        };
        prop_assert_eq!(found.token, place);
        prop_assert_eq!(found.position, receipt.prompt.len() + place);
    }
}
