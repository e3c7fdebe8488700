//! The files of `fixtures/filetests/run`: modules with runs behind them, and what comes out.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sharpi_compile::Executable;
use sharpi_compile::ir::{DType, StateType};
use sharpi_evaluator::Tensor;
use sharpi_kernels::simd::{Level, with_level};

use crate::case::{Case, Outputs};
use crate::engine::{self, AllBits};
use crate::modes::Mode;
use crate::passes_of;

/// How far the evaluator may be from expected numbers, which are written to eight digits, as a
/// part of the largest of a row or of 1.
const WRITTEN: f64 = 1e-7;

/// How far the engine may be from the evaluator, as a part of the largest number of a row or of 1:
/// 64 roundings to f32. The longest sums of the cases have some hundred terms, whose errors
/// of half a unit each mostly cancel out.
const ROUNDINGS: f64 = 64.0 / (1u64 << 24) as f64;

/// As far, behind attention that sums up in f16: each position rounds the running result twice, by
/// 2^-11 of it at most, and most of these errors cancel out.
const HALVES: f64 = 4.0 / (1u64 << 11) as f64;

/// The files in order.
pub fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/filetests/run");
    let entries = fs::read_dir(folder).expect("the folder of runs");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "sir"));
    paths.sort();
    paths
}

/// The case in a file.
pub fn read(path: &Path) -> Result<Case, String> {
    let source = fs::read_to_string(path).map_err(|e| e.to_string())?;
    Case::parse(&source)
}

/// Whether all numbers are as near as `part` of the largest of their row or of 1.
fn near(found: &[f64], expected: &Tensor, part: f64) -> Result<(), String> {
    let (count, width) = (
        expected.data().len(),
        expected.dims().last().map_or(1, |n| *n),
    );
    if found.len() != count {
        return Err(format!("{} numbers, expected {count}", found.len()));
    }
    let rows = expected
        .data()
        .chunks(width.max(1))
        .zip(found.chunks(width.max(1)));
    for (row, (expected, found)) in rows.enumerate() {
        let most = expected.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
        let is_near = |(x, y): (&f64, &f64)| x == y || (x - y).abs() <= part * most;
        if let Some(at) = found.iter().zip(expected).position(|pair| !is_near(pair)) {
            let (found, expected) = (found[at], expected[at]);
            return Err(format!(
                "row {row}, element {at} is {found}, expected {expected}"
            ));
        }
    }
    Ok(())
}

/// The evaluator gives what the file says.
fn check_expected(case: &Case, evaluated: &[Outputs]) -> Result<(), String> {
    for (run, outputs) in case.runs.iter().zip(evaluated) {
        for (name, expected) in &run.expected {
            let found = near(outputs[name].data(), expected, WRITTEN);
            found.map_err(|e| format!("{}: evaluated %{name}: {e}", run.place))?;
        }
    }
    Ok(())
}

/// The engine gives what the evaluator gives.
fn check_engine(case: &Case, evaluated: &[Outputs], bits: &[AllBits]) -> Result<(), String> {
    for ((run, expected), bits) in case.runs.iter().zip(evaluated).zip(bits) {
        let part = if sums_in_f16(case, &run.graph) {
            HALVES
        } else {
            ROUNDINGS
        };
        for (name, expected) in expected {
            let found = bits[name].numbers(expected.dtype())?;
            let found = near(&found, expected, part);
            found.map_err(|e| format!("{}: the engine's %{name}: {e}", run.place))?;
        }
    }
    Ok(())
}

/// Whether a graph has attention over values of f16 or f32, whose sums are rounded to f16.
fn sums_in_f16(case: &Case, graph: &str) -> bool {
    let graph = &case.module.graphs[graph];
    let values = graph.nodes().filter_map(|node| {
        let (_, ty) = case.module.symbols.state_of(graph.state(node)?)?;
        match ty {
            StateType::Kv { v, .. } => Some(*v),
            StateType::Recurrent(_) => None,
        }
    });
    (values.into_iter()).any(|ty| matches!(ty, DType::F16 | DType::F32))
}

/// Every way of running a case: how it is called, and what comes out.
fn ways(case: &Case, executable: &Arc<Executable>) -> Result<Vec<(String, Vec<AllBits>)>, String> {
    let mut ways = Vec::new();
    for threads in [1, 2] {
        let executor = engine::executor(executable, threads);
        for mode in Mode::ALL {
            let found = mode.run(case, &executor)?;
            ways.extend(found.map(|found| (format!("{threads} threads, {mode:?}"), found)));
        }
    }
    let executor = engine::executor(executable, 1);
    for level in [Level::Scalar, Level::Avx2] {
        let found = with_level(level, || Mode::Plain.run(case, &executor))?;
        ways.extend(found.map(|found| (format!("{level:?}"), found)));
    }
    Ok(ways)
}

/// Runs a case in all ways. Engine and evaluator agree, and the engine with itself to the bit.
pub fn check(case: &Case) -> Result<(), String> {
    let evaluated = case.evaluated()?;
    check_expected(case, &evaluated)?;
    let model = engine::model(case)?;
    let mut first: Option<Vec<AllBits>> = None;
    for (passes, options) in passes_of() {
        let executable = engine::compile(case, &model, &options)?;
        for (way, found) in ways(case, &executable).map_err(|e| format!("{passes}: {e}"))? {
            let first = first.get_or_insert_with(|| found.clone());
            let agrees = check_engine(case, &evaluated, &found);
            agrees.map_err(|e| format!("{passes}, {way}: {e}"))?;
            let differs = first
                .iter()
                .zip(&found)
                .position(|(first, found)| first != found);
            if let Some(run) = differs {
                let place = &case.runs[run].place;
                return Err(format!("{passes}, {way}: {place}: other bits"));
            }
        }
    }
    Ok(())
}

#[test]
fn the_runs_of_files_give_what_they_say() {
    let failures: Vec<String> = (files().iter())
        .filter_map(|path| {
            let error = read(path).and_then(|case| check(&case)).err()?;
            Some(format!("{}: {error}", path.file_name()?.display()))
        })
        .collect();
    assert!(!files().is_empty(), "no runs");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
