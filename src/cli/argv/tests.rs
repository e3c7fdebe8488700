use clap::CommandFactory;

use super::*;
use crate::cli::Cli;

fn translated(line: &str) -> Result<CommandLine, Failure> {
    let mut root = Cli::command();
    root.build();
    translate(line.split(' ').map(OsString::from), &root)
}

fn args(line: &str) -> String {
    let Ok(found) = translated(line) else {
        panic!("{line} is refused");
    };
    found.args.join(" ".as_ref()).into_string().unwrap()
}

#[test]
fn options_of_several_letters_get_their_long_names() {
    assert_eq!(
        args("x run -ctk f32 -ctv=f16 -c 5 -- -ctk"),
        "x run --cache-type-k f32 --cache-type-v f16 -c 5 -- -ctk"
    );
    assert_eq!(args("x bench -pg 4,2"), "x bench --n-prompt-gen 4,2");
    assert_eq!(args("x run -p x -lm mlock"), "x run -p x --mlock");
}

#[test]
fn what_an_option_takes_is_never_an_option() {
    assert_eq!(args("x run -p -ngl -n 4"), "x run -p -ngl -n 4");
    assert_eq!(args("x run -p --mmproj"), "x run -p --mmproj");
    assert_eq!(args("x tokenize -nothing"), "x tokenize -nothing");
    assert_eq!(args("x detokenize --ids -ngl"), "x detokenize --ids -ngl");
}

#[test]
fn values_may_stand_right_behind_a_letter() {
    let line = "x run -n-1 -t2 -c=512 -m./a.gguf -p x";
    assert_eq!(args(line), line);
}

#[test]
fn what_does_nothing_here_is_left_out_and_remembered() {
    let line = "x run -p x -ngl 99 -no-cnv -fa on -fa --no-mmap -fa off -tb 2";
    let Ok(found) = translated(line) else {
        panic!("refused");
    };
    assert_eq!(found.args.len(), 4);
    let idle: Vec<_> = found
        .idle
        .iter()
        .map(|idle| {
            let said = idle.text.split(" does").next().unwrap();
            (said, idle.matters)
        })
        .collect();
    let expected = [
        ("-ngl 99", false),
        ("-no-cnv", false),
        ("-fa on", false),
        ("-fa", false),
        ("--no-mmap", false),
        ("-fa off", true),
        ("-tb 2", false),
    ];
    assert_eq!(idle, expected);
}

#[test]
fn what_cannot_be_done_is_refused() {
    for line in [
        "x run -hf x/y -p x",
        "x run -p x --lora a.gguf",
        "x run -p x --presence-penalty 1.5",
        "x run -p x -cnv",
        "x run -p x -xyz",
        "x run -p x -ngl",
        "x run -p x -ngl --temp 1",
        "x run -pg 4,2",
        "x bench -embd 1",
        "x -hf x/y",
    ] {
        assert!(translated(line).is_err(), "{line}");
    }
    assert_eq!(args("x run -p x --presence-penalty 0.0"), "x run -p x");
    assert_eq!(args("x bench -embd 0 -mmp 0,1"), "x bench");
    assert_eq!(args("x bench --repack 0"), "x bench --no-repack");
}
