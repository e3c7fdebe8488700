//! `profile`: where the time goes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::tempdir;

use crate::cost::CEILINGS;
use crate::{fails, json, sharpi, stdout};

/// `profile` with ceilings that need no measuring.
fn profile(args: &str) -> Command {
    static WRITTEN: OnceLock<PathBuf> = OnceLock::new();
    let file = WRITTEN.get_or_init(|| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ceilings.json");
        fs::write(&file, CEILINGS).unwrap();
        file
    });
    let mut command = sharpi("profile --ceilings");
    command.arg(file).args(args.split_whitespace());
    command
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn times_of_ops_waits_and_the_rest_are_the_time_of_the_runs() {
    let found = json(profile("-p ROMEO: -n 6 -t 2 --spec-draft-n-max 2 --json"));
    let parts = found["profile"].as_array().unwrap();
    let names: Vec<_> = parts
        .iter()
        .map(|p| {
            format!(
                "{} {}",
                p["phase"].as_str().unwrap(),
                p["graph"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        names,
        ["prompt trunk", "prompt mtp", "text trunk", "text mtp"]
    );
    let mut inside = 0.0;
    for part in parts {
        let all = &part["all"];
        let sum = number(&all["seconds"]) + number(&all["wait_seconds"]);
        let seconds = number(&part["seconds"]);
        let rest = number(&part["rest_seconds"]);
        assert!(rest > 0.0 && (sum + rest - seconds).abs() < 1e-9 * seconds.max(1.0));
        for list in ["ops", "blocks"] {
            for key in ["seconds", "wait_seconds", "best_seconds", "bytes", "count"] {
                let entries = part[list].as_array().unwrap().iter();
                let sum: f64 = entries.map(|e| number(&e[key])).sum();
                let whole = number(&all[key]);
                assert!(
                    (sum - whole).abs() <= 1e-9 * whole,
                    "{list} {key}: {sum}, {whole}"
                );
            }
        }
        inside += seconds;
    }
    let timings = &found["timings"];
    let wall = number(&timings["prompt_seconds"]) + number(&timings["generate_seconds"]);
    assert!(inside < wall, "{inside} of {wall}");
    assert!(inside > 0.0, "{inside} of {wall}");
}

#[test]
fn every_block_and_every_token_is_there() {
    let found = json(profile("--ids 870,25,1178 -n 4 -t 1 --json"));
    let parts = found["profile"].as_array().unwrap();
    assert_eq!(
        (&parts[0]["runs"], &parts[0]["tokens"]),
        (&1.into(), &3.into())
    );
    // The prompt's run gives the first of four tokens.
    assert_eq!(
        (&parts[1]["runs"], &parts[1]["tokens"]),
        (&3.into(), &3.into())
    );
    for part in parts {
        let blocks = part["blocks"].as_array().unwrap().iter();
        let names: Vec<_> = blocks.map(|b| b["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["0", "1", "2", "3", "outside of blocks"]);
        let head = part["ops"].as_array().unwrap().iter();
        let heads = head.filter(|op| op["name"].as_str().unwrap().ends_with(" output"));
        let counts: Vec<_> = heads.map(|op| &op["count"]).collect();
        assert_eq!(counts, [&part["runs"]], "the head runs once in each run");
    }
}

#[test]
fn a_table_has_all_columns_and_the_sums() {
    let text = stdout(profile("-p ROMEO: -n 4 -t 2"));
    for words in [
        "prompt, @trunk: 1 run of 2 tokens",
        "text, @trunk: 3 runs of 3 tokens",
        "count  time",
        "waiting at barriers",
        "starting and ending",
        "outside of blocks",
        "between runs",
        "a machine on paper",
        "generation:",
    ] {
        let spaces = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            spaces(&text).contains(&spaces(words)),
            "no {words:?} in\n{text}"
        );
    }
}

#[test]
fn a_trace_is_json_and_its_spans_follow_each_other_within_runs() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("trace.json");
    let mut command = profile("-p ROMEO: -n 4 -t 2 --spec-draft-n-max 1");
    stdout({
        command.arg("--export").arg(&file);
        command
    });
    let trace: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let mut tracks: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    let mut names = Vec::new();
    for event in events {
        let track = event["tid"].as_u64().unwrap();
        match event["ph"].as_str().unwrap() {
            "M" => names.push(event["args"]["name"].as_str().unwrap()),
            "X" => {
                let nanoseconds = |key: &str| (number(&event[key]) * 1e3).round() as u64;
                let start = nanoseconds("ts");
                let span = (start, start + nanoseconds("dur"));
                tracks.entry(track).or_default().push(span);
                let args = &event["args"];
                match event["cat"].as_str().unwrap() {
                    "op" => assert!(args["step"].is_u64() && args["chunks"].is_u64()),
                    "wait" => assert!(args["step"].is_u64()),
                    "run" => assert!(args["tokens"].is_u64()),
                    other => panic!("unknown category {other}"),
                }
            }
            other => panic!("unknown phase {other}"),
        }
    }
    assert_eq!(names, ["sharpi-compile", "runs", "worker 0", "worker 1"]);
    let all = tracks.values().collect::<Vec<_>>();
    let [runs, workers @ ..] = &all[..] else {
        panic!("no tracks")
    };
    assert_eq!(workers.len(), 2);
    for track in &all {
        assert!(
            track.windows(2).all(|pair| pair[0].1 <= pair[1].0),
            "overlaps"
        );
    }
    for (start, end) in workers.iter().flat_map(|w| w.iter()) {
        assert!(runs.iter().any(|run| run.0 <= *start && *end <= run.1));
    }
    let layered = events.iter().filter(|e| e["args"]["layer"].is_u64());
    assert!(layered.count() > 10);
}

#[test]
fn what_cannot_be_profiled_is_told() {
    fails(sharpi("profile -n 4"), 2, &["--prompt"]);
    fails(
        profile("-p x --export no/such/folder/t.json"),
        1,
        &["no/such", "--export"],
    );
    fails(profile("-p x --ids 1"), 2, &["--ids"]);
}
