//! `parity capture`: golden files from a server that answers as llama-server did. The answers in
//! `fixtures/llama_server` were given by one that ran tiny-dense-Q8_0, with fields left out that
//! are not read.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};
use sharpi_compile::ir::DType;
use sharpi_compile::parity::Capture;
use tempfile::tempdir;

use super::fake_server::FakeServer;
use super::{fails, json, sharpi, stdout};

const PROPS: &str = include_str!("../../fixtures/llama_server/props.json");
const COMPLETION: &str = include_str!("../../fixtures/llama_server/completion.json");
const DRAFTED: &str = include_str!("../../fixtures/llama_server/completion_drafted.json");
const IDS: [u32; 8] = [1178, 11, 1881, 11, 300, 386, 263, 303];

/// A server that gives this answer to /completion.
fn answering(path: &str, completion: &str) -> Option<(u16, String)> {
    let (status, body) = match path {
        "/props" => (200, PROPS),
        "/tokenize" => (200, r#"{"tokens":[870,25]}"#),
        "/completion" => (200, completion),
        "/detokenize" => (200, r#"{"content":" Romeo, Juliet, and thy wan"}"#),
        _ => (404, "{}"),
    };
    Some((status, body.into()))
}

/// The recorded answer after a change.
fn changed(change: fn(&mut Value)) -> String {
    let mut answer = serde_json::from_str(COMPLETION).unwrap();
    change(&mut answer);
    answer.to_string()
}

fn capture(url: &str, options: &str, output: &Path) -> Command {
    let mut command = sharpi("parity capture --prompt ROMEO:");
    command.args(["--url", url, "-o"]).arg(output);
    command.args(options.split_whitespace());
    command
}

/// Runs a capture that fails and checks what is said, and that no file is left behind.
#[track_caller]
fn capture_fails(url: &str, options: &str, words: &[&str]) {
    let folder = tempdir().unwrap();
    let output = folder.path().join("golden.json");
    fails(capture(url, options, &output), 1, words);
    assert!(!output.exists());
}

#[test]
fn what_a_server_does_with_a_prompt_becomes_a_golden_file() {
    let server = FakeServer::start(|path| answering(path, COMPLETION));
    let folder = tempdir().unwrap();
    let output = folder.path().join("golden.json");
    let said = stdout(capture(&server.url, "-n 8 --ignore-eos", &output));
    assert_eq!(said, "\"ROMEO:\": 8 ids, cache f16, n-max 0\n");

    let captures = Capture::read_all(&output).unwrap();
    let [capture] = &captures[..] else {
        panic!("{captures:?}")
    };
    assert_eq!(capture.prompt, "ROMEO:");
    assert_eq!(capture.prompt_ids, [870, 25]);
    assert_eq!(capture.cache_type, DType::F16);
    assert_eq!(capture.n_draft_max, 0);
    assert_eq!(capture.ids, IDS);
    assert_eq!(capture.text, " Romeo, Juliet, and thy wan");
    assert!(capture.ignore_eos && !capture.stable && capture.log_probabilities);
    assert_eq!((capture.drafted, capture.accepted), (None, None));
    let best: Vec<u32> = capture.top5.iter().map(|top| top[0].0).collect();
    assert_eq!(best, IDS);
    assert!(capture.top5.iter().all(|top| top.len() == 5));

    let asked = server.asked();
    let paths: Vec<&str> = asked.iter().map(|(path, _)| &path[..]).collect();
    let expected = ["/props", "/tokenize", "/completion", "/detokenize"];
    assert_eq!(paths, expected);
    assert_eq!(asked[3].1["tokens"], json!(IDS));
    let request = &asked[2].1;
    for (key, value) in [
        ("prompt", json!([870, 25])),
        ("n_predict", json!(8)),
        ("top_k", json!(1)),
        ("samplers", json!(["top_k"])),
        ("ignore_eos", json!(true)),
        ("cache_prompt", json!(false)),
        ("return_tokens", json!(true)),
    ] {
        assert_eq!(request[key], value, "{key}");
    }
}

#[test]
fn a_server_that_drafts_gives_the_sums_of_its_drafts() {
    let server = FakeServer::start(|path| answering(path, DRAFTED));
    let folder = tempdir().unwrap();
    let output = folder.path().join("golden.json");
    let options = "-n 8 --draft-max 2 --cache-type f32 --json";
    let said = json(capture(&server.url, options, &output));
    assert_eq!(said["model"], "tiny-dense-Q8_0.gguf");
    assert_eq!(said["captures"], 1);
    assert_eq!(said["ids"], 8);
    assert_eq!(said["drafted"], 7);
    assert_eq!(said["accepted"], 2);

    let capture = Capture::read_all(&output).unwrap().remove(0);
    assert_eq!(capture.ids, IDS);
    assert_eq!(capture.cache_type, DType::F32);
    assert_eq!(capture.n_draft_max, 2);
    assert_eq!((capture.drafted, capture.accepted), (Some(7), Some(2)));
    assert!(capture.rounds.is_empty() && capture.top5.is_empty() && !capture.ignore_eos);
}

#[test]
fn every_prompt_of_a_file_is_captured() {
    let server = FakeServer::start(|path| answering(path, COMPLETION));
    let folder = tempdir().unwrap();
    let (prompts, output) = (folder.path().join("p.json"), folder.path().join("o.json"));
    fs::write(&prompts, r#"["ROMEO:", "<|im_start|>user\n"]"#).unwrap();
    let mut command = sharpi("parity capture -n 8 --prompts");
    command.arg(prompts).arg("-o").arg(&output);
    command.args(["--url", &server.url]);
    stdout(command);
    let captures = Capture::read_all(&output).unwrap();
    let prompts: Vec<&str> = captures.iter().map(|c| &c.prompt[..]).collect();
    assert_eq!(prompts, ["ROMEO:", "<|im_start|>user\n"]);
    let asked = server.asked();
    assert_eq!(asked[4].1["content"], "<|im_start|>user\n");
    assert_eq!(asked[4].1["parse_special"], true);
}

#[test]
fn ids_that_could_not_be_chosen_are_not_among_the_best() {
    let server = FakeServer::start(|path| {
        let answer = changed(|answer| {
            let best = &mut answer["completion_probabilities"][2]["top_logprobs"];
            best[0]["id"] = json!(2045);
            best[1]["id"] = json!(1881);
        });
        answering(path, &answer)
    });
    let folder = tempdir().unwrap();
    let output = folder.path().join("golden.json");
    stdout(capture(&server.url, "-n 8 --ignore-eos", &output));
    let capture = Capture::read_all(&output).unwrap().remove(0);
    assert_eq!(capture.top5[2][0].0, 1881);
}

#[test]
fn probabilities_end_before_the_first_step_that_the_server_leaves_out() {
    let server = FakeServer::start(|path| {
        let answer = changed(|answer| {
            let steps = answer["completion_probabilities"].as_array_mut();
            steps.unwrap().remove(5);
        });
        answering(path, &answer)
    });
    let folder = tempdir().unwrap();
    let output = folder.path().join("golden.json");
    stdout(capture(&server.url, "-n 8", &output));
    let capture = Capture::read_all(&output).unwrap().remove(0);
    assert_eq!((capture.ids.len(), capture.top5.len()), (8, 5));
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    capture_fails(
        &url,
        "",
        &["no server answers at", &url, "llama-server -m FILE"],
    );
    capture_fails("127.0.0.1:8080", "", &["must start with http://"]);
    capture_fails("http://a b", "", &["is not the address of a server"]);
}

#[test]
fn another_server_is_not_taken_for_llama_server() {
    let server = FakeServer::start(|_| Some((404, "<html>".into())));
    capture_fails(&server.url, "", &["is not llama-server", "status 404"]);
    let server = FakeServer::start(|_| Some((200, r#"{"name":"another"}"#.into())));
    capture_fails(&server.url, "", &["is not llama-server", "model_path"]);
}

#[test]
fn a_server_that_still_loads_is_waited_for() {
    let server = FakeServer::start(|_| Some((503, "{}".into())));
    capture_fails(&server.url, "", &["still loading", "wait until"]);
}

#[test]
fn a_server_that_keeps_silent_is_given_up() {
    let server = FakeServer::start(|path| match path {
        "/completion" => None,
        path => answering(path, ""),
    });
    let words = ["did not answer /completion within 1 s", "--timeout"];
    capture_fails(&server.url, "--timeout 1", &words);
}

#[test]
fn what_a_server_refuses_is_told_in_its_words() {
    let server = FakeServer::start(|path| match path {
        "/completion" => {
            let said = r#"{"error":{"code":400,"message":"the request exceeds the context"}}"#;
            Some((400, said.into()))
        }
        path => answering(path, ""),
    });
    let words = ["refused /completion with status 400", "exceeds the context"];
    capture_fails(&server.url, "", &words);
}

#[test]
fn an_answer_without_ids_is_not_a_capture() {
    let server = FakeServer::start(|path| answering(path, r#"{"content":"x"}"#));
    capture_fails(&server.url, "", &["/completion cannot be read", "tokens"]);
    let server = FakeServer::start(|path| match path {
        "/tokenize" => Some((200, r#"{"tokens":[]}"#.into())),
        path => answering(path, COMPLETION),
    });
    capture_fails(&server.url, "", &["\"ROMEO:\" has no tokens"]);
}

#[test]
fn a_full_context_is_not_taken_for_the_end() {
    let server = FakeServer::start(|path| {
        answering(path, &changed(|answer| answer["truncated"] = json!(true)))
    });
    let words = ["full after 8 of 64 ids", "larger -c"];
    capture_fails(&server.url, "", &words);
}

#[test]
fn a_server_must_draft_as_it_is_said_to() {
    let server = FakeServer::start(|path| answering(path, DRAFTED));
    capture_fails(
        &server.url,
        "",
        &["the server drafts tokens", "--draft-max"],
    );
    let server = FakeServer::start(|path| answering(path, COMPLETION));
    let words = ["does not draft", "--spec-type draft-mtp", "MTP head"];
    capture_fails(&server.url, "--draft-max 2", &words);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let server = FakeServer::start(|path| answering(path, COMPLETION));
    let output = Path::new("no/such/folder/golden.json");
    fails(capture(&server.url, "", output), 1, &["no/such/folder"]);
    let folder = tempdir().unwrap();
    let prompts = folder.path().join("prompts.json");
    for (text, word) in [("[]", "holds no prompts"), ("[1]", "[0]: invalid type")] {
        fs::write(&prompts, text).unwrap();
        let mut command = sharpi("parity capture -o golden.json --prompts");
        command.arg(&prompts);
        fails(command, 1, &["prompts.json", word]);
    }
}
