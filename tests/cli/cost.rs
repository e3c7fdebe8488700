//! `cost` and `hwbench`.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::{assert_snapshot, fails, json, sharpi, stdout};

/// Rates of a machine on paper, as `hwbench --json` would print them.
pub const CEILINGS: &str = r#"{
  "cpu": "a machine on paper",
  "simd": "avx512",
  "rates": [
    { "threads": 1, "read_bytes": 31e9, "int_macs": 490e9, "f32_macs": 120e9 },
    { "threads": 2, "read_bytes": 38e9, "int_macs": 980e9, "f32_macs": 240e9 }
  ]
}"#;

/// `cost` with fixed ceilings.
fn cost(folder: &Path, args: &str) -> Command {
    let ceilings = folder.join("ceilings.json");
    fs::write(&ceilings, CEILINGS).unwrap();
    let mut command = sharpi("cost --ceilings");
    command.arg(ceilings).args(args.split_whitespace());
    command
}

/// The header of a model of a real shape, in a folder that is gone with the first.
fn header(preset: &str) -> (TempDir, String) {
    let folder = tempdir().unwrap();
    let file = folder.path().join("model.gguf");
    let mut synth = sharpi("synth --header-only -o");
    synth.arg(&file).args(["--preset", preset]);
    stdout(synth);
    let file = file.to_str().unwrap().to_string();
    (folder, file)
}

#[test]
fn the_costs_of_the_27b_and_its_forecast_are_as_before() {
    let (folder, file) = header("27b");
    let text = stdout(cost(folder.path(), &format!("-m {file} -c 4096")));
    assert_snapshot("cost.27b", &text);
}

#[test]
fn the_costs_of_a_mixture_of_experts_are_as_before() {
    let (folder, file) = header("35b-a3b");
    let text = stdout(cost(folder.path(), &format!("-m {file} -w 4,512 -t 1")));
    assert_snapshot("cost.35b-a3b", &text);
}

#[test]
fn json_has_every_op_and_its_ops_add_up() {
    let folder = tempdir().unwrap();
    let found = json(cost(folder.path(), "--width 1,3 --json"));
    let runs = found["runs"].as_array().unwrap();
    let names: Vec<_> = runs
        .iter()
        .map(|r| (r["graph"].as_str().unwrap(), r["tokens"].as_u64().unwrap()))
        .collect();
    assert_eq!(names, [("trunk", 1), ("trunk", 3), ("mtp", 1), ("mtp", 3)]);
    for run in runs {
        for key in ["int_macs", "weight_bytes", "state_bytes", "seconds"] {
            let ops = run["ops"].as_array().unwrap().iter();
            let sum: f64 = ops.map(|op| op[key].as_f64().unwrap()).sum();
            let total = run[key].as_f64().unwrap();
            assert!((sum - total).abs() <= 1e-9 * total, "{key}: {sum}, {total}");
        }
    }
    let trunk = runs[0]["seconds"].as_f64().unwrap();
    let decode = found["forecast"]["decode"].as_f64().unwrap();
    assert!((trunk * decode - 1.0).abs() < 1e-9);
    let drafting = found["forecast"]["drafting"].as_array().unwrap();
    assert_eq!(drafting.len(), 5);
}

#[test]
fn every_block_is_shown_when_asked_for() {
    let folder = tempdir().unwrap();
    let folded = stdout(cost(folder.path(), ""));
    let whole = stdout(cost(folder.path(), "--no-fold"));
    assert!(folded.contains("3 blocks like 0"), "{folded}");
    for block in 0..5 {
        assert!(whole.contains(&format!("\nblock {block} ")), "{whole}");
    }
}

#[test]
fn ceilings_that_are_none_are_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("broken.json");
    for (text, said) in [
        ("{}", "missing field"),
        (
            r#"{"cpu": "", "simd": "", "rates": []}"#,
            "there are no rates",
        ),
        (&CEILINGS.replace("38e9", "0"), "no number above 0"),
        (
            &CEILINGS.replace("\"threads\": 2", "\"threads\": 1"),
            "rise",
        ),
    ] {
        fs::write(&path, text).unwrap();
        let mut command = sharpi("cost --ceilings");
        command.arg(&path);
        fails(command, 1, &["broken.json", said]);
    }
    fails(sharpi("cost --ceilings nowhere.json"), 1, &["nowhere.json"]);
    fails(sharpi("cost --acceptance 1.5"), 2, &["0 to 1"]);
    fails(sharpi("cost --width 0"), 2, &["--width"]);
}

/// A command with the ceilings that are kept in a folder.
fn keeping(folder: &Path, args: &str) -> Command {
    let mut command = sharpi(args);
    command.env("HOME", folder);
    command.env("XDG_CACHE_HOME", folder.join("cache"));
    command
}

/// Every rate of some ceilings, in one order.
fn rates(ceilings: &Value) -> Vec<f64> {
    let lists = ["rates", "sets"].map(|list| ceilings[list].as_array().unwrap());
    let keys = ["read_bytes", "int_macs", "f32_macs"];
    let numbers = lists
        .into_iter()
        .flatten()
        .flat_map(|rates| keys.map(|key| rates[key].as_f64()));
    numbers.flatten().collect()
}

#[test]
fn a_machine_is_measured_once_and_again_when_asked_for_and_the_best_is_kept() {
    let folder = tempdir().unwrap();
    let hwbench = |args: &str| json(keeping(folder.path(), &format!("hwbench --json {args}")));
    let first = hwbench("");
    assert_eq!(first["rates"][0]["threads"], 1);
    assert!(rates(&first).iter().all(|rate| *rate > 1e6), "{first}");
    let (second, third) = (hwbench(""), hwbench("--force"));
    if first["disturbed"] == false {
        assert_eq!(second, first);
    }
    for (earlier, later) in [(&first, &second), (&second, &third)] {
        let mut pairs = rates(earlier).into_iter().zip(rates(later));
        assert!(pairs.all(|(a, b)| a <= b), "{earlier} {later}");
    }
    let kept = fs::read_dir(folder.path().join("cache/sharpi-compile")).unwrap();
    assert_eq!(kept.count(), 1);
}

#[test]
fn a_figure_of_a_busy_machine_is_measured_again_or_said_to_be_one_on_every_use() {
    let folder = tempdir().unwrap();
    keeping(folder.path(), "hwbench").assert().success();
    let mut files = fs::read_dir(folder.path().join("cache/sharpi-compile")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    for command in ["hwbench", "cost", "profile -p x -n 1"] {
        let mut kept: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        kept["disturbed"] = true.into();
        fs::write(&file, kept.to_string()).unwrap();
        let output = keeping(folder.path(), command).output().unwrap();
        assert!(output.status.success());
        let kept: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).contains("busy");
        // As the machine is busy or quiet right now.
        assert_eq!(said, kept["disturbed"] == true, "{command}: {output:?}");
    }
}

#[test]
fn ceilings_that_were_measured_on_a_busy_machine_are_said_to_be() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("busy.json");
    let busy = CEILINGS.replacen('{', r#"{"disturbed": true,"#, 1);
    fs::write(&file, busy).unwrap();
    let mut command = sharpi("cost --ceilings");
    let output = command.arg(&file).output().unwrap();
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("busy"),
        "{output:?}"
    );
    let quiet = cost(folder.path(), "").output().unwrap();
    assert!(quiet.stderr.is_empty(), "{quiet:?}");
}

#[test]
fn more_threads_than_the_machine_has_are_told_and_count_as_those_it_has() {
    let folder = tempdir().unwrap();
    let all = stdout(cost(folder.path(), "-t 2"));
    let more = cost(folder.path(), "-t 64").output().unwrap();
    let stderr = String::from_utf8_lossy(&more.stderr);
    assert!(stderr.contains("the machine runs 2 at once"), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&more.stdout), all);
}
