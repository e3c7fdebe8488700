//! Models of the shape of the largest ones, without their weights.

#[path = "support/dense_27b.rs"]
mod dense_27b;

use std::time::{Duration, Instant};

use sharpi_compile::lower::{BlockKind, LowerOptions};
use sharpi_compile::passes::{Compiled, Options, check_plan, compile};

fn compiled(layers: usize) -> Compiled {
    let module = dense_27b::model(layers).lower(&LowerOptions::default());
    compile(module.expect("graphs"), &Options::default()).expect("a plan")
}

#[test]
fn a_27b_model_has_a_plan_without_faults_for_both_graphs() {
    let model = dense_27b::model(64);
    let blocks = model.hparams().expect("sizes").blocks;
    let attention = blocks.iter().filter(|b| **b == BlockKind::Attention);
    assert_eq!((blocks.len(), attention.count()), (64, 16));
    let Compiled { module, plans, .. } = compiled(64);
    for (name, graph) in &module.graphs {
        assert_eq!(check_plan(graph, &plans[name]), [], "@{name}");
    }
    assert_eq!(plans.len(), 2);
}

#[test]
fn compiling_takes_less_than_quadratic_time() {
    let start = Instant::now();
    let compiled = compiled(256);
    let taken = start.elapsed();
    let ops = compiled.module.graphs["trunk"].op_count();
    assert!(ops > 8000, "{ops} ops");
    assert!(taken < Duration::from_secs(2), "{ops} ops took {taken:?}");
}
