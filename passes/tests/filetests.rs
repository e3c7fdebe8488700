//! Runs the cases of `fixtures/filetests/passes`: a module, a line `; ----`, and what the pass
//! makes of it. `BLESS=1` writes the second half anew.

use std::fs;
use std::path::{Path, PathBuf};

use sharpi_ir::text::parse;
use sharpi_ir::{Module, rollback_bytes};
use sharpi_passes::{
    Pass, Pipeline, Plan, Snapshot, check_plan, print_planned, print_snapshot, run_exactly,
};

const SEPARATOR: &str = "; ----\n";

#[test]
fn quantize_activations_does_what_its_cases_say() {
    run_cases("quantize-activations");
}

#[test]
fn cse_does_what_its_cases_say() {
    run_cases("cse");
}

#[test]
fn dce_does_what_its_cases_say() {
    run_cases("dce");
}

#[test]
fn fuse_attention_does_what_its_cases_say() {
    run_cases("fuse-attention");
}

#[test]
fn fuse_gdn_does_what_its_cases_say() {
    run_cases("fuse-gdn");
}

#[test]
fn fuse_moe_does_what_its_cases_say() {
    run_cases("fuse-moe");
}

#[test]
fn fuse_epilogue_does_what_its_cases_say() {
    run_cases("fuse-epilogue");
}

#[test]
fn merge_projections_does_what_its_cases_say() {
    run_cases("merge-projections");
}

#[test]
fn fuse_norm_does_what_its_cases_say() {
    run_cases("fuse-norm");
}

#[test]
fn select_rows_does_what_its_cases_say() {
    run_cases("select-rows");
}

#[test]
fn schedule_does_what_its_cases_say() {
    run_cases("schedule");
}

#[test]
fn plan_memory_does_what_its_cases_say() {
    run_cases("plan-memory");
}

#[test]
fn every_pass_has_cases() {
    for pass in Pipeline::default().passes() {
        assert!(
            !cases(pass.name()).is_empty(),
            "no cases of {}",
            pass.name()
        );
    }
}

fn cases(pass: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures/filetests/passes")
        .join(pass);
    let entries = fs::read_dir(&folder).expect("a folder of cases");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "sir"));
    paths.sort();
    paths
}

fn run_cases(name: &str) {
    let failures: Vec<String> = (cases(name).iter())
        .filter_map(|path| run_case(name, path).err())
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
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
    let to_run: Vec<&dyn Pass> = pipeline
        .passes()
        .filter(|p| to_make.contains(&p.name()))
        .collect();
    let run = |module: Module| run_exactly(module, &to_run).map_err(|e| e.to_string());
    let read = |text: &str| parse(text).map_err(|e| e.to_string());

    let once = run(read(input)?)?;
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
