//! `run` on the model that is part of the program.

use std::fs;

use serde_json::Value;
use tempfile::tempdir;

use crate::{fails, json, sharpi, stdout};

#[test]
fn the_bundled_model_says_what_the_reference_says() {
    let captures = fs::read_to_string("fixtures/golden/tiny-dense-Q4_K_M.json").unwrap();
    let captures: Value = serde_json::from_str(&captures).unwrap();
    let capture = &captures[0];
    let prompt = capture["prompt"].as_str().unwrap();
    let count = capture["ids"].as_array().unwrap().len();
    let found = json(sharpi(&format!(
        "run -p {prompt} -n {count} --json --ignore-eos -ctk f32 -ctv f32 --logits-top 5"
    )));
    assert_eq!(found["prompt_ids"], capture["prompt_ids"]);
    assert_eq!(found["ids"], capture["ids"]);
    assert_eq!(found["text"], capture["text"]);
    let tops = found["top"].as_array().unwrap();
    assert_eq!(tops.len(), count);
    for (top, best) in tops.iter().zip(capture["top5"].as_array().unwrap()) {
        let logit = |entry: &Value| entry[1].as_f64().unwrap();
        let gap = (logit(&top[0]) - logit(&best[0])).abs();
        assert!(gap < 0.25, "found {top}, expected {best}");
    }
}

#[test]
fn a_record_has_all_it_should_and_nothing_else() {
    let record = json(sharpi(
        "run -p ROMEO: -n 3 --json --ignore-eos --logits-top 2",
    ));
    let mut keys: Vec<_> = record.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    let expected = "accepted drafted ids memory prompt_ids rounds run seed stop text timings top";
    assert_eq!(keys.join(" "), expected);
    assert_eq!(record["timings"]["prompt_tokens"], 2);
    assert_eq!(record["timings"]["generated_tokens"], 3);
    for (top, id) in record["top"]
        .as_array()
        .unwrap()
        .iter()
        .zip(record["ids"].as_array().unwrap())
    {
        assert_eq!(top.as_array().unwrap().len(), 2);
        assert_eq!(&top[0][0], id);
    }
    let plain = json(sharpi("run -p ROMEO: -n 3 --json"));
    assert!(plain.get("top").is_none());
}

#[test]
fn the_pieces_of_a_prompt_and_the_number_of_threads_change_no_bit() {
    let ids = "run --ids 870,25,1178,0,767,325,11,1807 -n 6 --json --ignore-eos --logits-top 4";
    let top = |flags: &str| json(sharpi(&format!("{ids} {flags}")))["top"].clone();
    let whole = top("-t 1");
    for flags in ["-b 1", "-b 3 -t 2", "-b 5", "--skip-pass cse"] {
        assert_eq!(top(flags), whole, "{flags}");
    }
}

#[test]
fn the_prompt_comes_first_and_timings_go_to_stderr() {
    let assert = sharpi("run -p ROMEO: -n 4 --ignore-eos").assert().success();
    let output = assert.get_output();
    assert!(output.stdout.starts_with(b"ROMEO:") && output.stdout.ends_with(b"\n"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    for words in ["prompt:", "2 tokens", "generation:", "4 tokens", "tokens/s"] {
        assert!(stderr.contains(words), "{stderr}");
    }
    let without = stdout(sharpi(
        "run -p ROMEO: -n 4 --ignore-eos --no-display-prompt",
    ));
    assert_eq!(
        format!("ROMEO:{without}"),
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn a_prompt_comes_from_a_file_or_as_ids() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("prompt.txt");
    fs::write(&file, "ROMEO:\n").unwrap();
    let mut from_file = sharpi("run -n 0 --json -f");
    from_file.arg(&file);
    assert_eq!(json(from_file)["prompt_ids"], serde_json::json!([870, 25]));
    assert_eq!(stdout(sharpi("run -n 0 --ids 870,25")), "ROMEO:\n");
}

#[test]
fn a_seed_fixes_what_is_drawn() {
    let ids = |seed: &str| {
        json(sharpi(&format!(
            "run -p ROMEO: -n 16 --json --temp 2 --top-k 0 --min-p 0 --top-p 1 -s {seed}"
        )))["ids"]
            .clone()
    };
    assert_eq!(ids("7"), ids("7"));
    assert_ne!(ids("7"), ids("8"));
}

#[test]
fn a_full_context_ends_the_text_and_says_so() {
    let mut command = sharpi("run -p ROMEO: -n -1 -c 8 --ignore-eos --json");
    let found = json(command);
    // The last token comes out, but there is no place to feed it.
    assert_eq!(found["ids"].as_array().unwrap().len(), 7);
    command = sharpi("run -p ROMEO: -n -1 -c 8 --ignore-eos");
    let output = command.assert().success().get_output().clone();
    assert!(String::from_utf8_lossy(&output.stderr).contains("context of 8 tokens is full"));
}

#[test]
fn a_prompt_that_cannot_be_continued_is_refused() {
    let mut empty = sharpi("run -p");
    empty.arg("");
    fails(empty, 1, &["the prompt is empty", "-p"]);
    fails(sharpi("run --ids []"), 1, &["the prompt is empty"]);
    fails(
        sharpi("run --ids 1,2,3 -c 2"),
        1,
        &["3 tokens", "room for 2", "-c N"],
    );
    let huge = sharpi("run -p x -c 9999999999");
    fails(huge, 1, &["cannot be allocated", "smaller context with -c"]);
    fails(sharpi("run --ids 1,2048"), 1, &["2048", "0 to 2047"]);
    fails(sharpi("run -f no/such.txt"), 1, &["no/such.txt", "-f"]);
}

#[test]
fn drafting_changes_neither_ids_nor_logits_and_is_told() {
    let told = |flags: &str| {
        json(sharpi(&format!(
            "run -p ROMEO: -n 40 --ignore-eos --json --logits-top 5 {flags}"
        )))
    };
    let plain = told("");
    assert_eq!(plain["rounds"], serde_json::json!([]));
    for flags in [
        "--spec-type draft-mtp",
        "--spec-type auto --spec-draft-n-max 5",
        "--spec-type draft-mtp --spec-draft-p-min 0.5 --spec-draft-n-min 2",
        "--spec-type draft-mtp --draft-vocab 400",
        "--spec-type draft-mtp --spec-draft-n-max auto",
    ] {
        let drafted = told(flags);
        assert_eq!(drafted["ids"], plain["ids"], "{flags}");
        assert_eq!(drafted["top"], plain["top"], "{flags}");
        let rounds = drafted["rounds"].as_array().unwrap();
        let sum = |of: &dyn Fn(&Value) -> u64| rounds.iter().map(of).sum::<u64>();
        let drafts = sum(&|r| r["draft"].as_array().unwrap().len() as u64);
        assert_eq!(drafted["drafted"], drafts);
        assert_eq!(
            drafted["accepted"],
            sum(&|r| r["accepted"].as_u64().unwrap())
        );
        assert!(drafts > 0, "{flags}");
        assert_eq!(rounds[0]["position"], 1, "the last token of the prompt");
    }
}

#[test]
fn each_round_can_be_traced_and_a_summary_ends_the_run() {
    let mut run = sharpi("run -p ROMEO: -n 30 --ignore-eos --spec-type draft-mtp");
    let assert = run.env("SHARPI_TRACE_MTP", "1").assert().success();
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    let lines = stderr.lines().filter(|l| l.starts_with("mtp ")).count();
    assert!(stderr.contains(&format!("{lines} rounds, ")), "{stderr}");
    for words in [
        "; accepted ",
        "tokens per round",
        "by place:",
        "verify",
        "roll back",
    ] {
        assert!(stderr.contains(words), "{words} in {stderr}");
    }
    let mut run = sharpi("run -p ROMEO: -n 30 --ignore-eos --spec-type draft-mtp");
    let assert = run.env("SHARPI_DISABLE_MTP", "1").assert().success();
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("SHARPI_DISABLE_MTP") && !stderr.contains("rounds"));
}

#[test]
fn named_tensors_can_be_traced_and_change_nothing() {
    let run = "run -p ROMEO: -n 3 --ignore-eos --spec-type draft-mtp";
    let plain = stdout(sharpi(run));
    let assert = sharpi(&format!("{run} --trace-layers")).assert().success();
    assert_eq!(String::from_utf8_lossy(&assert.get_output().stdout), plain);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    for words in [
        "@trunk linear_attn_qkv_mixed-0 [1, 1280]: l2 ",
        "@mtp mtp_eh_proj-4 [",
        "first",
        "last",
    ] {
        assert!(stderr.contains(words), "{words}");
    }
}

#[test]
fn a_seed_fixes_what_is_drawn_with_drafts_too() {
    let ids = |seed: u32| {
        json(sharpi(&format!(
            "run -p ROMEO: -n 30 --json --ignore-eos --spec-type draft-mtp --temp 1 -s {seed}"
        )))["ids"]
            .clone()
    };
    assert_eq!(ids(5), ids(5));
    assert_ne!(ids(5), ids(6));
}

#[test]
fn ids_to_draft_come_from_a_file_and_only_they_are_drafted() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("ids");
    let run = |ids: &str| {
        fs::write(&file, ids).unwrap();
        let mut run = sharpi("run -p ROMEO: -n 30 --ignore-eos --json --spec-type draft-mtp");
        run.arg("--draft-vocab").arg(&file);
        run
    };
    let rounds = json(run("11\n0, 198\n295 26"))["rounds"].clone();
    let drafts = rounds.as_array().unwrap().iter();
    let drafted = drafts.flat_map(|r| r["draft"].as_array().unwrap());
    let drafted: Vec<u64> = drafted
        .map(|token| token.as_u64().or(token[0].as_u64()).unwrap())
        .collect();
    assert!(!drafted.is_empty());
    assert!(
        drafted.iter().all(|id| [0, 11, 26, 198, 295].contains(id)),
        "{drafted:?}"
    );
    fails(
        run("11, 2048"),
        1,
        &["id 2048", "0 to 2047", "--draft-vocab"],
    );
    fails(run("11, x"), 1, &["\"x\" is no token id", "--draft-vocab"]);
    fails(run(""), 1, &["no ids", "--draft-vocab"]);
    let missing = sharpi("run -p x --spec-type draft-mtp --draft-vocab no/such/file");
    fails(missing, 1, &["no/such/file", "--draft-vocab"]);
}
