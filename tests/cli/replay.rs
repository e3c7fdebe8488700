//! `run --receipt` and `replay`: an answer is made again, and what was changed is found.

use serde_json::Value;

use crate::{fails, json, sharpi};

/// A receipt in a folder.
fn receipt(folder: &tempfile::TempDir, args: &str) -> std::path::PathBuf {
    let path = folder.path().join("receipt.json");
    sharpi(&format!("run --receipt {} {args}", path.display()))
        .assert()
        .success();
    path
}

const SAMPLED: &str = "-p ROMEO: -n 20 --ignore-eos --temp 0.8 -s 7 --repeat-penalty 1.1";

#[test]
fn an_answer_is_the_same_with_other_threads_drafts_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        SAMPLED,
        "-p ROMEO: -n 4 --cache-type-k f32 --spec-type draft-mtp",
    ] {
        let path = receipt(&folder, args);
        for more in [
            "-t 1",
            "-t 2 --spec-type draft-mtp",
            "--skip-pass fuse-norm --no-repack",
        ] {
            let record = json(sharpi(&format!("replay --json {more} {}", path.display())));
            assert_eq!(record["same"], true, "{record}");
            let rows = record["rows"].as_u64().unwrap();
            assert!(
                rows >= record["tokens"].as_u64().unwrap() && rows > 0,
                "{record}"
            );
        }
    }
}

#[test]
fn what_was_changed_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = receipt(&folder, SAMPLED);
    let again = || sharpi(&format!("replay {}", path.display()));
    let sound: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let positions = sound["prompt"].as_array().unwrap().len();
    let mut changed = sound.clone();
    changed["ids"][3] = 5.into();
    std::fs::write(&path, changed.to_string()).unwrap();
    let place = format!("token 3 of the answer, at position {}: ", positions + 3);
    fails(again(), 3, &[&place, "in the receipt token 5"]);
    let mut changed = sound.clone();
    changed["sampler"]["temp"] = "warm".into();
    std::fs::write(&path, changed.to_string()).unwrap();
    fails(again(), 1, &["at sampler"]);
    let mut changed = sound;
    changed["model"]["weights"] = "0".repeat(64).into();
    std::fs::write(&path, changed.to_string()).unwrap();
    fails(again(), 1, &["of another model"]);
}

#[test]
fn a_text_that_is_held_to_a_grammar_is_proven_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = receipt(&folder, "--json-schema {} -p a -n 12 --temp 0.9 -s 3");
    let again = || sharpi(&format!("replay --json {}", path.display()));
    assert_eq!(json(again())["same"], true);
    let mut changed: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    changed["form"]["plan"]["start"] = serde_json::json!({"regex": "[a-"});
    std::fs::write(&path, changed.to_string()).unwrap();
    fails(again(), 1, &["the form of the answer: "]);
}
