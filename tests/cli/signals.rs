//! Ends that come from outside.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::tempdir;

/// A run that goes on until someone ends it or the context is full.
fn endless() -> Child {
    Command::new(assert_cmd::cargo::cargo_bin!("sharpi-compile"))
        .args(["run", "-p", "ROMEO:", "-n", "-1", "--ignore-eos"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the text has begun.
fn wait_for_text(child: &mut Child) {
    let mut begun = [0; 8];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut begun)
        .unwrap();
    assert!(begun.starts_with(b"ROMEO:"));
}

/// Waits until a program has a handler for interrupts: the system tells which signals are caught.
fn wait_until_it_listens(child: &Child) {
    const INTERRUPT: u64 = 1 << 1;
    let status = format!("/proc/{}/status", child.id());
    loop {
        let status = fs::read_to_string(&status).expect("a program that runs");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.expect("a mask").trim(), 16).unwrap();
        if caught & INTERRUPT != 0 {
            return;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
}

#[test]
fn an_interrupt_ends_the_text_and_the_timings_are_told() {
    let mut child = endless();
    wait_for_text(&mut child);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("generation:"), "{stderr}");
    assert!(stderr.contains("stopped:    interrupted"), "{stderr}");
}

#[test]
fn a_record_of_an_interrupted_run_is_whole_and_says_so() {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("sharpi-compile"))
        .args("run -p ROMEO: -n -1 -c 100000 --ignore-eos --json".split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The warning of the context, then the line that is told when Ctrl-C is listened for.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("context 100000")));
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(record["stop"], "interrupted");
}

#[test]
fn an_interrupt_ends_a_bench_and_the_rows_so_far_are_whole() {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("sharpi-compile"))
        .args("bench -p 0 -n 1,100000 -r 1 -o json".split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The list is begun with its first row.
    let mut rows = vec![0];
    let stdout = child.stdout.as_mut().unwrap();
    stdout.read_exact(&mut rows).unwrap();
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("1 of 2 tests"), "{stderr}");
    rows.extend(output.stdout);
    let rows: serde_json::Value = serde_json::from_slice(&rows).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(rows[0]["test"], "tg1");
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let mut child = endless();
    wait_for_text(&mut child);
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8_lossy(&output.stderr);
    // The line that begins a run, and no complaint.
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn an_interrupt_ends_a_comparison_and_what_was_left_out_is_told() {
    let folder = tempdir().unwrap();
    let golden = folder.path().join("golden.json");
    // So many captures that they are not all compared before the interrupt comes.
    let captures = fs::read("fixtures/golden/tiny-dense-Q4_K_M.json").unwrap();
    let captures: Vec<serde_json::Value> = serde_json::from_slice(&captures).unwrap();
    let many: Vec<_> = (0..100).flat_map(|_| &captures).collect();
    fs::write(&golden, serde_json::to_vec(&many).unwrap()).unwrap();
    let child = Command::new(assert_cmd::cargo::cargo_bin!("sharpi-compile"))
        .args(["parity", "--golden"])
        .arg(&golden)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until_it_listens(&child);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(
        table.contains("skipped") && table.contains("stopped by Ctrl-C"),
        "{table}"
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("captures not compared"), "{stderr}");
}

#[test]
fn an_interrupt_ends_a_file_being_written_and_removes_it() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("model.gguf");
    let child = Command::new(assert_cmd::cargo::cargo_bin!("sharpi-compile"))
        .args(["synth", "--preset", "0.8b", "-o"])
        .arg(&file)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let part = folder.path().join("model.gguf.part");
    while fs::metadata(&part).map_or(0, |found| found.len()) < 1 << 24 {
        thread::sleep(Duration::from_millis(1));
    }
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("stopped by Ctrl-C"), "{stderr}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_interrupt_ends_a_perplexity_with_the_chunks_so_far_and_leaves_no_file() {
    let folder = tempdir().unwrap();
    let text = folder.path().join("text.txt");
    let line = "Now is the winter of our discontent made glorious summer by this sun of York.\n";
    fs::write(&text, line.repeat(4000)).unwrap();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("sharpi-compile"))
        .args(["perplexity", "-c", "16", "-f"])
        .arg(&text)
        .arg("--kl-divergence-base")
        .arg(folder.path().join("base.kld"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut begun = [0; 4];
    let stdout = child.stdout.as_mut().unwrap();
    stdout.read_exact(&mut begun).unwrap();
    assert!(begun.starts_with(b"[1]"));
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Final estimate: PPL = "), "{text}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("stopped by Ctrl-C after"), "{stderr}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
