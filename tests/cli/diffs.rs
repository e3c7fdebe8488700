//! `dump-graph` as an eye on the passes: differences, statistics, fuel, files in the textual form.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use tempfile::tempdir;

use crate::{fails, json, sharpi, stdout};

/// Writes a whole dump into a file.
fn dump(args: &str, path: &Path) {
    let mut command = sharpi(&format!("dump-graph --no-fold {args} -o"));
    command.arg(path);
    assert_eq!(stdout(command), "");
}

/// `dump-graph --diff A B`.
fn diff(a: &Path, b: &Path) -> Command {
    let mut command = sharpi("dump-graph --diff");
    command.args([a, b]);
    command
}

/// Lines that only one side of a difference has.
fn differing(diff: &str) -> Vec<&str> {
    let marked =
        |l: &&str| l.starts_with(['+', '-']) && !l.starts_with("+++") && !l.starts_with("---");
    diff.lines().filter(marked).collect()
}

#[test]
fn the_graph_before_a_pass_is_the_graph_after_the_pass_before_it() {
    let show = |args: &str| stdout(sharpi(&format!("dump-graph {args}")));
    assert_eq!(show("--before fuse-gdn"), show("--after dce"));
    assert_eq!(show("--before quantize-activations"), show(""));
    assert_eq!(show("--before schedule"), show("--stage fused"));
}

#[test]
fn before_and_after_together_show_what_passes_change() {
    let show = |args: &str| stdout(sharpi(&format!("dump-graph --graph mtp {args}")));
    let diff = show("--before fuse-norm --after fuse-norm");
    assert!(
        diff.starts_with("--- before fuse-norm\n+++ after fuse-norm\n"),
        "{diff}"
    );
    let lines = differing(&diff);
    // Two norms go into three products; one of these and its user are called after what it reads.
    let of = |mark: char, word: &str| {
        lines
            .iter()
            .filter(|l| l.starts_with(mark) && l.contains(word))
            .count()
    };
    assert_eq!(
        (of('-', " = rmsnorm "), of('+', " = rmsnorm ")),
        (2, 0),
        "{diff}"
    );
    assert_eq!((of('+', "norm_eps = "), lines.len()), (3, 10), "{diff}");
    assert_eq!(show("--before fuse-gdn --after fuse-gdn"), "");
}

#[test]
fn stages_and_passes_are_compared_without_numbers_that_shift() {
    let diff = stdout(sharpi("dump-graph --diff imported dce --graph trunk"));
    let lines = differing(&diff);
    assert!(
        lines
            .iter()
            .any(|l| l.starts_with("+    %quantize.attn_norm-0 = quantize %attn_norm-0 "))
    );
    // A quantize and its product are new lines; all else stands where it stood.
    let other = lines
        .iter()
        .find(|l| !l.contains(" quantize ") && !l.contains(" matmul "));
    assert_eq!(other, None, "{diff}");
    let planned = stdout(sharpi("dump-graph --diff fused planned"));
    assert!(
        differing(&planned).iter().all(|l| l.contains("+  ; ")),
        "{planned}"
    );
}

#[test]
fn files_are_compared_with_each_other_and_with_a_stage() {
    let folder = tempdir().unwrap();
    let [one, other] = ["one.sir", "other.sir"].map(|name| folder.path().join(name));
    dump("--stage fused", &one);
    let text = fs::read_to_string(&one).unwrap();
    fs::write(
        &other,
        text.replacen("{norm_eps = 1e-6", "{norm_eps = 1e-5", 1),
    )
    .unwrap();
    assert_eq!(stdout(diff(&one, &one)), "");
    assert_eq!(stdout(diff(Path::new("fused"), &one)), "");
    let found = stdout(diff(&one, &other));
    let lines = differing(&found);
    assert_eq!(lines.len(), 2, "{found}");
    assert!(lines[0].contains("norm_eps = 1e-6") && lines[1].contains("norm_eps = 1e-5"));
}

#[test]
fn a_dump_compiles_on_as_the_model_does() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("imported.sir");
    dump("", &path);
    let mut command = sharpi("dump-graph --stage planned --no-fold");
    command.arg(&path);
    assert_eq!(
        stdout(command),
        stdout(sharpi("dump-graph --stage planned --no-fold"))
    );
}

#[test]
fn a_file_that_is_no_sound_module_is_told_with_the_place() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("graph.sir");
    let dumped = |text: &str| {
        fs::write(&path, text).unwrap();
        let mut command = sharpi("dump-graph");
        command.arg(&path);
        command
    };
    fails(
        dumped("module @m {\n  wait\n}"),
        1,
        &["graph.sir is no module: line 2, column 3"],
    );
    let wrong = "module @m {\n  graph @g(%x: f32[T, 4]) -> (%y: f32[T, 2]) where T in 1..=8 {\n    \
                 %0 = silu %x : f32[T, 2]\n    return %y = %0\n  }\n}";
    fails(dumped(wrong), 1, &["graph.sir does not verify", "silu %x"]);
    fails(
        sharpi("dump-graph nowhere.sir"),
        1,
        &["cannot read nowhere.sir"],
    );
    fails(
        sharpi("dump-graph x.sir -m y.gguf"),
        2,
        &["cannot be used with"],
    );
}

#[test]
fn statistics_tell_what_each_pass_did_to_each_graph() {
    let stats = json(sharpi("dump-graph --pass-stats --format json"));
    let rows = stats["passes"].as_array().unwrap();
    let passes = json(sharpi("passes --json"));
    assert_eq!(rows.len(), 2 * passes.as_array().unwrap().len());
    let row = |pass: &str| {
        let of = |r: &&serde_json::Value| r["pass"] == pass && r["graph"] == "trunk";
        rows.iter().find(of).unwrap()
    };
    let gdn = row("fuse-gdn");
    assert_eq!(gdn["changed"], true);
    assert_eq!(gdn["rewrites"]["scan-and-gate"], 3);
    assert!(gdn["ops_after"].as_u64() < gdn["ops_before"].as_u64());
    assert_eq!(row("fuse-moe")["changed"], false);
    let (steps, memory) = (&row("schedule")["figures"], &row("plan-memory")["figures"]);
    assert!(steps["barriers"].as_u64() < steps["steps"].as_u64());
    assert!(memory["lower_bound_bytes"].as_u64() <= memory["arena_bytes"].as_u64());
    assert!(memory["arena_bytes"].as_u64() < memory["sum_bytes"].as_u64());
    assert!(row("cse")["microseconds"].is_u64());
    let table = stdout(sharpi("dump-graph --pass-stats"));
    assert_eq!(table.lines().count(), 1 + rows.len() + 1, "{table}");
    for words in ["scan-and-gate 3", "arena_bytes ", "verification and checks"] {
        assert!(table.contains(words), "{words} in {table}");
    }
}

#[test]
fn fuel_runs_the_model_to_the_same_text_and_names_the_last_rewrite() {
    let run = |args: &str| {
        let mut command = sharpi(&format!("run -p KING -n 6 --ignore-eos {args}"));
        let output = command.assert().success().get_output().clone();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let (text, told) = run("");
    assert!(!told.contains("fuel"), "{told}");
    for fuel in [0, 20, 24] {
        let (with_fuel, told) = run(&format!("--fuel {fuel}"));
        assert_eq!(with_fuel, text, "{fuel}");
        assert_eq!(told.contains("the fuel ended with `"), fuel > 0, "{told}");
    }
    let stats = stdout(sharpi("dump-graph --pass-stats --fuel 20"));
    assert!(
        stats.contains("the fuel ended with `scan-and-gate` of fuse-gdn at "),
        "{stats}"
    );
}

#[test]
fn what_cannot_be_shown_is_a_usage_error() {
    fails(sharpi("dump-graph --diff imported nap"), 2, &["`nap`"]);
    fails(sharpi("dump-graph --before nap"), 2, &["`nap`"]);
    fails(sharpi("dump-graph --diff imported"), 2, &["--diff"]);
    fails(
        sharpi("dump-graph --diff imported fused --format dot"),
        2,
        &["text alone"],
    );
    fails(
        sharpi("dump-graph --pass-stats --format dot"),
        2,
        &["--format json"],
    );
    fails(
        sharpi("dump-graph --graph head"),
        1,
        &["no graph `head`", "trunk, mtp"],
    );
}
