//! `chat` and `run --chat`, on the model that is part of the program: it continues plays.

mod prompts;
mod saved;
mod terminal;

use std::fs;
use std::process::Output;

use serde_json::Value;
use tempfile::tempdir;

use crate::{fails, sharpi};

/// What a chat with these arguments prints when it is told these lines.
fn told(args: &[&str], lines: &str) -> Output {
    let mut command = sharpi("chat");
    command.args(args).write_stdin(lines);
    command.output().unwrap()
}

/// The same of one that goes well: its standard output and stderr.
#[track_caller]
fn talk(args: &[&str], lines: &str) -> (String, String) {
    let output = told(args, lines);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{err}");
    (out, err)
}

/// How many of how many tokens of each prompt were read.
fn read_anew(stderr: &str) -> Vec<(usize, usize)> {
    let lines = stderr.lines().filter(|line| line.contains("read anew"));
    let numbers = lines.map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let of = words.iter().rposition(|word| *word == "of").unwrap();
        (
            words[of - 1].parse().unwrap(),
            words[of + 1].parse().unwrap(),
        )
    });
    numbers.collect()
}

const GREEDY: [&str; 2] = ["--temp", "0"];
const FIRST: &str = "Good morrow, cousin. What news do you bring us from the court of France?\n";
const SECOND: &str = "And what says the king?\n";

#[test]
fn a_second_turn_reads_only_what_is_new_and_answers_the_same() {
    let lines = [FIRST, SECOND].concat();
    let (out, err) = talk(&GREEDY, &lines);
    let read = read_anew(&err);
    assert_eq!(read.len(), 2, "{err}");
    assert_eq!(read[0].0, read[0].1);
    assert!(read[1].0 < read[1].1 / 2, "{err}");
    assert!(
        err.contains("tokens/s") && err.contains("Shakespeare"),
        "{err}"
    );
    let (anew, err) = talk(&[GREEDY[0], GREEDY[1], "--cache-ram", "0"], &lines);
    assert!(
        read_anew(&err).iter().all(|(read, all)| read == all),
        "{err}"
    );
    assert_eq!(out, anew);
    assert!(out.starts_with(&talk(&GREEDY, FIRST).0));
}

#[test]
fn an_answer_is_given_again_by_its_seed_and_drawn_anew_by_another() {
    let seed = ["-s", "4", "-n", "40"];
    let once = talk(&seed, FIRST).0;
    assert_eq!(talk(&seed, &[FIRST, "/regen\n"].concat()).0, once.repeat(2));
    let other = talk(&seed, &[FIRST, "/params seed 5\n/regen\n"].concat()).0;
    assert_ne!(other, once.repeat(2));
    // The first answer is gone: what follows is what follows the second alone.
    let after = talk(&seed, &[FIRST, "/params seed 5\n/regen\n", SECOND].concat()).0;
    let alone = talk(&["-s", "5", "-n", "40"], &[FIRST, SECOND].concat()).0;
    assert_eq!(after, once + &alone);
    fails_at("/regen\n", 2, &["line 1", "no answer", "say something"]);
}

/// Lines whose last one fails, with words of what is said.
#[track_caller]
fn fails_at(lines: &str, code: i32, words: &[&str]) {
    let mut command = sharpi("chat --temp 0 -n 4");
    command.write_stdin(lines);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    for word in words.iter().chain(&["help"]) {
        assert!(stderr.contains(word), "expected {word:?} in:\n{stderr}");
    }
}

#[test]
fn a_wrong_command_ends_a_script_with_its_line_and_the_nearest() {
    fails_at(
        "\n/claer\nhello\n",
        2,
        &["line 2", "/claer", "`/clear` is the nearest", "//claer"],
    );
    fails_at("/clear now\n", 2, &["/clear takes nothing"]);
    fails_at("/save\n", 2, &["/save takes FILE"]);
    fails_at("/params tmep 1\n", 2, &["no parameter tmep", "`temp`"]);
    fails_at(
        "/params temp -1\n",
        2,
        &["temp cannot be `-1`", "0 or more"],
    );
    fails_at("a\n\"\"\"b\nc\n", 1, &["line 2", "no end"]);
    let output = told(&GREEDY, "/claer\nhello\n");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert_eq!(read_anew(&String::from_utf8_lossy(&output.stderr)), []);
}

#[test]
fn parameters_are_shown_and_changed() {
    let (out, _) = talk(
        &["--top-k", "7", "-s", "1"],
        "/params\n/params think off\n/params think\n",
    );
    assert!(out.contains("temp               0.8 "), "{out}");
    assert!(out.contains("top_k              7 "), "{out}");
    assert!(
        out.lines()
            .last()
            .unwrap()
            .starts_with("think              off "),
        "{out}"
    );
    let short = talk(&GREEDY, &["/params n_predict 3\n", FIRST].concat());
    assert!(
        short.1.contains("3 tokens") && short.1.contains("cut off by -n"),
        "{}",
        short.1
    );
}

#[test]
fn thoughts_are_kept_apart_unless_they_are_to_stay() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("talk.json");
    let save = format!("ROMEO:\n/save {}\n", file.display());
    let template = "{{ messages[-1].content }}<think>{# </think> #}";
    let args = |format| {
        [
            "--temp",
            "0",
            "-n",
            "8",
            "--ignore-eos",
            "--chat-template",
            template,
            "--reasoning-format",
            format,
        ]
    };
    let (out, _) = talk(&args("auto"), &save);
    let thought = out
        .strip_prefix("<think>\n")
        .unwrap()
        .strip_suffix("\n</think>\n")
        .unwrap();
    let saved: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(saved["messages"][1]["reasoning_content"], thought);
    assert_eq!(saved["messages"][1]["content"], "");
    let (plain, _) = talk(&args("none"), &save);
    assert_eq!(plain, format!("{thought}\n"));
}

#[test]
fn one_message_is_answered_by_chat_and_by_run_alike() {
    let message = FIRST.trim();
    let answer = talk(&["--temp", "0", "-sys", "Verse.", "-p", message], "").0;
    let mut run = sharpi("run --chat -n -1 --system Verse. -p");
    run.arg(message);
    assert_eq!(crate::stdout(run), answer);
    let mut turn = sharpi("run -st -n -1 -sys Verse. -p");
    turn.arg(message);
    assert_eq!(crate::stdout(turn), answer);
    let folder = tempdir().unwrap();
    let file = folder.path().join("message.txt");
    fs::write(&file, FIRST).unwrap();
    let system = ["--temp", "0", "-sys", "Verse."];
    let from: [(&[&str], &str); 2] = [(&["-f", file.to_str().unwrap()], ""), (&["-p", "-"], FIRST)];
    for (source, stdin) in from {
        let args: Vec<&str> = system.iter().chain(source).copied().collect();
        assert_eq!(talk(&args, stdin).0, answer);
    }
    // A message is no command.
    assert!(
        talk(&["--temp", "0", "-n", "4", "-p", "/exit"], "")
            .1
            .contains("4 tokens")
    );
    for option in [
        "--system x",
        "--chat-template chatml",
        "--chat-template-kwargs {}",
    ] {
        fails(sharpi(&format!("run -p x {option}")), 2, &["--chat"]);
    }
    fails(sharpi("run --chat --ids 1,2"), 2, &[]);
}

#[test]
fn command_lines_of_llama_cli_hold_a_conversation() {
    let args = "-cnv -st --jinja -ngl 99 -fa on --no-warmup -co on --temperature 0 -n 4 -p hi";
    let args: Vec<&str> = args.split(' ').collect();
    assert_eq!(
        talk(&args, "").0,
        talk(&["--temp", "0", "-n", "4", "-p", "hi"], "").0
    );
}

#[test]
fn a_conversation_that_does_not_fit_says_what_to_do() {
    let output = told(
        &["--temp", "0", "-c", "32", "--ignore-eos"],
        "hello\nhello\n",
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the context is full"), "{stderr}");
    for words in ["line 2", "room for 32", "/clear"] {
        assert!(stderr.contains(words), "{stderr}");
    }
}
