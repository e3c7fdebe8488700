//! `perplexity`, and the files of log probabilities that it shares with llama-perplexity.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::{fails, json, sharpi, stdout};

const TEXT: &str = "fixtures/perplexity/richard.txt";
const MICRO: &str = "fixtures/models/micro-dense-f32.gguf";
/// What llama.cpp made of the text with that model (`cargo reference perplexity`): 6 chunks of 48
/// tokens.
const BASE: &str = "fixtures/perplexity/micro-dense-f32.kld";

/// `perplexity` over the text, with further arguments.
fn perplexity(args: &str) -> Command {
    sharpi(&format!("perplexity -f {TEXT} {args}"))
}

/// `perplexity` beside a base file.
fn beside(base: &Path, args: &str) -> Command {
    let mut command = sharpi(&format!("perplexity -m {MICRO} --kl-divergence {args}"));
    command.arg("--kl-divergence-base").arg(base);
    command
}

/// The bytes of the base, changed, in a file that is gone with the folder.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> (TempDir, PathBuf) {
    let mut bytes = fs::read(BASE).unwrap();
    change(&mut bytes);
    let folder = tempdir().unwrap();
    let file = folder.path().join("changed.kld");
    fs::write(&file, bytes).unwrap();
    (folder, file)
}

#[test]
fn the_perplexity_of_each_chunk_and_of_all_is_printed_as_llama_perplexity_does() {
    let text = stdout(perplexity("-c 64 --chunks 3"));
    let (running, last) = text.split_once(",\n").unwrap();
    let running: Vec<f64> = (1..)
        .zip(running.split(','))
        .map(|(i, part)| {
            part.strip_prefix(&format!("[{i}]"))
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    assert_eq!(running.len(), 3);
    let found = json(perplexity("-c 64 --chunks 3 --json"));
    let (value, error) = (
        found["ppl"].as_f64().unwrap(),
        found["ppl_error"].as_f64().unwrap(),
    );
    assert_eq!(
        last,
        format!("Final estimate: PPL = {value:.4} +/- {error:.5}\n")
    );
    assert_eq!(format!("{:.4}", running[2]), format!("{value:.4}"));
    assert_eq!(found["positions"], 3 * 31);
    assert_eq!(found["n_ctx"], 64);
}

#[test]
fn not_a_bit_depends_on_threads_or_on_how_many_tokens_are_fed_at_once() {
    let all = json(perplexity("-c 96 --json -t 1"));
    for args in ["-t 2 -b 7", "-t 1 -b 1 --no-repack"] {
        assert_eq!(
            json(perplexity(&format!("-c 96 --json {args}"))),
            all,
            "{args}"
        );
    }
    assert_ne!(json(perplexity("-c 96 --json -t 1 -ctk bf16")), all);
}

#[test]
fn the_text_may_come_from_standard_input() {
    let mut command = sharpi("perplexity -c 64 -f -");
    command.write_stdin(fs::read(TEXT).unwrap());
    assert_eq!(stdout(command), stdout(perplexity("-c 64")));
}

#[test]
fn what_was_written_is_no_divergence_from_itself() {
    let folder = tempdir().unwrap();
    let base = folder.path().join("own.kld");
    let mut write = perplexity("-c 64 --json --save-all-logits");
    let written = json({
        write.arg(&base);
        write
    });
    let mut read = perplexity("--json --kl-divergence --kl-divergence-base");
    let found = json({
        read.arg(&base);
        read
    });
    assert_eq!(found["ppl"], written["ppl"]);
    let apart = &found["kl_divergence"];
    // What rounding to 16 bits leaves.
    assert!(apart["mean"].as_f64().unwrap().abs() < 1e-5, "{apart}");
    assert_eq!(apart["same_top"], 1.0);
    let ratio = apart["log_ppl_ratio"].as_f64().unwrap();
    assert!(ratio.abs() < 1e-4, "{apart}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn another_type_of_cache_diverges_and_the_position_that_does_most_is_told() {
    let folder = tempdir().unwrap();
    let base = folder.path().join("f32.kld");
    let mut write = perplexity("-c 64 -ctk f32 -ctv f32 --kl-divergence-base");
    stdout({
        write.arg(&base);
        write
    });
    let read = |args: &str| {
        let mut command = sharpi(&format!("perplexity -ctk bf16 --kl-divergence {args}"));
        command.arg("--kl-divergence-base").arg(&base);
        command
    };
    let found = json(read("--json"));
    let apart = &found["kl_divergence"];
    let (mean, largest) = (apart["mean"].as_f64().unwrap(), &apart["largest"]);
    let most = largest["kl"].as_f64().unwrap();
    assert!(0.0 < mean && mean < most, "{apart}");
    assert_eq!(apart["quantiles"][0], serde_json::json!([1.0, most]));
    // The text around it is that of the file.
    let text = fs::read_to_string(TEXT).unwrap();
    let shown = largest["text"].as_str().unwrap().to_string() + largest["next"].as_str().unwrap();
    assert!(text.contains(&shown), "{shown:?}");
    let shown = stdout(read(""));
    for line in [
        "Mean PPL(Q)",
        "Mean    KLD:",
        "Median  KLD:",
        "Same top p:",
        "likeliest:",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}

#[test]
fn log_probabilities_that_llama_cpp_kept_are_those_of_the_same_model_here() {
    let found = json(beside(Path::new(BASE), &format!("--json -f {TEXT}")));
    let apart = &found["kl_divergence"];
    let number = |value: &Value| value.as_f64().unwrap();
    assert_eq!((&found["chunks"], &found["n_ctx"]), (&6.into(), &48.into()));
    assert_eq!(found["positions"], 6 * 23);
    assert_eq!(format!("{:.4}", number(&found["ppl"])), PPL);
    let base = number(&apart["ppl_base"]);
    // A file holds what is less likely than the best token by more than exp(16) to be as likely as
    // that, which tokens of a text hardly ever are but for a model with random weights.
    assert!((base / number(&found["ppl"]) - 1.0).abs() < 0.02, "{apart}");
    assert!(number(&apart["mean"]).abs() < 1e-5, "{apart}");
    assert!(number(&apart["largest"]["kl"]) < 1e-4, "{apart}");
    assert_eq!(apart["same_top"], 1.0);
}

/// llama.cpp printed 31237.3347.
const PPL: &str = "31237.2176";

#[test]
fn another_model_is_told_apart_from_the_base() {
    let mut command = sharpi("perplexity -m fixtures/models/micro-dense-Q2_K.gguf --kl-divergence");
    command.args(["--json", "--kl-divergence-base", BASE]);
    let apart = &json(command)["kl_divergence"];
    assert!(apart["mean"].as_f64().unwrap() > 1e-3, "{apart}");
    assert!(apart["same_top"].as_f64().unwrap() < 1.0, "{apart}");
}

#[test]
fn a_base_that_does_not_fit_is_refused_with_the_reason() {
    let mut other_model = sharpi("perplexity --kl-divergence --kl-divergence-base");
    other_model.arg(BASE);
    fails(other_model, 1, &["vocabulary of 512", "2048"]);
    let base = Path::new(BASE);
    fails(beside(base, "-c 32"), 1, &["48 tokens", "-c asks for 32"]);
    fails(
        beside(base, "-f LICENSE-MIT"),
        1,
        &["not of this text", "token 0"],
    );
    fails(beside(Path::new("nowhere.kld"), ""), 1, &["nowhere.kld"]);
    fails(beside(Path::new("src"), ""), 1, &["not a regular file"]);
    fails(beside(Path::new(TEXT), ""), 1, &["Now is t", "_logits_"]);
    // A larger context than the chunks need is none of their business.
    let found = json(beside(base, "-c 64 --json --chunks 1"));
    assert_eq!((&found["n_ctx"], &found["chunks"]), (&48.into(), &1.into()));
}

#[test]
fn a_base_that_is_damaged_is_refused_with_the_place() {
    let put = |at: usize, number: i32| {
        move |bytes: &mut Vec<u8>| bytes[at..at + 4].copy_from_slice(&number.to_le_bytes())
    };
    let refused = |change: &dyn Fn(&mut Vec<u8>), words: &[&str]| {
        let (_folder, file) = changed(change);
        fails(beside(&file, ""), 1, words);
    };
    refused(&|bytes| bytes.truncate(4), &["\"_log\""]);
    refused(&|bytes| bytes.clear(), &["\"\""]);
    refused(&|bytes| bytes.truncate(14), &["within its header"]);
    refused(&put(8, 2), &["chunks of 2", "3 tokens or more"]);
    refused(&put(8, -1), &["chunks of -1"]);
    refused(
        &put(8, i32::MAX),
        &["2147483647 tokens", "0 chunks are whole"],
    );
    refused(&put(12, 0), &["vocabulary of 0"]);
    refused(&put(12, i32::MAX), &["2147483647 log probabilities"]);
    refused(&put(16, 0), &["1 chunk or more"]);
    refused(&put(16, i32::MAX), &["2147483647 chunks"]);
    refused(&put(20, 512), &["token 0", "id 512", "vocabulary of 512"]);
    refused(&put(24, -7), &["token 1", "id -7"]);
    refused(&|bytes| bytes.push(0), &["1 bytes stand behind"]);
    // The rows begin behind 6 chunks of 48 tokens.
    let first_row = 20 + 6 * 48 * 4;
    refused(
        &put(first_row, f32::NAN.to_bits() as i32),
        &["token 24 of chunk 1"],
    );
    refused(
        &put(first_row + 4, 1f32.to_bits() as i32),
        &["token 24 of chunk 1"],
    );
    let row = 2 * (512 + 4);
    let second = first_row + row;
    refused(
        &|bytes| bytes[second + 8..second + row].fill(0),
        &["token 25 of chunk 1"],
    );
}

#[test]
fn of_a_base_that_was_cut_off_the_whole_chunks_can_be_compared() {
    let (_folder, file) = changed(|bytes| bytes.truncate(bytes.len() - 1));
    fails(beside(&file, ""), 1, &["5 chunks are whole", "--chunks"]);
    assert_eq!(json(beside(&file, "--json --chunks 5"))["chunks"], 5);
}

#[test]
fn a_command_line_that_makes_no_sense_is_told() {
    fails(sharpi("perplexity"), 2, &["--file"]);
    fails(perplexity("-c 2"), 2, &["3 tokens or more"]);
    fails(perplexity("--chunks 0"), 2, &["-1 for all"]);
    fails(perplexity("--kl-divergence"), 2, &["--kl-divergence-base"]);
    fails(perplexity("-c 4096"), 1, &["tokens", "8192"]);
    fails(
        sharpi("perplexity -f nowhere.txt"),
        1,
        &["nowhere.txt", "UTF-8"],
    );
    fails(
        perplexity("-c 64 --kl-divergence-base nowhere/x.kld"),
        1,
        &["nowhere/x.kld"],
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_base() {
    let folder = tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    fails(beside(&pipe, ""), 1, &["not a regular file"]);
}
