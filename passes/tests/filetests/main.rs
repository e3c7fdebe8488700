//! Runs the cases of `fixtures/filetests/passes`: a module, a line `; ----`, and what the pass
//! makes of it. `BLESS=1` writes the second half anew. What is made also has to give the same
//! numbers as the module before.

mod meaning;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sharpi_ir::text::parse;
use sharpi_ir::{Module, rollback_bytes};
use sharpi_passes::{
    Pass, Pipeline, Plan, Snapshot, check_plan, print_planned, print_snapshot, run_exactly,
};

const SEPARATOR: &str = "; ----\n";

#[test]
fn every_pass_does_what_its_cases_say_and_changes_no_number() {
    let mut failures = Vec::new();
    for pass in names() {
        let failed = |path: PathBuf| run_case(pass, &path).err();
        let found = cases(pass).into_iter().filter_map(failed);
        failures.extend(found.map(|failure| format!("{pass}: {failure}")));
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn every_pass_has_cases_and_all_cases_are_of_a_pass() {
    let entries = fs::read_dir(folder()).expect("the folder of cases");
    let found = entries.map(|e| e.expect("an entry").file_name().display().to_string());
    let found: BTreeSet<String> = found.collect();
    let all: BTreeSet<String> = names().into_iter().map(String::from).collect();
    assert_eq!(found, all, "folders of cases, and passes");
    for pass in names() {
        assert!(!cases(pass).is_empty(), "no cases of {pass}");
    }
}

/// The passes by their names, in order.
fn names() -> Vec<&'static str> {
    let pipeline = Pipeline::default();
    pipeline.passes().map(|pass| pass.name()).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/filetests/passes")
}

fn cases(pass: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder().join(pass)).expect("a folder of cases");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "sir"));
    paths.sort();
    paths
}

fn run_case(name: &str, path: &Path) -> Result<(), String> {
    let case = path.file_stem().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(path).map_err(|e| format!("{case}: {e}"))?;
    let (input, expected) = (text.split_once(SEPARATOR)).ok_or(format!("{case}: no separator"))?;
    let made = make(name, input).map_err(|e| format!("{case}: {e}"))?;
    if std::env::var_os("BLESS").is_some() {
        let blessed = format!("{input}{SEPARATOR}{made}");
        return fs::write(path, blessed).map_err(|e| format!("{case}: {e}"));
    }
    if made != expected {
        let difference = difference(expected, &made);
        return Err(format!(
            "{case}: expected (-) is not what was made (+)\n{difference}"
        ));
    }
    Ok(())
}

/// What the pass makes of the module, after checks that hold for every case.
fn make(name: &str, input: &str) -> Result<String, String> {
    let to_make: &[&str] = match name {
        "plan-memory" => &["schedule", "plan-memory"],
        _ => &[name],
    };
    let pipeline = Pipeline::default();
    let passes = pipeline.passes();
    let to_run: Vec<&dyn Pass> = passes.filter(|p| to_make.contains(&p.name())).collect();
    let run = |module: Module| run_exactly(module, &to_run).map_err(|e| e.to_string());
    let read = |text: &str| parse(text).map_err(|e| e.to_string());

    let before = read(input)?;
    let once = run(before.clone())?;
    meaning::same(&before, &once.module)?;
    let text = print_snapshot(&once);
    let twice = print_snapshot(&run(once.module.clone())?);
    if text != twice {
        let difference = difference(&text, &twice);
        return Err(format!("a second run changes the module\n{difference}"));
    }
    let again = print_snapshot(&run(read(&text)?)?);
    if text != again {
        let difference = difference(&text, &again);
        return Err(format!(
            "a run on the printed module changes it\n{difference}"
        ));
    }
    if name == "plan-memory" {
        return planned(&once);
    }
    Ok(text)
}

fn planned(snapshot: &Snapshot) -> Result<String, String> {
    let mut text = String::new();
    for (name, graph) in &snapshot.module.graphs {
        let decided = snapshot.decisions[name].clone();
        let plan = Plan {
            steps: decided.schedule.ok_or("no schedule")?.steps,
            memory: decided.memory.ok_or("no memory plan")?,
            rollback: rollback_bytes(graph),
        };
        let faults = check_plan(graph, &plan);
        if !faults.is_empty() {
            return Err(format!("the plan is wrong: {faults:#?}"));
        }
        text += &print_planned(name, graph, &snapshot.module.symbols, &plan);
    }
    Ok(text)
}

/// Lines that only one of the two has, in place.
fn difference(expected: &str, made: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), made.lines().collect());
    let same_start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same_start;
    let same_end = (old.iter().rev().zip(new.iter().rev()).take(rest))
        .take_while(|(a, b)| a == b)
        .count();
    let marked = |mark: &str, lines: &[&str]| {
        let middle = &lines[same_start..lines.len() - same_end];
        middle
            .iter()
            .map(|l| format!("{mark}{l}\n"))
            .collect::<String>()
    };
    marked("- ", &old) + &marked("+ ", &new)
}
