//! Drafts under a mask.

use serde_json::json;
use sharpi_compile::engine::{Engine, EngineOptions, Event, Request};
use sharpi_compile::generate::{DraftOptions, GenerateOptions, SamplerOptions};
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::{CompileOptions, Executable};

use super::*;

fn embedded() -> (Arc<Executable>, Arc<GuideVocabulary>) {
    let model = Model::embedded().expect("a model");
    let tokenizer = Arc::new(model.tokenizer().expect("a tokenizer"));
    let lower = LowerOptions::default().max_rows(16);
    let executable = model.compile(&CompileOptions::default().lower(lower));
    let vocabulary = GuideVocabulary::new(tokenizer).expect("a vocabulary");
    (
        Arc::new(executable.expect("compiled")),
        Arc::new(vocabulary),
    )
}

/// A text, how it ended, and how many drafts were made and held.
fn answer(
    engine: &Engine,
    guide: &Arc<Guide>,
    sampler: &SamplerOptions,
    draft: Option<DraftOptions>,
) -> (Vec<u32>, String, (usize, usize)) {
    let tokenizer = guide.vocabulary().tokenizer();
    let options = GenerateOptions::default()
        .max_tokens(Some(60))
        .end_of_text(tokenizer.end_of_text_ids().to_vec());
    let request = Request::default()
        .prompt(tokenizer.encode("ROMEO:\n", true))
        .options(options)
        .sampler(sampler.clone())
        .draft(draft)
        .remember(false)
        .mask(Some(guide.mask()));
    let mut ids = Vec::new();
    for event in engine.submit(request).expect("a request") {
        match event {
            Event::Token { token, .. } => ids.push(token.id),
            Event::End(end) => {
                assert!(end.error.is_none(), "{:?}", end.error);
                let rounds = &end.stats.rounds;
                let drafted = rounds.iter().map(|r| r.draft.len()).sum();
                let accepted = rounds.iter().map(|r| r.accepted).sum();
                return (ids, format!("{:?}", end.reason), (drafted, accepted));
            }
            _ => {}
        }
    }
    panic!("no end");
}

#[test]
fn under_a_mask_a_text_is_the_same_with_drafts_and_without() {
    let (executable, vocabulary) = embedded();
    let tokenizer = Arc::new(Model::embedded().unwrap().tokenizer().unwrap());
    let options = EngineOptions::default().context(256).drafts(3).parallel(2);
    let engine = Engine::start(executable, Some(tokenizer), options).expect("an engine");
    let schema = json!({
        "type": "object",
        "properties": {
            "speaker": {"type": "string", "maxLength": 12},
            "lines": {"type": "array", "items": {"type": "string", "maxLength": 24}, "maxItems": 3},
            "act": {"type": "integer", "minimum": 1, "maximum": 5},
        },
        "required": ["speaker", "lines", "act"],
        "additionalProperties": false,
    });
    let grammars = [
        Grammar::json_schema(schema),
        Grammar::Regex("([A-Z][a-z]{1,7}( [a-z]{1,7}){2,6}[.!?] ){3}".into()),
    ];
    let mut held = 0;
    for grammar in grammars {
        let guide = guide(&vocabulary, grammar).expect("a guide");
        for seed in 0..6 {
            let temp = if seed == 0 { 0.0 } else { 0.9 };
            let sampler = SamplerOptions::default().temp(temp).seed(seed);
            let plain = answer(&engine, &guide, &sampler, None);
            for draft in [
                DraftOptions::default().n_max(3),
                DraftOptions::default().n_max(2).adaptive(true),
            ] {
                let drafted = answer(&engine, &guide, &sampler, Some(draft));
                assert_eq!((&drafted.0, &drafted.1), (&plain.0, &plain.1), "{draft:?}");
                assert!(drafted.2.0 > 0 || draft.adaptive);
                held += drafted.2.1;
            }
        }
    }
    assert!(held > 100, "only {held} drafts held");
}
