//! The real Qwen3.6-27B-MTP file, for those who have it: `SHARPI_MTP_27B` is its path. README,
//! "Captures", says how the fixture that goes with it is made.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, thread};

use serde::Deserialize;
use sharpi_compile::generate::{
    DraftOptions, GenerateOptions, Generator, MtpDrafter, Sampler, SamplerOptions,
};
use sharpi_compile::ir::DType;
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::parity::Capture;
use sharpi_compile::{CompileOptions, Executable, Model, Session, SessionOptions};

/// Ids that must be identical, from the first.
const IDS: usize = 60;
/// Context for a prompt and what follows.
const CONTEXT: usize = 512;

/// What is known of the file.
#[derive(Deserialize)]
struct Facts {
    tensors: usize,
    block_count: usize,
    nextn_predict_layers: usize,
    raw_prompt: String,
    raw_prompt_ids: Vec<u32>,
    chat_prompt_ids: Vec<u32>,
    continuation_prefix: String,
    min_match_bytes: usize,
}

#[test]
fn mtp_greedy_parity_llama_cpp() {
    let (Some(model), Some(captures)) = (model(), captures()) else {
        return;
    };
    for capture in &captures {
        let executable = compile(&model, capture.cache_type);
        for n_max in [0, 2] {
            let prompt = &capture.prompt_ids;
            let ids = greedy(&model, &executable, prompt, capture.ignore_eos, n_max);
            assert_identical(&ids, capture, &format!("with n-max {n_max}"));
        }
    }
}

#[test]
fn the_27b_file_is_as_it_is_known() {
    let Some(model) = model() else { return };
    let (facts, hparams) = (facts(), model.hparams().expect("hyperparameters"));
    assert_eq!(model.gguf().tensors().len(), facts.tensors);
    assert_eq!(hparams.mtp_blocks, facts.nextn_predict_layers);
    let blocks = hparams.blocks.len() + hparams.mtp_blocks;
    assert_eq!(blocks, facts.block_count);
}

#[test]
fn prompts_of_the_27b_file_have_the_ids_of_llama_cpp() {
    let Some(model) = model() else { return };
    let (facts, tokenizer) = (facts(), model.tokenizer().expect("a tokeniser"));
    assert_eq!(
        tokenizer.encode(&facts.raw_prompt, true),
        facts.raw_prompt_ids
    );
    let chat = tokenizer.decode(&facts.chat_prompt_ids, true);
    assert_eq!(
        tokenizer.encode(&chat, true),
        facts.chat_prompt_ids,
        "{chat:?}"
    );
}

#[test]
fn the_27b_file_continues_a_chat_as_llama_cpp_did() {
    let Some(model) = model() else { return };
    let (facts, tokenizer) = (facts(), model.tokenizer().expect("a tokeniser"));
    let executable = compile(&model, DType::F16);
    let ids = greedy(&model, &executable, &facts.chat_prompt_ids, false, 0);
    let text = tokenizer.decode(&ids, true);
    let pairs = text.bytes().zip(facts.continuation_prefix.bytes());
    let same = pairs.take_while(|(ours, theirs)| ours == theirs).count();
    assert!(
        same >= facts.min_match_bytes,
        "{same} bytes are the same, expected {}: {text:?}",
        facts.min_match_bytes
    );
}

/// Fails unless the first [`IDS`] ids are those of the capture.
#[track_caller]
fn assert_identical(ids: &[u32], capture: &Capture, how: &str) {
    let pairs = ids.iter().zip(&capture.ids);
    let same = pairs.take_while(|(ours, theirs)| ours == theirs).count();
    println!("{capture}: {same} ids are identical {how}");
    assert!(
        same >= IDS,
        "{capture}: {same} ids are identical {how}, expected {IDS}; then came {:?} for {:?}",
        ids.get(same),
        capture.ids.get(same)
    );
}

/// The ids that follow a prompt, somewhat more than are compared.
fn greedy(
    model: &Model,
    executable: &Arc<Executable>,
    prompt: &[u32],
    ignore_eos: bool,
    n_max: usize,
) -> Vec<u32> {
    let options = SessionOptions::default()
        .context(CONTEXT)
        .threads(thread::available_parallelism().map_or(1, usize::from))
        .rollback(1 + n_max);
    let session = Session::new(executable.clone(), &options).expect("a session");
    let options = GenerateOptions::default()
        .max_tokens(Some(IDS + 4))
        .end_of_text(model.tokenizer().unwrap().end_of_text_ids().to_vec())
        .ignore_eos(ignore_eos);
    let sampler = Sampler::new(SamplerOptions::default());
    let tokens = match n_max {
        0 => Generator::new(session, sampler, prompt, options),
        _ => {
            let draft = DraftOptions::default().n_max(n_max);
            let drafter = MtpDrafter::new(&session, draft).expect("a head");
            Generator::with_drafting(session, sampler, drafter, prompt, options)
        }
    };
    let tokens = tokens.expect("a generator");
    tokens.map(|token| token.expect("a token").id).collect()
}

fn compile(model: &Model, cache: DType) -> Arc<Executable> {
    let options = CompileOptions::default().lower(
        LowerOptions::default()
            .cache_k(cache)
            .cache_v(cache)
            .max_tokens(CONTEXT),
    );
    Arc::new(model.compile(&options).expect("a compiled model"))
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

fn facts() -> Facts {
    let facts = fs::read_to_string(fixture("mtp_27b.facts.json")).expect("the facts");
    serde_json::from_str(&facts).expect("facts of the form expected")
}

/// The model; without it a test says why it is skipped.
fn model() -> Option<Model> {
    let Some(path) = env::var_os("SHARPI_MTP_27B").map(PathBuf::from) else {
        println!("skipped: set SHARPI_MTP_27B to the path of Qwen3.6-27B-MTP-Q4_K_M.gguf");
        return None;
    };
    if !path.is_file() {
        println!(
            "skipped: SHARPI_MTP_27B is {}, which is no file",
            path.display()
        );
        return None;
    }
    Some(Model::open(path).unwrap_or_else(|e| panic!("{e}")))
}

/// What llama.cpp did without drafting; without it a test says why it is skipped.
fn captures() -> Option<Vec<Capture>> {
    let path = fixture("mtp_parity_27b.json");
    if !path.is_file() {
        println!("skipped: there is no fixtures/mtp_parity_27b.json; README, \"Captures\"");
        return None;
    }
    let mut captures = Capture::read_all(&path).unwrap_or_else(|e| panic!("{e}"));
    captures.retain(|capture| capture.n_draft_max == 0);
    assert!(!captures.is_empty(), "no capture without drafting");
    Some(captures)
}
