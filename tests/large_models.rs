//! Models of the shape of the largest ones, without their weights.

#[path = "support/header_only.rs"]
mod header_only;

use sharpi_compile::lower::{BlockKind, LowerOptions};
use sharpi_compile::passes::{Compiled, Options, check_plan, compile};

/// The plan, and how many ops the trunk had before the passes.
fn compiled(layers: usize) -> (Compiled, usize) {
    let module = header_only::dense_27b(layers).lower(&LowerOptions::default());
    let module = module.expect("graphs");
    let ops = module.graphs["trunk"].op_count();
    let compiled = compile(module, &Options::default()).expect("a plan");
    (compiled, ops)
}

#[test]
fn a_27b_model_has_a_plan_without_faults_for_both_graphs() {
    let model = header_only::dense_27b(64);
    let blocks = model.hparams().expect("sizes").blocks;
    let attention = blocks.iter().filter(|b| **b == BlockKind::Attention);
    assert_eq!((blocks.len(), attention.count()), (64, 16));
    let (Compiled { module, plans, .. }, ops) = compiled(64);
    println!("{ops} ops in the trunk");
    for (name, graph) in &module.graphs {
        let plan = &plans[name];
        assert_eq!(check_plan(graph, plan), [], "@{name}");
        println!(
            "@{name}: {} ops, {} steps, arena {} bytes of {}, rollback {} bytes per token",
            graph.op_count(),
            plan.steps.len(),
            plan.memory.arena_bytes,
            plan.memory.sum_bytes,
            plan.rollback.values().sum::<usize>()
        );
    }
    assert_eq!(plans.len(), 2);
}

/// Rewrites of all passes, and ops that are left.
fn counts(layers: usize) -> [i64; 2] {
    let (Compiled { module, report, .. }, _) = compiled(layers);
    let rewrites = report
        .passes
        .iter()
        .flat_map(|pass| pass.stats.rewrites.values());
    let ops = module.graphs.values().map(|graph| graph.op_count());
    [rewrites.sum::<usize>() as i64, ops.sum::<usize>() as i64]
}

#[test]
fn rewrites_and_ops_grow_with_the_layers_and_no_faster() {
    let [few, more, many] = [16, 32, 64].map(counts);
    for i in 0..2 {
        assert_eq!(many[i] - more[i], 2 * (more[i] - few[i]));
        assert!(few[i] < more[i]);
    }
}
