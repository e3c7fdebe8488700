//! Options that do nothing, and what a run says of itself.

use crate::{fails, json, sharpi, stderr, stdout};

#[test]
fn options_that_do_nothing_are_told() {
    for (args, warning) in [
        ("--top-k 5", "--top-k does nothing without --temp"),
        (
            "--top-p 0.5 -s 3",
            "--top-p, --seed do nothing without --temp",
        ),
        (
            "--repeat-last-n 5",
            "--repeat-last-n does nothing without --repeat-penalty",
        ),
        (
            "--spec-draft-n-max 4",
            "--spec-draft-n-max does nothing without drafting",
        ),
        (
            "--draft-vocab 99 --trace-mtp",
            "--draft-vocab, --trace-mtp do nothing without drafting",
        ),
        ("-c 100000", "a context of 100000 tokens is more than the "),
        ("-t 300", "300 threads are more than the "),
        ("--pin -t 1", "--pin does nothing with one thread"),
        ("--ids 870 -e", "--escape"),
    ] {
        let prompt = if args.contains("--ids") { "" } else { "-p x" };
        let told = stderr(&format!("run {prompt} -n 1 {args}"));
        assert!(
            told.contains(&format!("warning: {warning}")),
            "{args}: {told}"
        );
    }
    let none = stderr(
        "run -p x -n 1 --temp 1 --top-k 5 --top-p 0.5 -s 3 --spec-type auto --spec-draft-n-max 4",
    );
    assert!(!none.contains("warning"), "{none}");
}

#[test]
fn an_instruction_set_that_does_not_exist_is_refused() {
    for args in ["run -p x -n 1", "bench -p 1 -n 0 -r 1", "profile -p x -n 1"] {
        let mut command = sharpi(args);
        command.env("SHARPI_SIMD", "bogus");
        let known = "scalar, avx2, avxvnni, avx512";
        fails(command, 2, &["SHARPI_SIMD", "bogus", known]);
    }
    let mut command = sharpi("run -p ROMEO: -n 1");
    command.env("SHARPI_SIMD", "scalar");
    let output = command.assert().success().get_output().clone();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains(", scalar;") && !told.contains("warning"),
        "{told}"
    );
}

#[test]
fn an_empty_range_is_refused() {
    fails(
        sharpi("bench -p 5-1"),
        2,
        &["\"5-1\" is empty", "--n-prompt"],
    );
    fails(sharpi("bench -n 1,8-2+2"), 2, &["\"8-2+2\" is empty"]);
    fails(sharpi("bench -t 4-2"), 2, &["\"4-2\" is empty"]);
}

#[test]
fn a_run_says_what_it_runs_in_one_line() {
    let told = stderr("run -p ROMEO: -n 2 -t 1 -c 99");
    let first = told.lines().next().unwrap();
    for words in ["qwen35", "context 99", "1 thread, ", "@trunk", "steps"] {
        assert!(first.contains(words), "{first}");
    }
    assert!(!first.contains("seed"));
    assert_eq!(stderr("run -p ROMEO: -n 2 -t 1 -q"), "");
    let more = stderr("run -p ROMEO: -n 2 -t 1 -v");
    for words in ["quantize-activations", "prompt: ids [870, 25]"] {
        assert!(more.contains(words), "{more}");
    }
}

#[test]
fn a_drawn_seed_is_told_and_repeats_the_text() {
    let args = "run -p ROMEO: -n 12 --ignore-eos --temp 1.5 --json";
    let drawn = json(sharpi(args));
    let seed = drawn["seed"].as_u64().unwrap();
    assert_eq!(drawn["run"]["seed"], seed);
    let again = json(sharpi(&format!("{args} -s {seed}")));
    assert_eq!(again["ids"], drawn["ids"]);
    let told = stderr("run -p ROMEO: -n 1 --temp 1.5 -s 77");
    assert!(told.contains("; seed 77"), "{told}");
    let greedy = json(sharpi("run -p ROMEO: -n 1 --json"));
    assert!(greedy["seed"].is_null());
}

#[test]
fn why_a_text_ended_is_told() {
    for (args, stop) in [
        ("-n 3 --ignore-eos", "length"),
        ("-n 0", "length"),
        ("-n -1 -c 8 --ignore-eos", "context"),
        ("-n -1 -c 2000", "eos"),
        ("-n -1 -c 2000 --spec-type draft-mtp", "eos"),
        ("-n -1 -c 9 --ignore-eos --spec-type draft-mtp", "context"),
    ] {
        let args = format!("run -p ROMEO: {args}");
        assert_eq!(
            json(sharpi(&format!("{args} --json")))["stop"],
            stop,
            "{args}"
        );
        let told = stderr(&args);
        assert!(told.contains(&format!("\nstopped:    {stop}")), "{told}");
    }
}

#[test]
fn the_tokens_of_a_prompt_are_counted_right_with_drafting_too() {
    for flags in ["", "--spec-type draft-mtp"] {
        let args = format!("run --ids 870,25,1178 -n 4 --ignore-eos {flags}");
        let found = json(sharpi(&format!("{args} --json")));
        assert_eq!(found["timings"]["prompt_tokens"], 3, "{flags}");
        assert!(stderr(&args).contains("s, 3 tokens"), "{flags}");
    }
    let one = json(sharpi("run --ids 870 -n 4 --spec-type draft-mtp --json"));
    assert_eq!(one["timings"]["prompt_tokens"], 1);
}

#[test]
fn the_version_tells_commit_target_and_features() {
    let long = stdout(sharpi("--version"));
    for words in ["commit: ", "target: ", "features: kernels for scalar"] {
        assert!(long.contains(words), "{long}");
    }
    assert_eq!(stdout(sharpi("-V")).lines().count(), 1);
}
