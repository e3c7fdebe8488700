//! `reduce`.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::thread;
use std::time::Duration;

use assert_cmd::Command;
use sharpi_ir::Module;
use sharpi_ir::text::parse;
use tempfile::{TempDir, tempdir};

use crate::{fails, sharpi, stdout};

/// The small model's graphs in a file of a folder of its own.
fn dumped(args: &str) -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("graph.sir");
    let mut command = sharpi(&format!("dump-graph --no-fold {args} -o"));
    command.arg(&path);
    assert_eq!(stdout(command), "");
    (folder, path)
}

/// `reduce FILE ARGS -- sh -c SCRIPT`.
fn reduce(path: &Path, args: &str, script: &str) -> Command {
    let mut command = sharpi("reduce");
    command.arg(path).args(args.split_whitespace());
    command.args(["--", "sh", "-c", script]);
    command
}

fn read(path: &Path) -> (String, Module) {
    let text = fs::read_to_string(path).unwrap();
    let module = parse(&text).unwrap();
    (text, module)
}

fn ops(module: &Module) -> usize {
    module.graphs.values().map(|graph| graph.op_count()).sum()
}

#[test]
fn a_graph_is_reduced_to_what_makes_a_command_fail() {
    let (folder, path) = dumped("");
    let told = stdout(reduce(&path, "", "! grep -q '= gdn_scan ' {}"));
    let output = folder.path().join("graph.reduced.sir");
    let (text, module) = read(&output);
    assert_eq!(ops(&module), 1, "{text}");
    assert!(
        text.contains("= gdn_scan ") && !text.contains("weight"),
        "{text}"
    );
    assert!(
        told.starts_with("1 op and 0 weights, of 159 ops and "),
        "{told}"
    );
    assert!(told.contains("graph.reduced.sir"), "{told}");
    // Nothing else is left behind.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn the_compiler_itself_can_be_the_command_that_fails() {
    let (_folder, path) = dumped("--graph trunk");
    let (folder, program) = (
        tempdir().unwrap(),
        assert_cmd::cargo::cargo_bin!("sharpi-compile"),
    );
    let output = folder.path().join("small.sir");
    let script = format!(
        "! {} dump-graph {{}} --stage fused | grep -q 'epilogue = add'",
        program.display()
    );
    let mut command = sharpi("reduce");
    command.arg(&path).arg("-o").arg(&output);
    command.args(["--", "sh", "-c", &script]);
    stdout(command);
    // A product, the sum behind it, and what keeps them from being dead.
    let (text, module) = read(&output);
    assert_eq!(ops(&module), 3, "{text}");
}

#[test]
fn only_the_code_that_is_asked_for_is_a_failure() {
    let (folder, path) = dumped("");
    let script = "grep -q '= silu ' {} || exit 1; exit 7";
    stdout(reduce(&path, "--exit-code 7", script));
    let (text, module) = read(&folder.path().join("graph.reduced.sir"));
    assert_eq!(ops(&module), 1, "{text}");
    assert!(text.contains("= silu "), "{text}");
    fails(
        reduce(&path, "--exit-code 3", script),
        1,
        &["ends with code 7", "--exit-code"],
    );
}

#[test]
fn the_file_is_the_last_word_of_a_command_that_names_no_place_for_it() {
    let (folder, path) = dumped("--graph mtp");
    let script = "if grep -q '= eh_proj ' \"$0\"; then exit 1; fi";
    stdout(reduce(&path, "", script));
    let (text, _) = read(&folder.path().join("graph.reduced.sir"));
    assert!(text.contains("= eh_proj "), "{text}");
}

#[test]
fn a_command_that_does_not_fail_or_cannot_run_is_told() {
    let (_folder, path) = dumped("");
    fails(
        reduce(&path, "", "true"),
        1,
        &["ends with code 0", "--exit-code"],
    );
    fails(
        reduce(&path, "--timeout 1", "sleep 5"),
        1,
        &["takes more than 1 seconds"],
    );
    let mut nothing = sharpi("reduce");
    nothing.arg(&path).args(["--", "./no-such-program"]);
    fails(nothing, 1, &["cannot run ./no-such-program"]);
    fails(
        sharpi("reduce nowhere.sir -- true"),
        1,
        &["cannot read nowhere.sir"],
    );
    fails(sharpi("reduce nowhere.sir"), 2, &["COMMAND"]);
}

#[test]
fn an_interrupt_leaves_the_smallest_found_so_far() {
    let (folder, path) = dumped("");
    let output = folder.path().join("graph.reduced.sir");
    let child = Process::new(assert_cmd::cargo::cargo_bin!("sharpi-compile"))
        .arg("reduce")
        .arg(&path)
        .args(["--", "sh", "-c", "sleep 0.02; ! grep -q '= gdn_scan ' {}"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let whole = fs::read_to_string(&path).unwrap().len();
    let so_far = || fs::read_to_string(&output).map_or(whole, |text| text.len());
    while so_far() >= whole / 2 {
        thread::sleep(Duration::from_millis(1));
    }
    let pid = child.id().to_string();
    Process::new("kill").args(["-INT", &pid]).status().unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let told = String::from_utf8(ended.stdout).unwrap();
    assert!(told.contains(", stopped; in "), "{told}");
    let (text, module) = read(&output);
    assert!(text.contains("= gdn_scan ") && ops(&module) < 159, "{text}");
}
