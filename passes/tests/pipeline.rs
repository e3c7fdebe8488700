//! Pipelines with passes of one's own.

mod common;

use sharpi_ir::{Graph, Module, Op};
use sharpi_passes::{
    CompileError, Context, Cse, Dce, Options, Pass, PassError, Pipeline, Stats, compile,
};

use common::{module, rows, value};

/// As `dce`, under another name.
struct Own;

impl Pass for Own {
    fn name(&self) -> &'static str {
        "own"
    }

    fn doc(&self) -> &'static str {
        "erases what nothing needs"
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        Dce.run(graph, context)
    }
}

/// `silu(x)`, beside it `silu(x)` and its sigmoid, which nothing needs.
fn idle() -> Module {
    module(|b| {
        let x = b.input("x", rows(64));
        let y = value(b, Op::Silu {}, &[x.into()]);
        let z = value(b, Op::Silu {}, &[x.into()]);
        value(b, Op::Sigmoid {}, &[z.into()]);
        b.output("y", y);
    })
}

/// With `dce` left out, so that it is the own pass that erases.
fn options(pipeline: Pipeline) -> Options {
    Options::default()
        .pipeline(pipeline)
        .skip(vec!["dce".into()])
}

fn rewrites(options: &Options, pass: &str) -> usize {
    let report = compile(idle(), options).expect("a plan").report;
    let row = report.passes.iter().find(|row| row.pass == pass);
    row.map_or(0, |row| row.stats.rewrites.values().sum())
}

#[test]
fn a_pass_of_ones_own_runs_where_it_was_put() {
    let before = Pipeline::default().before("cse", Own).expect("a place");
    let after = Pipeline::default().after("cse", Own).expect("a place");
    let names = |p: &Pipeline| -> Vec<&str> { p.passes().skip(1).map(|p| p.name()).collect() };
    assert_eq!(names(&before)[..2], ["own", "cse"]);
    assert_eq!(names(&after)[..2], ["cse", "own"]);
    // What is erased first cannot be merged.
    let merged = [before, after].map(|pipeline| rewrites(&options(pipeline), "cse"));
    assert_eq!(merged, [0, 1]);
}

#[test]
fn a_pass_of_ones_own_is_in_the_report_and_can_be_skipped() {
    let pipeline = Pipeline::default().before("cse", Own).expect("a place");
    let options = options(pipeline);
    assert_eq!(rewrites(&options, "own"), 2);
    let report = compile(idle(), &options).expect("a plan").report;
    assert!(report.to_string().contains("own"));
    let ops = |options: &Options| {
        let compiled = compile(idle(), options).expect("a plan");
        compiled.module.graphs["g"].op_count()
    };
    assert_eq!(ops(&options), 1);
    assert!(ops(&options.clone().skip(vec!["dce".into(), "own".into()])) > 1);
    assert_eq!(ops(&options.fuel(Some(0))), 3);
}

#[test]
fn a_pass_of_ones_own_stands_where_graphs_are_rewritten() {
    let at = |name: &str| Pipeline::default().after(name, Own);
    for name in ["schedule", "plan-memory", "nothing"] {
        let error = at(name).expect_err("no place").to_string();
        let expected = format!("there is no pass that rewrites `{name}`, expected one of quantize");
        assert!(error.starts_with(&expected), "{error}");
    }
    let error = Pipeline::default().before("dce", Cse).expect_err("a twin");
    assert!(matches!(error, CompileError::SameName { pass: "cse" }));
}
