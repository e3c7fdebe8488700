//! MTP heads with an embedding table or an output matrix of their own.

mod support;

use std::sync::Arc;

use sharpi_compile::generate::{
    DraftOptions, GenerateOptions, Generator, MtpDrafter, Sampler, SamplerOptions,
};
use sharpi_compile::gguf::Gguf;
use sharpi_compile::gguf::write::Writer;
use sharpi_compile::ir::DType;
use sharpi_compile::{Executable, Model};
use support::{compile, fixtures, session};

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
    let options = DraftOptions {
        n_max: 1,
        ..DraftOptions::default()
    };
    let drafter = Box::new(MtpDrafter::new(&session, options).expect("a head"));
    let sampler = Sampler::new(SamplerOptions::default());
    let options = GenerateOptions {
        max_tokens: Some(24),
        ..GenerateOptions::default()
    };
    let mut generator =
        Generator::with_drafter(session, sampler, drafter, &[3, 1, 4], options).unwrap();
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
