//! Command lines of llama.cpp's programs.

use std::fs;

use tempfile::tempdir;

use crate::{fails, json, sharpi, stderr, stdout};

#[test]
fn a_download_is_refused_by_name_and_what_to_do_is_told() {
    for args in [
        "run -hf x/y",
        "run -hf x/y -p hello",
        "run --hf-repo x/y -hff z.gguf -p hello",
        "bench -hf x/y",
        "run -mu http://x/y.gguf -p hello",
    ] {
        let name = args.split(' ').nth(1).unwrap();
        fails(sharpi(args), 2, &[name, "nothing is downloaded", "-m FILE"]);
    }
    fails(sharpi("-hf x/y"), 2, &["-hf", "run -p TEXT"]);
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    for option in [
        "--mmproj a.gguf",
        "--lora a.gguf",
        "--lora-scaled a.gguf:0.5",
        "-cnv",
        "-i",
        "-sys hello",
        "--chat-template chatml",
        "--control-vector a.gguf",
        "--override-kv a=int:1",
        "--rope-freq-base 10000",
        "--presence-penalty 1.5",
        "--mirostat 2",
        "--samplers top_k",
        "-l 15043+1",
        "--context-shift",
        "--rpc host:1",
        "-np 4",
        "-r stop",
    ] {
        let name = option.split(' ').next().unwrap();
        let args = format!("run -p x {option}");
        fails(sharpi(&args), 2, &[name, "cannot be carried out"]);
    }
}

#[test]
fn what_changes_nothing_is_accepted_and_said_with_v() {
    let plain = json(sharpi("run -p ROMEO: -n 4 --ignore-eos --json"));
    let options = "-ngl 99 -no-cnv -fa on -tb 2 --no-mmap --no-warmup -co off --jinja -sm none \
                   -np 1 --keep 0 --presence-penalty 0.0 --numa isolate -ub 64 --perf";
    let args = format!("run -p ROMEO: -n 4 --ignore-eos --json {options}");
    assert_eq!(json(sharpi(&args))["ids"], plain["ids"]);
    assert!(!stderr(&args).contains("does nothing"), "{}", stderr(&args));
    let told = stderr(&format!("{args} -v"));
    for name in [
        "-ngl 99",
        "-no-cnv",
        "-fa on",
        "-tb 2",
        "--no-mmap",
        "-np 1",
    ] {
        assert!(
            told.contains(&format!("{name} does nothing here: ")),
            "{told}"
        );
    }
    let warned = stderr("run -p ROMEO: -n 1 -fa off --log-file x");
    for name in ["warning: -fa off does", "warning: --log-file x does"] {
        assert!(warned.contains(name), "{warned}");
    }
}

#[test]
fn options_under_another_name_are_carried_out() {
    let ids = |args: &str| json(sharpi(&format!("run --ids 870,25 --json {args}")))["ids"].clone();
    assert_eq!(ids("--predict 3 --ignore-eos").as_array().unwrap().len(), 3);
    let drawn = "-n 8 --ignore-eos -s 4 --temp 1.5";
    assert_eq!(ids("-n 8 --ignore-eos -s 4 --temperature 1.5"), ids(drawn));
    let repeated = "-n 24 --ignore-eos --repeat-penalty 1.9";
    assert_ne!(ids(repeated), ids(&format!("{repeated} --repeat-last-n 0")));
    let bench = json(sharpi(
        "bench -p 4 -n 0 -r 1 -mmp 0 -fa 0,1 -ngl 0,99 -ub 2 -o json",
    ));
    assert_eq!(bench.as_array().unwrap().len(), 1);
    assert_eq!(bench[0]["n_batch"], 2);
}

#[test]
fn an_option_that_nobody_knows_is_refused_with_the_nearest() {
    fails(sharpi("run -p x -nlg 3"), 2, &["-nlg", "`-ngl`"]);
    fails(sharpi("run -p x -ctx 3"), 2, &["-ctx", "-ctk"]);
    fails(sharpi("run -p x --top-q 3"), 2, &["--top-q", "--top-"]);
    fails(sharpi("run -p x -pg 4,2"), 2, &["-pg"]);
    fails(sharpi("run -p x -ngl"), 2, &["-ngl needs a value"]);
    fails(sharpi("run -p x --mmap=1"), 2, &["--mmap takes no value"]);
}

/// The ids of the prompt of a run with these arguments and this standard input.
fn prompt_ids(args: &[&str], stdin: &str) -> serde_json::Value {
    let mut command = sharpi("run -n 0 --json");
    command.args(args).write_stdin(stdin);
    json(command)["prompt_ids"].clone()
}

#[test]
fn escapes_in_a_prompt_are_read_unless_told_otherwise() {
    let meant = prompt_ids(&["-p", "a\nb"], "");
    assert_eq!(prompt_ids(&["-p", "a\\nb"], ""), meant);
    assert_eq!(prompt_ids(&["-e", "-p", "a\\nb"], ""), meant);
    let literal = prompt_ids(&["--no-escape", "-p", "a\\nb"], "");
    assert_ne!(literal, meant);
    assert_eq!(prompt_ids(&["-p", "a\\\\nb"], ""), literal);
    assert_eq!(prompt_ids(&["-f", "-"], "a\\nb"), literal);
    let mut bad = sharpi("run -p");
    bad.arg("\\xff");
    fails(bad, 2, &["UTF-8", "--no-escape"]);
}

#[test]
fn a_dash_stands_for_the_standard_input() {
    let ids = serde_json::json!([870, 25]);
    for option in ["-p", "-f"] {
        assert_eq!(prompt_ids(&[option, "-"], "ROMEO:"), ids, "{option}");
        assert_eq!(prompt_ids(&[option, "-"], "ROMEO:\r\n"), ids, "{option}");
    }
    let mut tokenize = sharpi("tokenize --json -");
    tokenize.write_stdin("ROMEO:\n");
    assert_eq!(json(tokenize), ids);
}

#[test]
fn marks_and_line_ends_of_editors_are_no_tokens() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("prompt.txt");
    let ids = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        prompt_ids(&["-f", file.to_str().unwrap()], "")
    };
    let bare = ids(b"ROMEO:");
    assert_eq!(bare, serde_json::json!([870, 25]));
    for same in [
        "ROMEO:\r\n",
        "ROMEO:\n",
        "\u{feff}ROMEO:",
        "\u{feff}ROMEO:\r\n",
    ] {
        assert_eq!(ids(same.as_bytes()), bare, "{same:?}");
    }
    assert_ne!(ids(b"ROMEO:\n\n"), bare);
    fs::write(&file, b"\xff\xfeR\0").unwrap();
    let mut utf16 = sharpi("run -n 0 -f");
    utf16.arg(&file);
    fails(utf16, 1, &["UTF-16", "iconv"]);
}

#[test]
fn bytes_of_partial_characters_are_shown() {
    let mut tokenize = sharpi("tokenize");
    tokenize.arg("🦁");
    let list = stdout(tokenize);
    assert!(
        list.contains("\\xf0") && !list.contains('\u{fffd}'),
        "{list}"
    );
}
