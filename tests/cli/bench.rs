//! `bench`: the rows and columns of llama-bench, and what drafting adds.

use insta::assert_snapshot;
use serde_json::Value;

use crate::{fails, json, sharpi, stdout};

/// The text with `#` for each number with a decimal point, without padding.
fn shape(text: &str) -> String {
    let word = |word: &str| match word.contains('.') && word.parse::<f64>().is_ok() {
        true => "#".to_string(),
        false if word.starts_with("--") => format!("-{}", word.trim_start_matches('-')),
        false => word.to_string(),
    };
    let line = |line: &str| {
        line.split_whitespace()
            .map(word)
            .collect::<Vec<_>>()
            .join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn tests(rows: &Value) -> Vec<&str> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row["test"].as_str().unwrap()).collect()
}

#[test]
fn a_table_has_the_columns_of_llama_bench_then_median_and_spread() {
    let table = stdout(sharpi("bench -p 4 -n 2 -pg 3,2 -d 0,5 -t 1 -r 2"));
    assert_snapshot!(shape(&table), @r"
    | model | size | params | backend | threads | test | t/s | median | min | max | GB/s |
    | - | -: | -: | - | -: | -: | -: | -: | -: | -: | -: |
    | qwen35 7.4M Q4_K | # MiB | # M | CPU | 1 | pp4 | # ± # | # | # | # | - |
    | qwen35 7.4M Q4_K | # MiB | # M | CPU | 1 | tg2 | # ± # | # | # | # | # |
    | qwen35 7.4M Q4_K | # MiB | # M | CPU | 1 | pp3+tg2 | # ± # | # | # | # | - |
    | qwen35 7.4M Q4_K | # MiB | # M | CPU | 1 | pp4 @ d5 | # ± # | # | # | # | - |
    | qwen35 7.4M Q4_K | # MiB | # M | CPU | 1 | tg2 @ d5 | # ± # | # | # | # | # |
    | qwen35 7.4M Q4_K | # MiB | # M | CPU | 1 | pp3+tg2 @ d5 | # ± # | # | # | # | - |
    ");
}

#[test]
fn columns_appear_for_what_was_asked_for() {
    let table = stdout(sharpi(
        "bench -p 4 -n 3 -t 1 -r 1 -b 2 -ctk f32 --spec-draft-n-max 0,1 --prompt-ids 870,25",
    ));
    assert_snapshot!(shape(&table), @r"
    | model | size | params | backend | threads | n_batch | type_k | type_v | n-max | test | t/s | median | min | max | GB/s | rounds | t/round | accepted by place |
    | - | -: | -: | - | -: | -: | -: | -: | -: | -: | -: | -: | -: | -: | -: | -: | -: | -: |
    | qwen35 7.4M Q4_K | # MiB | # M | CPU | 1 | 2 | f32 | f16 | 0 | pp4 | # ± # | # | # | # | - | - | - | - |
    | qwen35 7.4M Q4_K | # MiB | # M | CPU | 1 | 2 | f32 | f16 | 0 | tg3 | # ± # | # | # | # | # | - | - | - |
    | qwen35 7.4M Q4_K | # MiB | # M | CPU | 1 | 2 | f32 | f16 | 1 | tg3 | # ± # | # | # | # | - | 3 | # | 0 % |
    ");
}

#[test]
fn ranges_and_lists_are_measured_each_with_each() {
    let rows = json(sharpi("bench -p 1-4*2 -n 0 -d 0,2 -t 1-2 -r 1 -o json"));
    let depths = ["pp1", "pp2", "pp4", "pp1 @ d2", "pp2 @ d2", "pp4 @ d2"];
    assert_eq!(tests(&rows), depths.repeat(2));
    assert_eq!(rows[0]["n_threads"], 1);
    assert_eq!(rows[11]["n_threads"], 2);
}

#[test]
fn statistics_are_those_of_the_samples() {
    let rows = json(sharpi("bench -p 0 -n 4 -t 1 -r 4 -o json"));
    let row = &rows[0];
    let list = |key: &str| {
        let values = row[key].as_array().unwrap().iter();
        values.map(|x| x.as_f64().unwrap()).collect::<Vec<f64>>()
    };
    let (times, mut speeds) = (list("samples_ns"), list("samples_ts"));
    assert_eq!(times.len(), 4);
    for (time, speed) in times.iter().zip(&speeds) {
        assert!((4e9 / time / speed - 1.0).abs() < 1e-6);
    }
    speeds.sort_by(f64::total_cmp);
    let number = |key: &str| row[key].as_f64().unwrap();
    assert_eq!(number("min_ts"), speeds[0]);
    assert_eq!(number("median_ts"), (speeds[1] + speeds[2]) / 2.0);
    assert_eq!(number("max_ts"), speeds[3]);
    assert!(number("stddev_ts") > 0.0);
    // A token reads most of the file of 4.6 MB.
    let bytes = number("gb_per_second") * 1e9 / number("median_ts");
    assert!((3e6..6e6).contains(&bytes), "{bytes}");
}

#[test]
fn drafting_tells_rounds_and_places_and_every_format_has_the_same_fields() {
    let line = "bench -p 0 -n 12 -t 1 -r 2 --spec-draft-n-max 0,2 --prompt-ids 870,25";
    let rows = json(sharpi(&format!("{line} -o json")));
    let (plain, drafted) = (&rows[0], &rows[1]);
    assert_eq!(plain["rounds"], Value::Null);
    assert_eq!(drafted["spec_draft_n_max"], 2);
    let places = drafted["drafted_by_place"].as_array().unwrap();
    assert_eq!(places.len(), 2);
    let rounds = drafted["rounds"].as_f64().unwrap();
    let given = rounds * drafted["tokens_per_round"].as_f64().unwrap();
    assert!((given - 12.0).abs() < 1e-9, "{given} tokens");

    let keys = |row: &Value| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let lines = stdout(sharpi(&format!("{line} -o jsonl")));
    let lines: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(keys(&lines[1]), keys(drafted));
    assert_eq!(lines[1]["accepted_by_place"], drafted["accepted_by_place"]);

    let csv = stdout(sharpi(&format!("{line} -o csv")));
    let head: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let quoted: Vec<String> = keys(drafted).iter().map(|k| format!("\"{k}\"")).collect();
    assert_eq!(head, quoted);
    assert_eq!(csv.lines().count(), 3);
}

#[test]
fn what_cannot_be_measured_is_told_before_anything_runs() {
    fails(sharpi("bench -p 0 -n 0"), 2, &["nothing to measure"]);
    fails(sharpi("bench -t 9999"), 2, &["9999 threads"]);
    fails(sharpi("bench -m no/such.gguf"), 1, &["no/such.gguf"]);
    fails(sharpi("bench --prompt-ids 99999"), 1, &["99999"]);
    for wrong in ["-p 1-8+0", "-p x", "-pg 4", "-b 0", "-r 0", "-o sql"] {
        fails(sharpi(&format!("bench {wrong}")), 2, &[]);
    }
}

#[test]
fn drafts_of_chosen_lengths_and_among_some_ids_are_measured_too() {
    let bench = "bench -p 0 -n 40 -t 1 -r 1 --spec-draft-n-max 2,auto";
    let table = stdout(sharpi(bench));
    assert!(table.contains("|  auto |"), "{table}");
    let rows = json(sharpi(&format!("{bench} --draft-vocab 1 -o json")));
    assert_eq!(
        (&rows[0]["spec_draft_auto"], &rows[1]["spec_draft_auto"]),
        (&Value::Bool(false), &Value::Bool(true))
    );
    // The one id there is to draft is never the next one.
    assert_eq!(rows[0]["accepted_by_place"], serde_json::json!([0, 0]));
}

#[test]
fn several_sequences_at_once_have_rows_of_their_own() {
    let table = stdout(sharpi("bench -npp 4 -ntg 3 -npl 1,3 -t 1 -r 2"));
    let head = table.lines().next().unwrap();
    for column in [
        "t/s each",
        "prompts t/s",
        "first token ms",
        "the last ms",
        "scheduler",
    ] {
        assert!(head.contains(column), "{head}");
    }
    let command = "bench -p 4 -n 3 --parallel 2 -t 1 -r 2 --spec-draft-n-max 0,2 -o json";
    let rows = json(sharpi(command));
    assert_eq!(tests(&rows), ["pp4+tg3 × 2"; 2]);
    for (row, n_max) in rows.as_array().unwrap().iter().zip([0, 2]) {
        assert_eq!(
            (&row["n_parallel"], &row["spec_draft_n_max"]),
            (&2.into(), &n_max.into())
        );
        let number = |name: &str| {
            row[name]
                .as_f64()
                .unwrap_or_else(|| panic!("{name}: {row}"))
        };
        assert!(number("avg_ts") > number("sequence_ts") && number("prompt_ts") > 0.0);
        assert!(number("last_first_token_ms") >= number("first_token_ms"));
        assert_eq!(row["samples_ts"].as_array().unwrap().len(), 2);
    }
}
