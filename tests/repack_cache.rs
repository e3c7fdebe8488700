//! Weights that are kept in a folder as they are laid out, for the next start.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sharpi_compile::exec::{LoadError, LoadOptions, PrepareError};
use sharpi_compile::{CompileOptions, Error, Executable, Model};
use support::{families, feed, fixtures, session, synthetic};

fn compile(model: &Model, folder: Option<&Path>) -> Result<Arc<Executable>, Error> {
    let load = LoadOptions::default().cache(folder.map(Path::to_owned));
    let compiled = model.compile(&CompileOptions::default().load(load));
    compiled.map(Arc::new)
}

/// Whether the weights were found in a folder, and the bits of some logits.
fn run(model: &Model, folder: Option<&Path>) -> (bool, Vec<Vec<u32>>) {
    let executable = compile(model, folder).expect("an executable");
    let logits = feed(&mut session(&executable, 2), &[3, 1, 4, 1, 5, 9, 2, 6, 5]);
    let bits = |row: Vec<f32>| row.into_iter().map(f32::to_bits).collect();
    let logits = logits.into_iter().map(bits).collect();
    (executable.loading().cached, logits)
}

/// The files of a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("a file").path()).collect()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn tiny() -> PathBuf {
    fixtures().join("models/tiny-dense-Q4_K_M.gguf")
}

#[test]
fn the_second_start_maps_what_the_first_has_laid_out_to_the_same_bits() {
    for name in families() {
        let Some(model) = synthetic(name) else {
            continue;
        };
        let folder = folder();
        let (_, plain) = run(&model, None);
        assert_eq!(
            run(&model, Some(folder.path())),
            (false, plain.clone()),
            "{name}"
        );
        assert_eq!(run(&model, Some(folder.path())), (true, plain), "{name}");
        assert_eq!(files(folder.path()).len(), 1, "{name}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_made() {
    let folder = folder();
    let inner = folder.path().join("a/b");
    let model = Model::open(tiny()).expect("a model");
    assert!(!run(&model, Some(&inner)).0);
    assert!(run(&model, Some(&inner)).0);
}

#[test]
fn a_file_that_is_not_whole_is_written_anew() {
    let folder = folder();
    let model = Model::open(tiny()).expect("a model");
    let (_, plain) = run(&model, Some(folder.path()));
    let [file] = &files(folder.path())[..] else {
        panic!("one file");
    };
    let whole = fs::read(file).expect("weights");
    let mut without_end = whole.clone();
    without_end.truncate(whole.len() - 32);
    let mut other_end = whole.clone();
    *other_end.last_mut().expect("an end") ^= 1;
    for broken in [&without_end, &other_end, &Vec::new()] {
        fs::write(file, broken).expect("a file");
        assert_eq!(run(&model, Some(folder.path())), (false, plain.clone()));
        assert_eq!(fs::read(file).expect("weights"), whole);
        assert_eq!(run(&model, Some(folder.path())), (true, plain.clone()));
    }
}

#[test]
fn a_model_that_was_written_since_is_another() {
    let folder = folder();
    let file = folder.path().join("model.gguf");
    let cache = folder.path().join("cache");
    let mut bytes = fs::read(tiny()).expect("a model");
    fs::write(&file, &bytes).expect("a file");
    assert!(!run(&Model::open(&file).expect("a model"), Some(&cache)).0);
    assert!(run(&Model::open(&file).expect("a model"), Some(&cache)).0);
    // A byte of the last tensor, which no sample need hold.
    let at = bytes.len() - 777;
    bytes[at] ^= 1;
    fs::write(&file, &bytes).expect("a file");
    let model = Model::open(&file).expect("a model");
    let (cached, changed) = run(&model, Some(&cache));
    assert_eq!((cached, changed), (false, run(&model, None).1));
    assert_eq!(files(&cache).len(), 2);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_that_names_it() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "no folder").expect("a file");
    let model = Model::open(tiny()).expect("a model");
    let Err(error) = compile(&model, Some(&file)) else {
        panic!("a file is no folder");
    };
    assert!(
        error.to_string().contains("weights cannot be kept in"),
        "{error}"
    );
    assert!(matches!(
        error,
        Error::Prepare(PrepareError::Load(LoadError::Cache { path, .. })) if path.starts_with(&file)
    ));
}
