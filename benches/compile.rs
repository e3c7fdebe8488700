//! How long it takes from an open model file to a plan, for models of 16, 64 and 256 layers.
//!
//! `lower` makes the graphs, `passes` rewrites them, and `plan` schedules and places them; the
//! checks between the passes count for neither and are part of `all`.

#[path = "../tests/support/header_only.rs"]
mod header_only;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sharpi_compile::ir::Module;
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::passes::{Compiled, Options, compile};

/// The passes that decide when and where ops run; those before them rewrite.
const PLANNING: [&str; 2] = ["schedule", "plan-memory"];

fn whole(module: &Module) -> Compiled {
    compile(module.clone(), &Options::default()).expect("a plan")
}

/// Time spent in the passes that plan, or in those that do not.
fn pass_time(compiled: &Compiled, planning: bool) -> Duration {
    let passes = compiled.report.passes.iter();
    let chosen = passes.filter(|p| PLANNING.contains(&p.pass) == planning);
    chosen.map(|p| p.time).sum()
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    group.sample_size(10);
    for layers in [16, 64, 256] {
        let model = header_only::dense_27b(layers);
        let lower = || model.lower(&LowerOptions::default()).expect("graphs");
        let module = lower();
        let id = |part| BenchmarkId::new(part, layers);
        group.bench_function(id("lower"), |b| b.iter(lower));
        for (part, planning) in [("passes", false), ("plan", true)] {
            group.bench_function(id(part), |b| {
                b.iter_custom(|n| (0..n).map(|_| pass_time(&whole(&module), planning)).sum())
            });
        }
        group.bench_function(id("all"), |b| b.iter(|| whole(&lower())));
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
