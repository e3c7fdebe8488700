//! Pipelines with passes of one's own.

mod common;

use sharpi_ir::{Graph, Module, NodeId, Op, Patch, Symbols, Value};
use sharpi_passes::rewrite::{Rule, rewrite};
use sharpi_passes::{
    CompileError, Context, Cse, Options, Pass, PassError, Pipeline, Stats, compile,
};

use common::{module, rows, value};

/// Takes away factors of 1.
struct DropNeutral;

impl Pass for DropNeutral {
    fn name(&self) -> &'static str {
        "drop-neutral"
    }

    fn doc(&self) -> &'static str {
        "takes away factors of 1"
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        let rule = Rule {
            name: "factor-of-1",
            find: factor_of_1,
        };
        rewrite(graph, context, &[rule])
    }
}

fn factor_of_1(graph: &Graph, node: NodeId, _: &Symbols) -> Option<Patch> {
    let Op::Scale { by: 1.0 } = graph.op(node)? else {
        return None;
    };
    let x = graph.value_operands(node).next()?;
    let mut patch = Patch::new("factor-of-1");
    patch.replace(Value { node, result: 0 }, x.into());
    patch.erase(node);
    Some(patch)
}

/// `silu(x · 1) + silu(x)`.
fn twice() -> Module {
    module(|b| {
        let x = b.input("x", rows(64));
        let same = value(b, Op::Scale { by: 1.0 }, &[x.into()]);
        let y = value(b, Op::Silu {}, &[same.into()]);
        let z = value(b, Op::Silu {}, &[x.into()]);
        let sum = value(b, Op::Add {}, &[y.into(), z.into()]);
        b.output("y", sum);
    })
}

fn options(pipeline: Pipeline) -> Options {
    Options::default().pipeline(pipeline)
}

fn ops(options: &Options) -> usize {
    let compiled = compile(twice(), options).expect("a plan");
    compiled.module.graphs["g"].op_count()
}

#[test]
fn a_pass_of_ones_own_runs_where_it_was_put() {
    let before = Pipeline::default().before("cse", DropNeutral);
    let after = Pipeline::default().after("cse", DropNeutral);
    let (before, after) = (before.expect("a place"), after.expect("a place"));
    let names = |p: &Pipeline| -> Vec<&str> { p.passes().skip(1).map(|p| p.name()).collect() };
    assert_eq!(names(&before)[..2], ["drop-neutral", "cse"]);
    assert_eq!(names(&after)[..2], ["cse", "drop-neutral"]);
    // What is the same only without the factor is shared only if the factor goes first.
    assert_eq!(ops(&Options::default()), 4);
    assert_eq!(ops(&options(before)), 2);
    assert_eq!(ops(&options(after)), 3);
}

#[test]
fn a_pass_of_ones_own_is_in_the_report_and_can_be_skipped() {
    let pipeline = Pipeline::default().before("cse", DropNeutral);
    let mut options = options(pipeline.expect("a place"));
    let report = compile(twice(), &options).expect("a plan").report;
    let row = report.passes.iter().find(|row| row.pass == "drop-neutral");
    assert_eq!(row.expect("a row").stats.rewrites["factor-of-1"], 1);
    assert!(report.to_string().contains("drop-neutral"));
    options.skip = vec!["drop-neutral".into()];
    assert_eq!(ops(&options), 4);
    options.fuel = Some(0);
    options.skip.clear();
    assert_eq!(ops(&options), 4);
}

#[test]
fn a_pass_of_ones_own_stands_where_graphs_are_rewritten() {
    let at = |name: &str| Pipeline::default().after(name, DropNeutral);
    for name in ["schedule", "plan-memory", "nothing"] {
        let error = at(name).expect_err("no place").to_string();
        let expected = format!("there is no pass that rewrites `{name}`, expected one of quantize");
        assert!(error.starts_with(&expected), "{error}");
    }
    let error = Pipeline::default().before("dce", Cse).expect_err("a twin");
    assert!(matches!(error, CompileError::SameName { pass: "cse" }));
}
