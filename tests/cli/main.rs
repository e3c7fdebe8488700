//! The program as people and other programs use it.

mod bad_models;
mod bench;
mod capture;
#[cfg(unix)]
mod chat;
mod cost;
mod diffs;
#[cfg(unix)]
mod docs;
mod fake_server;
mod file_kinds;
mod files;
mod graphs;
mod heads;
mod help;
mod hostile;
mod listings;
mod llama;
mod memory;
mod parity;
mod perplexity;
mod profile;
mod prompt_cache;
mod reduce;
mod replay;
#[path = "../support/rewrite.rs"]
mod rewrite;
mod run;
mod signals;
mod synth;
mod tokens;
mod usage;
mod vocabularies;
mod warnings;

use assert_cmd::Command;
use serde_json::Value;

/// The built program with these arguments, parted by spaces.
fn sharpi(args: &str) -> Command {
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("sharpi-compile");
    command.args(args.split_whitespace());
    command
}

/// What a command that goes well prints.
fn stdout(mut command: Command) -> String {
    let output = command.assert().success().get_output().stdout.clone();
    String::from_utf8(output).unwrap()
}

/// What a command that goes well says on stderr.
fn stderr(args: &str) -> String {
    let assert = sharpi(args).assert().success();
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

/// The JSON that a command that goes well prints.
fn json(command: Command) -> Value {
    serde_json::from_str(&stdout(command)).unwrap()
}

/// Runs a command that ends with `code` and checks that it says all of `words` on stderr, and what
/// to do next, and prints nothing.
#[track_caller]
fn fails(mut command: Command, code: i32, words: &[&str]) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty(), "{output:?}");
    for word in words.iter().chain(&["help"]) {
        assert!(stderr.contains(word), "expected {word:?} in:\n{stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

/// Compares a text with the one that was accepted.
#[track_caller]
fn assert_snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
