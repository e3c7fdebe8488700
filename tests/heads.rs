//! MTP heads with an embedding table or an output matrix of their own, or with logits of some ids.

mod support;

use std::sync::Arc;

use sharpi_compile::exec::LoadOptions;
use sharpi_compile::generate::{
    DraftOptions, GenerateOptions, Generator, MtpDrafter, Sampler, SamplerOptions,
};
use sharpi_compile::gguf::Gguf;
use sharpi_compile::gguf::write::Writer;
use sharpi_compile::ir::DType;
use sharpi_compile::lower::{DraftVocabulary, LowerOptions};
use sharpi_compile::{CompileOptions, Executable, Input, Model};
use support::{compile, fixtures, model, session};

const MODELS: [&str; 2] = ["micro-dense-f32", "micro-moe-f32"];

/// The model whose head has a copy of a trunk tensor under a name of its own, the rows moved on by
/// `turn`.
fn with_own(name: &str, of: &str, own: &str, turn: usize) -> Model {
    let file = fixtures().join("models").join(format!("{name}.gguf"));
    let source = Gguf::open(file).expect("a model");
    let mut writer = Writer::new();
    for (key, value) in source.metadata() {
        writer.metadata(key.clone(), value.clone());
    }
    for (name, tensor) in source.tensors() {
        let data = source.data(tensor).to_vec();
        writer.tensor(name.clone(), tensor.ty, &tensor.dims, data);
    }
    let tensor = source.tensor(of).expect("a tensor of the trunk");
    let mut data = source.data(tensor).to_vec();
    let row = data.len() / tensor.dims[1] as usize;
    data.rotate_right(turn * row);
    let mtp = source
        .tensors()
        .keys()
        .find_map(|n| n.strip_suffix(".nextn.eh_proj.weight"));
    let own = format!("{}.nextn.{own}.weight", mtp.expect("a head"));
    writer.tensor(own, tensor.ty, &tensor.dims, data);
    let mut bytes = Vec::new();
    writer.write(&mut bytes).expect("a model in memory");
    Model::from_gguf(Gguf::from_bytes(bytes).expect("a sound file"))
}

/// The text and the first draft of each round.
fn drafted(executable: &Arc<Executable>) -> (Vec<u32>, Vec<u32>) {
    let session = session(executable, 1);
    let options = DraftOptions::default().n_max(1);
    let drafter = MtpDrafter::new(&session, options).expect("a head");
    let sampler = Sampler::new(SamplerOptions::default());
    let options = GenerateOptions::default().max_tokens(Some(24));
    let mut generator =
        Generator::with_drafting(session, sampler, drafter, &[3, 1, 4], options).unwrap();
    let ids = generator.by_ref().map(|t| t.unwrap().id).collect();
    let first = |r: &sharpi_compile::generate::Round| r.draft.first().map(|d| d.0);
    (ids, generator.rounds().iter().filter_map(first).collect())
}

/// The tensor that the head's logits come from.
fn output(name: &str) -> &'static str {
    let model = support::model(name);
    match model.gguf().tensor("output.weight") {
        Some(_) => "output.weight",
        None => "token_embd.weight",
    }
}

#[test]
fn a_copy_of_the_shared_tensors_drafts_as_they_do() {
    for name in MODELS {
        let shared = drafted(&compile(&support::model(name), DType::F16));
        for (of, own) in [
            ("token_embd.weight", "embed_tokens"),
            (output(name), "shared_head_head"),
        ] {
            let model = with_own(name, of, own, 0);
            assert_eq!(
                drafted(&compile(&model, DType::F16)),
                shared,
                "{name}, {own}"
            );
        }
    }
}

#[test]
fn a_head_drafts_with_its_own_output_matrix() {
    for name in MODELS {
        let (text, shared) = drafted(&compile(&support::model(name), DType::F16));
        let model = with_own(name, output(name), "shared_head_head", 1);
        let (same, own) = drafted(&compile(&model, DType::F16));
        assert_eq!(same, text, "{name}: the text does not depend on the head");
        // Every row stands one further down, and so does the best.
        let next = |id: &u32| (id + 1) % 512;
        assert_eq!(own, shared.iter().map(next).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn a_head_drafts_with_its_own_embedding_table() {
    for name in MODELS {
        let (text, shared) = drafted(&compile(&support::model(name), DType::F16));
        let model = with_own(name, "token_embd.weight", "embed_tokens", 1);
        let executable = compile(&model, DType::F16);
        let (same, own) = drafted(&executable);
        assert_eq!(same, text, "{name}: the text does not depend on the head");
        assert_ne!(own, shared, "{name}");
        let weights = executable.module().symbols.weights();
        let table = |source: &str| source.ends_with(".nextn.embed_tokens.weight");
        assert!(weights.into_iter().any(|(_, _, w)| table(&w.source)));
    }
}

/// A model whose head gives logits of some ids.
fn of_ids(model: &Model, ids: Option<DraftVocabulary>, repack: bool) -> Arc<Executable> {
    let options = CompileOptions::default()
        .lower(LowerOptions::default().draft_vocabulary(ids))
        .load(LoadOptions::default().repack(repack));
    Arc::new(model.compile(&options).expect("a compiled model"))
}

/// The head's logits of three rows.
fn logits(executable: &Arc<Executable>) -> Vec<Vec<f32>> {
    let mut session = session(executable, 2);
    let h: Vec<f32> = (0..3 * 256).map(|i| (i as f32).sin()).collect();
    let width = h.len() / 3;
    assert_eq!(width, 256, "of the models here");
    let outputs = session.run(
        "mtp",
        &[
            ("ids", Input::I32(&[3, 1, 4])),
            ("h", Input::F32(&h)),
            ("pos", Input::I32(&[0, 1, 2])),
            ("rows", Input::I32(&[0, 1, 2])),
        ],
    );
    let outputs = outputs.expect("a run");
    let logits = outputs.get("logits").expect("logits");
    (logits.chunks_exact(logits.len() / 3).map(<[f32]>::to_vec)).collect()
}

#[test]
fn logits_of_some_ids_have_the_bits_of_those_among_all() {
    let lists = [
        (0..77).collect::<Vec<u32>>(),
        (0..500).filter(|id| id % 7 != 3).collect(),
        vec![400, 2, 17],
    ];
    for name in ["micro-dense-f32", "tiny-dense-Q4_K_M", "tiny-moe-Q4_K_M"] {
        let model = model(name);
        let all = logits(&of_ids(&model, None, true));
        for repack in [true, false] {
            for list in &lists {
                let ids = Some(DraftVocabulary::Ids(list.clone()));
                let some = logits(&of_ids(&model, ids, repack));
                let mut list = list.clone();
                list.sort_unstable();
                for (all, some) in all.iter().zip(some) {
                    let expected: Vec<f32> = list.iter().map(|id| all[*id as usize]).collect();
                    assert!(some == expected, "{name}, {} ids", list.len());
                }
            }
            let first = of_ids(&model, Some(DraftVocabulary::First(77)), repack);
            let cut: Vec<Vec<f32>> = all.iter().map(|row| row[..77].to_vec()).collect();
            assert!(logits(&first) == cut, "{name}, the first 77");
        }
    }
}

#[test]
fn the_first_ids_take_no_memory_of_their_own() {
    let model = model("tiny-dense-Q4_K_M");
    let bytes = |ids| of_ids(&model, ids, true).loading().bytes;
    let all = bytes(None);
    assert_eq!(bytes(Some(DraftVocabulary::First(1000))), all);
    assert!(bytes(Some(DraftVocabulary::Ids(vec![5, 9]))) > all);
}

#[test]
fn special_tokens_at_the_end_are_drafted_only_when_listed() {
    let model = model("tiny-dense-Q4_K_M");
    let count = |ids| {
        let executable = of_ids(&model, Some(ids), true);
        executable.logit_ids("mtp").expect("a choice").len()
    };
    let special = model.tokenizer().unwrap().end_of_text_ids().to_vec();
    let ordinary = count(DraftVocabulary::First(usize::MAX));
    assert!(
        special.iter().all(|id| *id as usize >= ordinary),
        "{ordinary}"
    );
    assert!(ordinary < 2048);
    assert_eq!(count(DraftVocabulary::Ids(special.clone())), special.len());
}
