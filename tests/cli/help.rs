//! Help, completions and manual pages.

use tempfile::tempdir;

use crate::{fails, sharpi, stdout};

/// The commands that `--help` lists.
fn commands() -> Vec<String> {
    let help = stdout(sharpi("--help"));
    let lines = help.lines().take_while(|line| *line != "Options:");
    let lines = lines.filter_map(|line| line.strip_prefix("  "));
    let names = lines.filter_map(|line| line.split(' ').next());
    let found: Vec<String> = names.map(String::from).collect();
    assert!(found.len() > 14, "{help}");
    found
}

#[test]
fn help_is_grouped_and_no_line_is_wider_than_120_columns() {
    let help = stdout(sharpi("--help"));
    for heading in [
        "Run a model:",
        "Look into a file:",
        "See the compiler:",
        "Options:",
    ] {
        assert!(help.contains(&format!("{heading}\n")), "{help}");
    }
    for command in commands() {
        let help = stdout(sharpi(&format!("{command} --help")));
        assert!(help.contains("Examples:\n  sharpi-compile"), "{help}");
        let widest = help.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|n| n <= 120), "{command}: {help}");
    }
    let run = stdout(sharpi("run --help"));
    for heading in [
        "Prompt:",
        "Drafting:",
        "Sampling (",
        "Machine:",
        "Graphs:",
        "Messages:",
    ] {
        assert!(run.contains(&format!("\n{heading}")), "{run}");
    }
}

#[test]
fn scripts_for_shells_know_all_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(sharpi(&format!("completions {shell}")));
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
        assert!(script.contains("spec-draft-n-max"), "{shell}");
    }
    fails(sharpi("completions csh"), 2, &["bash", "fish", "zsh"]);
}

#[test]
fn there_is_a_manual_page_for_the_program_and_for_each_command() {
    let page = stdout(sharpi("man"));
    assert!(page.contains(".TH sharpi-compile 1"), "{page}");
    let run = stdout(sharpi("man run"));
    assert!(run.contains("spec\\-draft\\-n\\-max"), "{run}");
    let folder = tempdir().unwrap();
    let mut all = sharpi("man -o");
    all.arg(folder.path().join("man1"));
    stdout(all);
    for command in commands() {
        let file = folder
            .path()
            .join(format!("man1/sharpi-compile-{command}.1"));
        assert!(file.is_file(), "{file:?}");
    }
    fails(sharpi("man walk"), 2, &["`walk`"]);
}
