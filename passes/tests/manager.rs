//! What the options of a run do, and how runs fail.

mod common;

use std::fs;

use sharpi_ir::text::{parse, print};
use sharpi_ir::{Builder, Graph, Module, NodeId, Op, Patch, Symbol, Symbols, Value};
use sharpi_passes::rewrite::{MAX_SWEEPS, Rule, rewrite};
use sharpi_passes::{
    CompileError, Context, Decisions, Fuel, Options, Pass, PassError, Pipeline, PlanMemory, Report,
    ScheduleSteps, Stage, Stats, Verify, check_plan, compile, print_snapshot, run, run_exactly,
    run_until,
};

use common::{deltanet, module, rows, value};

/// Runs something as a pass on graph `@g`.
fn in_context<T>(symbols: &mut Symbols, run: impl FnOnce(&mut Context<'_>) -> T) -> T {
    run(&mut Context {
        pass: "test",
        name: "g",
        symbols,
        decisions: &mut Decisions::default(),
        fuel: &mut Fuel::default(),
        log: None,
    })
}

/// Applies rules to graph `@g`.
fn rewritten(module: &mut Module, rules: &[Rule]) -> Result<Stats, PassError> {
    let graph = &mut module.graphs["g"];
    in_context(&mut module.symbols, |context| {
        rewrite(graph, context, rules)
    })
}

fn count(graph: &Graph, mnemonic: &str) -> usize {
    let ops = graph.nodes().filter_map(|n| graph.op(n));
    ops.filter(|op| op.mnemonic() == mnemonic).count()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| n.to_string()).collect()
}

#[test]
fn the_table_of_passes_is_in_the_order_in_which_they_run() {
    let rows: Vec<_> = (Pipeline::default().table().iter())
        .map(|p| (p.name, p.required, p.stage))
        .collect();
    let expected = [
        ("quantize-activations", true, Stage::Fused),
        ("cse", false, Stage::Fused),
        ("dce", false, Stage::Fused),
        ("gather-rounded", false, Stage::Fused),
        ("fuse-gdn", false, Stage::Fused),
        ("fuse-attention", false, Stage::Fused),
        ("fuse-moe", false, Stage::Fused),
        ("fuse-streams", false, Stage::Fused),
        ("select-rows", false, Stage::Fused),
        ("fuse-epilogue", false, Stage::Fused),
        ("merge-projections", false, Stage::Fused),
        ("fuse-norm", false, Stage::Fused),
        ("schedule", true, Stage::Scheduled),
        ("plan-memory", true, Stage::Planned),
    ];
    assert_eq!(rows, expected);
    assert!(
        Pipeline::default()
            .table()
            .iter()
            .all(|p| !p.doc.contains('\n'))
    );
}

#[test]
fn a_run_shares_the_rounding_of_shared_inputs() {
    let options = Options::default().only(Some(names(&["cse"])));
    let compiled = compile(deltanet(1), &options).expect("a plan");
    let graph = &compiled.module.graphs["g"];
    assert_eq!((count(graph, "matmul"), count(graph, "quantize")), (8, 4));
}

#[test]
fn skipped_passes_do_not_run() {
    let options = Options::default()
        .only(Some(names(&["cse", "dce"])))
        .skip(names(&["cse"]));
    let compiled = compile(deltanet(1), &options).expect("a plan");
    assert_eq!(count(&compiled.module.graphs["g"], "quantize"), 8);
}

#[test]
fn of_the_optional_passes_only_the_chosen_run() {
    let options = Options::default().only(Some(names(&["dce"])));
    let compiled = compile(deltanet(1), &options).expect("a plan");
    let ran: Vec<_> = compiled.report.passes.iter().map(|p| p.pass).collect();
    let expected = ["quantize-activations", "dce", "schedule", "plan-memory"];
    assert_eq!(ran, expected);
}

#[test]
fn an_unknown_pass_is_answered_with_the_names_there_are() {
    let options = Options::default().skip(names(&["cze"]));
    let error = run(deltanet(1), &options).expect_err("an error");
    let known: Vec<&str> = Pipeline::default().table().iter().map(|p| p.name).collect();
    let known = known.join(", ");
    assert_eq!(
        error.to_string(),
        format!("there is no pass `cze`, expected one of {known}")
    );
}

#[test]
fn an_unknown_stop_is_answered_with_passes_and_stages() {
    let options = Options::default().stop_after(Some("fuse".into()));
    let error = run(deltanet(1), &options)
        .expect_err("an error")
        .to_string();
    assert!(
        error.contains("imported, fused, scheduled, planned"),
        "{error}"
    );
}

#[test]
fn a_required_pass_cannot_be_skipped() {
    let options = Options::default().skip(names(&["schedule"]));
    let error = run(deltanet(1), &options).expect_err("an error");
    assert!(matches!(error, CompileError::Required { pass: "schedule" }));
}

#[test]
fn a_run_stops_after_the_pass_or_stage_that_is_named() {
    let at = |name: &str| {
        let stop_after = Some(name.to_string());
        let options = Options::default().stop_after(stop_after);
        run(deltanet(1), &options).expect("a snapshot")
    };
    assert!(at("imported").report.passes.is_empty());
    assert_eq!(at("quantize-activations").stage, Stage::Imported);
    assert_eq!(at("dce").stage, Stage::Imported);
    assert_eq!(at("fuse-norm").stage, Stage::Fused);
    assert!(at("fuse-norm").decisions["g"].schedule.is_none());
    assert!(at("scheduled").decisions["g"].schedule.is_some());
    assert!(at("scheduled").decisions["g"].memory.is_none());
    assert_eq!(at("plan-memory").stage, Stage::Planned);
}

#[test]
fn a_stage_can_be_asked_for_by_itself() {
    for stage in Stage::ALL {
        let at = run_until(deltanet(1), stage, &Options::default()).expect("a snapshot");
        assert_eq!(at.stage, stage);
    }
}

#[test]
fn there_is_no_plan_before_the_end() {
    let options = Options::default().stop_after(Some("fused".into()));
    let error = compile(deltanet(1), &options).expect_err("an error");
    let stage = Stage::Fused;
    assert!(matches!(error, CompileError::Unfinished { stage: s } if s == stage));
}

#[test]
fn dumps_are_numbered_and_parse_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let dumps = folder.path().join("dumps");
    let options = Options::default().dump_after_each(Some(dumps.clone()));
    let at = run(deltanet(1), &options).expect("a snapshot");
    let entries = fs::read_dir(&dumps).expect("a folder");
    let mut files: Vec<_> = entries
        .map(|e| {
            e.expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .collect();
    files.sort();
    let passes = Pipeline::default().table().into_iter().map(|p| p.name);
    let stages = std::iter::once("imported").chain(passes).enumerate();
    let expected: Vec<String> = stages.map(|(i, n)| format!("{i:02}-{n}.sir")).collect();
    assert_eq!(files, expected);
    for file in &files {
        let text = fs::read_to_string(dumps.join(file)).expect("a dump");
        let module = parse(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
        run(module, &Options::default()).unwrap_or_else(|e| panic!("{file}: {e}"));
    }
    let last = &files[files.len() - 1];
    let last = fs::read_to_string(dumps.join(last)).expect("a dump");
    assert_eq!(last, print_snapshot(&at));
    assert_eq!(print(&parse(&last).expect("a module")), print(&at.module));
    assert!(last.contains("; step 0, arena "), "{last}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().join("dumps");
    let options = Options::default().dump_after_each(Some(path.clone()));
    let error = run(deltanet(1), &options)
        .expect_err("an error")
        .to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
}

#[test]
fn the_plan_is_the_same_however_often_graphs_are_verified() {
    let text = |verify| {
        let options = Options::default().verify(verify);
        print_snapshot(&run(deltanet(2), &options).expect("a snapshot"))
    };
    assert_eq!(text(Verify::Each), text(Verify::Ends));
}

#[test]
fn a_module_that_does_not_verify_is_an_error() {
    let text = "module @m {
  graph @g(%x: f32[T, 64]) -> (%y: f32[T, 32]) where T in 1..=8 {
    %0 = silu %x : f32[T, 32]
    return %y = %0
  }
}";
    let module = parse(text).expect("a module");
    let error = compile(module, &Options::default()).expect_err("an error");
    assert!(matches!(error, CompileError::Verify { .. }), "{error}");
    assert!(error.to_string().contains("as imported"), "{error}");
}

#[test]
fn a_patch_that_does_not_fit_is_refused_with_the_rule_and_the_op() {
    let mut module = module(|b| {
        let x = b.input("x", rows(64));
        let y = value(b, Op::Silu {}, &[x.into()]);
        b.output("y", y);
    });
    let rules = [Rule {
        name: "greedy",
        find: |_, node, _| {
            let mut patch = Patch::new("greedy");
            patch.erase(node);
            (node.index() > 0).then_some(patch)
        },
    }];
    let error = rewritten(&mut module, &rules).expect_err("an error");
    assert!(matches!(error, PassError::Patch { .. }), "{error}");
    let error = error.to_string();
    assert!(error.contains("%0 = silu : f32[T, 64]"), "{error}");
    assert!(error.contains("rule greedy"), "{error}");
}

#[test]
fn memory_cannot_be_planned_before_ops_are_scheduled() {
    let error = run_exactly(deltanet(1), &[&PlanMemory]).expect_err("an error");
    assert!(
        error.to_string().contains("needs what `schedule` decides"),
        "{error}"
    );
}

#[test]
fn a_size_without_bounds_is_an_error_that_names_the_symbol() {
    let mut symbols = Symbols::default();
    let mut b = Builder::new(&mut symbols);
    let x = b.input("x", rows(64));
    b.output("y", x);
    let mut graph = b.finish();
    let planned = in_context(&mut symbols, |context| {
        ScheduleSteps.run(&mut graph, context)?;
        PlanMemory.run(&mut graph, context)
    });
    let symbol = Symbol::TOKENS;
    let is_unbounded =
        |e: &PassError| matches!(e, PassError::Unbounded { symbol: s, .. } if *s == symbol);
    assert!(planned.as_ref().is_err_and(is_unbounded), "{planned:?}");
}

#[test]
fn rules_that_undo_each_other_are_stopped_and_named() {
    let mut module = module(|b| {
        let x = b.input("x", rows(64));
        let y = value(b, Op::Silu {}, &[x.into()]);
        b.output("y", y);
    });
    let rules = [
        Rule {
            name: "there",
            find: |graph, node, _: &Symbols| turn(graph, node, "there", "silu", Op::Sigmoid {}),
        },
        Rule {
            name: "and-back",
            find: |graph, node, _: &Symbols| turn(graph, node, "and-back", "sigmoid", Op::Silu {}),
        },
    ];
    let error = rewritten(&mut module, &rules).expect_err("an error");
    let PassError::Endless { rule, bound, .. } = &error else {
        panic!("{error}");
    };
    assert!(["there", "and-back"].contains(rule));
    assert_eq!(*bound, MAX_SWEEPS);
}

fn turn(graph: &Graph, node: NodeId, rule: &'static str, from: &str, to: Op) -> Option<Patch> {
    if graph.op(node)?.mnemonic() != from {
        return None;
    }
    let mut patch = Patch::new(rule);
    let x = graph.value_operands(node).next()?;
    let new = patch.add(to, &[x.into()]);
    patch.replace(Value { node, result: 0 }, new);
    patch.erase(node);
    Some(patch)
}

fn with_fuel(fuel: Option<usize>) -> Options {
    Options::default().fuel(fuel)
}

/// Rewrites of optional passes.
fn optional_rewrites(report: &Report) -> usize {
    let optional = |name: &str| {
        Pipeline::default()
            .table()
            .iter()
            .any(|p| p.name == name && !p.required)
    };
    let rows = report.passes.iter().filter(|row| optional(row.pass));
    rows.flat_map(|row| row.stats.rewrites.values()).sum()
}

#[test]
fn fuel_is_for_that_many_rewrites_of_optional_passes_and_the_module_still_has_a_plan() {
    let all = compile(deltanet(2), &with_fuel(None))
        .expect("a plan")
        .report;
    let all = optional_rewrites(&all);
    assert!(all > 10, "{all}");
    for fuel in 0..=all + 1 {
        let compiled = compile(deltanet(2), &with_fuel(Some(fuel))).expect("a plan");
        assert_eq!(optional_rewrites(&compiled.report), fuel.min(all));
        for (name, graph) in &compiled.module.graphs {
            assert_eq!(check_plan(graph, &compiled.plans[name]), [], "fuel {fuel}");
        }
        let last = compiled.report.last_rewrite;
        assert_eq!(last.is_some(), (1..=all).contains(&fuel), "fuel {fuel}");
    }
}

#[test]
fn a_unit_of_fuel_is_one_rewrite_which_the_report_names() {
    let at = |fuel| run(deltanet(1), &with_fuel(Some(fuel))).expect("a snapshot");
    let is_merge = |fuel: &usize| {
        let last = at(*fuel).report.last_rewrite;
        last.is_some_and(|last| last.pass == "merge-projections")
    };
    let fuel = (1..40).find(is_merge).expect("a merge");
    let last = at(fuel).report.last_rewrite.expect("a rewrite");
    assert_eq!(
        (last.graph.as_str(), last.rule),
        ("g", "products-of-one-input")
    );
    assert!(last.node.contains("= matmul : f32[T, "), "{}", last.node);
    let products = |fuel| count(&at(fuel).module.graphs["g"], "product");
    assert_eq!(products(fuel), products(fuel - 1) + 1);
}

#[test]
fn what_stands_before_a_pass_is_the_pass_before_it_or_the_import() {
    assert_eq!(
        Pipeline::default().preceding("quantize-activations"),
        Some("imported")
    );
    assert_eq!(Pipeline::default().preceding("dce"), Some("cse"));
    assert_eq!(Pipeline::default().preceding("schedule"), Some("fuse-norm"));
    assert_eq!(Pipeline::default().preceding("fuse"), None);
}

#[test]
fn passes_that_plan_tell_the_size_of_what_they_decide() {
    let at = run(deltanet(1), &Options::default()).expect("a snapshot");
    let figures = |pass: &str| {
        let mut rows = at.report.passes.iter();
        rows.find(|row| row.pass == pass)
            .expect("a row")
            .stats
            .figures
            .clone()
    };
    let decided = &at.decisions["g"];
    let (schedule, memory) = (decided.schedule.as_ref(), decided.memory.as_ref());
    let (steps, memory) = (
        schedule.expect("a schedule").steps.len(),
        memory.expect("a plan"),
    );
    assert_eq!(figures("schedule")["steps"], steps);
    assert_eq!(figures("schedule")["barriers"], steps - 1);
    let [arena, sum, least] =
        ["arena_bytes", "sum_bytes", "lower_bound_bytes"].map(|name| figures("plan-memory")[name]);
    assert_eq!((arena, sum), (memory.arena_bytes, memory.sum_bytes));
    assert!(least <= arena && arena < sum, "{least} {arena} {sum}");
}

#[test]
fn a_trace_has_the_module_after_every_pass_and_names_what_came_and_went() {
    let traced = run(deltanet(2), &Options::default().trace(true)).unwrap();
    let passes: Vec<_> = traced.trace.iter().map(|t| t.pass).collect();
    let all = Pipeline::default();
    let expected = std::iter::once(None).chain(all.passes().map(|p| Some(p.name())));
    assert_eq!(passes, expected.collect::<Vec<_>>());
    assert_eq!(traced.trace[0].stage, Stage::Imported);
    assert_eq!(traced.trace.last().unwrap().stage, Stage::Planned);
    let mut rewrites = 0;
    for pair in traced.trace.windows(2) {
        for (name, graph) in &pair[1].module.graphs {
            let mut nodes: Vec<NodeId> = pair[0].module.graphs[name].nodes().collect();
            for rewrite in &pair[1].rewrites[name] {
                let applied = &rewrite.applied;
                assert!(
                    applied.heirs.iter().all(|n| nodes.contains(n)),
                    "{rewrite:?}"
                );
                assert!(
                    applied.erased.iter().all(|n| nodes.contains(n)),
                    "{rewrite:?}"
                );
                nodes.retain(|n| !applied.erased.contains(n));
                nodes.extend(&applied.added);
                rewrites += 1;
            }
            nodes.sort();
            assert_eq!(nodes, graph.nodes().collect::<Vec<_>>());
        }
    }
    assert!(rewrites > 0);
    let plain = run(deltanet(2), &Options::default()).unwrap();
    assert!(plain.trace.is_empty());
    assert_eq!(print_snapshot(&plain), print_snapshot(&traced));
}
