//! What the numbers tests share: reference captures, models, and sessions.
#![allow(dead_code, missing_docs)]

pub mod older;
pub mod requantise;
pub mod rewrite;
pub mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sharpi_compile::gguf::Gguf;
use sharpi_compile::ir::DType;
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::parity::Capture;
use sharpi_compile::synth::{Preset, Synth};
use sharpi_compile::{CompileOptions, Executable, Input, Model, Session, SessionOptions};

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Folders with `models/` and `golden/`: the fixtures, and a larger set where
/// `SHARPI_REFERENCE_DIR` names one.
pub fn reference_dirs() -> Vec<PathBuf> {
    let more = std::env::var_os("SHARPI_REFERENCE_DIR").map(PathBuf::from);
    std::iter::once(fixtures()).chain(more).collect()
}

/// Every captured model: its name, its file or what it is made of, its captures.
pub fn captured_models() -> Vec<(String, Model, Vec<Capture>)> {
    let mut models: Vec<(String, Model, Vec<Capture>)> = Vec::new();
    for dir in reference_dirs() {
        let golden = std::fs::read_dir(dir.join("golden")).expect("a golden folder");
        let mut files: Vec<PathBuf> = golden.map(|e| e.unwrap().path()).collect();
        files.sort();
        for file in files {
            let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
            if stem.contains('.') || models.iter().any(|(name, ..)| *name == stem) {
                continue;
            }
            if let Some(model) = open(&dir, &stem) {
                let captures = Capture::read_all(&file).unwrap_or_else(|e| panic!("{e}"));
                models.push((stem, model, captures));
            }
        }
    }
    models
}

/// The model of that name, or of what is before `-cache`, as captures with quantised caches have it: a
/// file, a simple type derived from the f32 file, or a made-up one. `None` where the file's types have no
/// kernel.
fn open(dir: &Path, name: &str) -> Option<Model> {
    let name = name.strip_suffix("-cache").unwrap_or(name);
    let file = dir.join("models").join(format!("{name}.gguf"));
    let model = match file.exists() {
        true => Model::open(file).expect("a model"),
        false => requantise::derived(name)
            .or_else(|| synthetic(name))
            .unwrap_or_else(|| panic!("no model for {name}")),
    };
    match model.lower(&LowerOptions::default()) {
        Ok(_) => Some(model),
        Err(e) if e.is_unsupported() => {
            println!("{name}: skipped, {e}");
            None
        }
        Err(e) => panic!("{name}: {e}"),
    }
}

/// The names of the small models of all architectures.
pub fn families() -> impl Iterator<Item = &'static str> {
    let small = Preset::ALL.into_iter().filter(|preset| preset.is_micro());
    small.map(Preset::name)
}

/// The made-up model of that name, by its preset; with `-joint` behind it as older converters wrote it.
pub fn synthetic(name: &str) -> Option<Model> {
    synthetic_gguf(name).map(Model::from_gguf)
}

pub fn synthetic_gguf(name: &str) -> Option<Gguf> {
    if let Some(name) = name.strip_suffix("-joint") {
        let joint = older::joint(&synthetic_gguf(name)?);
        return Some(Gguf::from_bytes(joint).expect("a model"));
    }
    let preset = Preset::named(name)?;
    let synth = Synth {
        hparams: preset.hparams(),
        weights: preset.weights(1.0),
        seed: 0,
    };
    let mut bytes = Vec::new();
    let writer = synth.writer().expect("whole blocks");
    writer.write(&mut bytes).expect("a model in memory");
    Some(Gguf::from_bytes(bytes).expect("a model"))
}

pub fn model(name: &str) -> Model {
    open(&fixtures(), name).expect("a supported model")
}

pub fn compile(model: &Model, cache: DType) -> Arc<Executable> {
    let options =
        CompileOptions::default().lower(LowerOptions::default().cache_k(cache).cache_v(cache));
    Arc::new(model.compile(&options).expect("a compiled model"))
}

pub fn session(executable: &Arc<Executable>, threads: usize) -> Session {
    let options = SessionOptions::default()
        .context(512)
        .threads(threads)
        .rollback(16);
    Session::new(executable.clone(), &options).expect("a session")
}

/// Feeds tokens in one run; logits of every token, one row each.
pub fn feed(session: &mut Session, ids: &[u32]) -> Vec<Vec<f32>> {
    let start = session.position("trunk") as i32;
    let pos: Vec<i32> = (start..start + ids.len() as i32).collect();
    let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    let most = session.executable().max_rows();
    let rows: Vec<i32> = (0..ids.len() as i32).collect();
    assert!(rows.len() <= most, "feed at most {most} tokens at once");
    let outputs = session
        .run(
            "trunk",
            &[
                ("ids", Input::I32(&ids)),
                ("pos", Input::I32(&pos)),
                ("rows", Input::I32(&rows)),
            ],
        )
        .expect("a run");
    let logits = outputs.get("logits").expect("logits");
    logits
        .chunks_exact(logits.len() / ids.len())
        .map(<[f32]>::to_vec)
        .collect()
}
