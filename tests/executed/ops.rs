//! Every op is executed by some case: with no token, with one, and with several.

use std::collections::{BTreeMap, BTreeSet};

use sharpi_compile::ir::{Graph, Module, Op, Signature};

use crate::case::Case;
use crate::files::{files, read};
use crate::modes::{Mode, tokens};
use crate::{engine, passes_of};

/// Numbers of tokens, of which 2 stands for all that are more.
type Widths = BTreeSet<usize>;

/// Takes note of the ops of a module's graphs, and of how wide they are run.
fn note(case: &Case, module: &Module, executed: &mut BTreeMap<&'static str, Widths>) {
    for run in &case.runs {
        let graph: &Graph = &module.graphs[&run.graph];
        let width = tokens(&case.module.graphs[&run.graph], run).min(2);
        for op in graph.nodes().filter_map(|node| graph.op(node)) {
            executed.entry(op.mnemonic()).or_default().insert(width);
        }
    }
}

#[test]
fn every_op_is_executed_with_no_token_with_one_and_with_several() {
    let mut executed = BTreeMap::new();
    for path in files() {
        let case = read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let model = engine::model(&case).expect("a model");
        for (_, options) in passes_of() {
            let executable = engine::compile(&case, &model, &options);
            let executable = executable.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            note(&case, executable.module(), &mut executed);
        }
    }
    // Ranks alone gather, and `tests/ranks.rs` runs several.
    let own = |op: &&Signature| op.mnemonic != "all_gather";
    for op in Op::SIGNATURES.iter().filter(own) {
        let widths = executed.get(op.mnemonic).cloned().unwrap_or_default();
        assert_eq!(
            widths,
            Widths::from([0, 1, 2]),
            "widths of `{}`",
            op.mnemonic
        );
    }
}

#[test]
fn most_cases_are_run_in_every_way() {
    let cases = files().into_iter().map(|path| read(&path).expect("a case"));
    let cases: Vec<Case> = cases.collect();
    for mode in Mode::ALL {
        let suited = cases.iter().filter(|case| mode.suits(case)).count();
        assert!(
            2 * suited > cases.len(),
            "{mode:?}: {suited} of {}",
            cases.len()
        );
    }
}
