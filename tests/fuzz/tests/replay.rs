//! Every seed, among them all that was ever found, is taken without a panic.
#![allow(missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

/// The files in a folder and those in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of seeds");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let found = paths.map(|path| match path.is_dir() {
        true => files(&path),
        false => vec![path],
    });
    found.flatten().collect()
}

#[track_caller]
fn replay(name: &str, folder: &str) {
    let (_, check) = (sharpi_fuzz::TARGETS
        .iter()
        .find(|(target, _)| *target == name))
    .expect("a target of that name");
    let seeds = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    assert!(!seeds.is_empty(), "no seeds in {folder}");
    for seed in seeds {
        // Shown if it panics.
        println!("{}", seed.display());
        check(&fs::read(&seed).expect("a readable seed"));
    }
}

#[test]
fn model_files_of_all_kinds_are_taken() {
    replay("gguf", "seeds/gguf");
}

#[test]
fn vocabularies_of_all_kinds_are_taken() {
    replay("vocabulary", "seeds/vocabulary");
}

#[test]
fn graphs_of_all_kinds_are_taken() {
    replay("sir", "seeds/sir");
    replay("sir", "../../fixtures/filetests");
}

#[test]
fn golden_files_of_all_kinds_are_taken() {
    replay("golden", "seeds/golden");
}

#[test]
fn chat_templates_of_all_kinds_are_taken() {
    replay("template", "seeds/template");
    replay("template", "../../src/chat/src/template/named");
}

#[test]
fn answers_of_all_kinds_are_taken_apart_alike_however_they_are_cut() {
    replay("answer", "seeds/answer");
}

#[test]
fn requests_of_all_kinds_are_answered() {
    replay("requests", "seeds/requests");
}
