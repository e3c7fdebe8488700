//! `run --prompt-cache`: what has been read once is not read again, and changes nothing.

use serde_json::Value;

use crate::{fails, json, sharpi, stderr};

/// `run` with a cache file in a folder.
fn run(folder: &tempfile::TempDir, args: &str) -> (Value, String) {
    let path = folder.path().join("conversation.prompt");
    let args = format!("run --json --prompt-cache {} {args}", path.display());
    let mut command = sharpi(&args);
    let output = command.assert().success().get_output().clone();
    let record = serde_json::from_slice(&output.stdout).expect("JSON");
    (record, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn alone(args: &str) -> Value {
    json(sharpi(&format!("run --json {args}")))["ids"].clone()
}

const FIRST: &str = "--ids 870,25,11,300,5,7,19 -n 6 --ignore-eos";

#[test]
fn a_second_turn_goes_on_from_the_file_with_the_same_ids() {
    for drafting in ["", " --spec-type draft-mtp"] {
        let folder = tempfile::tempdir().unwrap();
        let first = format!("{FIRST} --prompt-cache-all{drafting}");
        let (record, told) = run(&folder, &first);
        assert!(!told.contains("remembered"), "{told}");
        assert_eq!(record["ids"], alone(FIRST));
        let ids = record["ids"].as_array().unwrap().iter();
        let ids: Vec<String> = ids.map(Value::to_string).collect();
        let second = format!(
            "--ids 870,25,11,300,5,7,19,{},41,42 -n 5 --ignore-eos",
            ids.join(",")
        );
        let (record, told) = run(&folder, &format!("{second}{drafting}"));
        assert!(
            told.contains(" of 15 tokens of the prompt, from "),
            "{told}"
        );
        assert_eq!(record["ids"], alone(&second));
    }
}

#[test]
fn the_same_prompt_again_reads_nothing_and_a_file_for_reading_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = run(&folder, FIRST);
    let path = folder.path().join("conversation.prompt");
    let written = std::fs::read(&path).unwrap();
    let (again, told) = run(&folder, &format!("{FIRST} --prompt-cache-ro"));
    assert!(told.contains("remembered: 7 of 7 tokens"), "{told}");
    assert_eq!(again["ids"], first["ids"]);
    assert_eq!(std::fs::read(&path).unwrap(), written);
    let (_, told) = run(&folder, "--ids 5,5,5 -n 2 --prompt-cache-ro");
    assert!(
        told.contains("7 tokens that do not help with this prompt"),
        "{told}"
    );
}

#[test]
fn a_file_that_ends_behind_one_drafted_token_gives_the_token_that_follows_it() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = run(
        &folder,
        "--ids 870,25,11 -n 1 --ignore-eos --prompt-cache-all --spec-type draft-mtp",
    );
    let next = format!("--ids 870,25,11,{} -n 3 --ignore-eos", first["ids"][0]);
    assert_eq!(run(&folder, &next).0["ids"], alone(&next));
}

#[test]
fn a_damaged_file_is_written_anew_and_one_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = run(&folder, FIRST);
    let path = folder.path().join("conversation.prompt");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let (again, told) = run(&folder, FIRST);
    assert!(
        told.contains("its checksum does not hold; it is written anew"),
        "{told}"
    );
    assert_eq!(again["ids"], first["ids"]);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    std::fs::write(&path, "a diary").unwrap();
    let command = format!("run --prompt-cache {} {FIRST}", path.display());
    fails(
        sharpi(&command),
        1,
        &["this is no saved session", "--prompt-cache"],
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"a diary");
}

#[test]
fn a_file_of_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(&folder, "--ids 7,25,11,300 -n 2");
    let path = folder.path().join("conversation.prompt");
    let with = |ids: &str| {
        let model = "-m fixtures/models/micro-dense-f32.gguf";
        format!(
            "run {model} --prompt-cache {} --ids {ids} -n 1",
            path.display()
        )
    };
    fails(
        sharpi(&with("7,25,11,300,4")),
        1,
        &["another model", "--prompt-cache"],
    );
    assert!(stderr(&with("7,26")).contains("do not help with this prompt"));
}
