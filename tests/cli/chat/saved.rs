//! Conversations in files.

use std::fs;

use serde_json::{Value, json};
use tempfile::tempdir;

use super::{FIRST, GREEDY, SECOND, fails_at, talk};

#[test]
fn a_saved_conversation_goes_on_where_it_was() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("talk.json");
    let name = file.to_str().unwrap();
    let (first, _) = talk(
        &GREEDY,
        &format!("/system Speak in verse.\n{FIRST}/save {name}\n/clear\n"),
    );
    let saved: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(saved["system"], "Speak in verse.");
    assert_eq!(saved["params"]["temp"], json!(0.0));
    let roles: Vec<_> = saved["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| &m["role"])
        .collect();
    assert_eq!(roles, ["user", "assistant"]);
    assert_eq!(
        format!("{}\n", saved["messages"][1]["content"].as_str().unwrap()),
        first
    );
    // The temperature is the file's again.
    let (on, _) = talk(
        &["--temp", "2"],
        &format!("/load {name}\n{SECOND}/save {name}\n"),
    );
    let whole = talk(
        &GREEDY,
        &format!("/system Speak in verse.\n{FIRST}{SECOND}"),
    )
    .0;
    assert_eq!(first + &on, whole);
    let saved: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(saved["messages"].as_array().unwrap().len(), 4);
}

#[test]
fn a_file_that_is_no_conversation_is_refused_with_the_place_and_left_alone() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("talk.json");
    let name = file.to_str().unwrap();
    talk(&GREEDY, &format!("{FIRST}/save {name}\n"));
    let good: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let wrong = |change: &dyn Fn(&mut Value), words: &[&str]| {
        let mut bad = good.clone();
        change(&mut bad);
        fs::write(&file, bad.to_string()).unwrap();
        fails_at(&format!("/load {name}\n"), 1, words);
    };
    wrong(
        &|v| v["messages"][1]["role"] = json!("robot"),
        &["messages[1].role", "robot", "line 1"],
    );
    wrong(
        &|v| v["messages"][0]["content"] = json!(3),
        &["messages[0].content", "3"],
    );
    wrong(
        &|v| v["messages"][0]["role"] = json!("assistant"),
        &["messages[0].role", "expected user"],
    );
    wrong(
        &|v| drop(v["messages"].as_array_mut().unwrap().pop()),
        &["messages[0]", "answer"],
    );
    wrong(
        &|v| v["params"]["temp"] = json!(-1),
        &["params.temp", "0 or more"],
    );
    wrong(&|v| v["params"]["tmep"] = json!(1), &["params", "tmep"]);
    wrong(
        &|v| v["sharpi_chat"] = json!(9),
        &["sharpi_chat", "version 9"],
    );
    fs::write(&file, "{\"sharpi_chat\": 1,").unwrap();
    fails_at(&format!("/load {name}\n"), 1, &["EOF", "line 1 column"]);
    fs::write(&file, "poems").unwrap();
    fails_at(
        &format!("/save {name}\n"),
        1,
        &["is there already", "name another"],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "poems");
    fails_at("/load /nowhere/talk.json\n", 1, &["/nowhere/talk.json"]);
    fails_at("/save /nowhere/talk.json\n", 1, &["/nowhere/talk.json"]);
}
