//! The graphs of every bundled model at every stage, as text.

mod support;

use std::time::Duration;

use sharpi_compile::Model;
use sharpi_compile::ir::text::{parse, print, print_graph};
use sharpi_compile::ir::{
    Graph, Module, NodeId, NodeKind, Op, Operand, StateId, StateType, Value, WeightId, verify,
};
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::passes::{
    Options, Pipeline, Stage, check_plan, compile, print_planned, print_snapshot, run,
};
use support::{families, fixtures, model};

const MODELS: [&str; 6] = [
    "micro-dense-IQ4_XS",
    "micro-dense-Q2_K",
    "micro-dense-f32",
    "micro-moe-f32",
    "tiny-dense-Q4_K_M",
    "tiny-moe-Q4_K_M",
];

fn imported(name: &str) -> Module {
    let options = LowerOptions::default();
    model(name).lower(&options).expect("graphs")
}

fn stopped_at(stage: Stage) -> Options {
    Options::default().stop_after(Some(stage.name().into()))
}

/// The plans, each in the order in which it runs.
fn plans(module: Module) -> String {
    let compiled = compile(module, &Options::default()).expect("a plan");
    let graphs = compiled.module.graphs.iter();
    let texts = graphs.map(|(name, graph)| {
        let plan = &compiled.plans[name];
        print_planned(name, graph, &compiled.module.symbols, plan)
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// The module as it stands at a stage; the plan in the order in which it runs.
fn text_at(name: &str, stage: Stage) -> String {
    let module = imported(name);
    if stage < Stage::Planned {
        return print_snapshot(&run(module, &stopped_at(stage)).expect("a stage"));
    }
    plans(module)
}

fn assert_snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn assert_stage(stage: Stage) {
    for name in MODELS {
        assert_snapshot(&format!("{name}.{stage}"), &text_at(name, stage));
    }
}

#[test]
fn every_model_is_imported_as_before() {
    assert_stage(Stage::Imported);
}

#[test]
fn every_model_is_fused_as_before() {
    assert_stage(Stage::Fused);
}

#[test]
fn every_model_is_scheduled_as_before() {
    assert_stage(Stage::Scheduled);
}

#[test]
fn every_model_is_planned_as_before() {
    assert_stage(Stage::Planned);
}

#[test]
fn a_trunk_without_drafting_is_planned_as_before() {
    for name in ["tiny-dense-Q4_K_M", "tiny-moe-Q4_K_M"] {
        let file = fixtures().join("models").join(format!("{name}.gguf"));
        let options = LowerOptions::default().draft(false);
        let module = Model::open(file).expect("a model").lower(&options);
        let text = plans(module.expect("graphs"));
        assert_snapshot(&format!("{name}.planned-without-drafting"), &text);
    }
}

#[test]
fn the_passes_do_as_much_as_before() {
    for name in MODELS.into_iter().chain(families()) {
        let mut report = run(imported(name), &Options::default())
            .expect("a plan")
            .report;
        report.checking = Duration::ZERO;
        report
            .passes
            .iter_mut()
            .for_each(|row| row.time = Duration::ZERO);
        assert_snapshot(&format!("{name}.pass-stats"), &report.to_string());
    }
}

/// What a block is made of before it is fused.
fn is_of_a_part(op: &Op) -> bool {
    matches!(
        op,
        Op::Attention { .. }
            | Op::Rope { .. }
            | Op::KvStore {}
            | Op::GdnScan { .. }
            | Op::CausalConv {}
            | Op::L2norm { .. }
            | Op::Silu {}
            | Op::Softmax {}
            | Op::Sigmoid {}
            | Op::TopkRouter { .. }
            | Op::MoeMatmul {}
            | Op::ExpertSum {}
            | Op::Mul { .. }
            | Op::Add { .. }
    )
}

#[test]
fn the_blocks_of_every_architecture_are_fused() {
    for name in families() {
        let fused = run(imported(name), &stopped_at(Stage::Fused)).expect("a stage");
        for (graph_name, graph) in &fused.module.graphs {
            let ops = graph.nodes().filter_map(|node| graph.op(node));
            let left: Vec<&str> = ops
                .filter(|op| is_of_a_part(op))
                .map(Op::mnemonic)
                .collect();
            assert!(left.is_empty(), "{name} @{graph_name}: {left:?}");
        }
    }
}

#[test]
fn the_text_after_every_pass_reads_back_to_a_sound_module_that_prints_the_same() {
    let passes = Pipeline::default().table().into_iter().map(|p| p.name);
    let stops: Vec<&str> = std::iter::once("imported").chain(passes).collect();
    for name in MODELS.into_iter().chain(families()) {
        for stop in &stops {
            let options = Options::default().stop_after(Some(stop.to_string()));
            let snapshot = run(imported(name), &options).expect("a snapshot");
            let text = print(&snapshot.module);
            // The passes' decisions stand in comments and read back to nothing.
            for text_read in [&text, &print_snapshot(&snapshot)] {
                let read = parse(text_read).unwrap_or_else(|e| panic!("{name}, {stop}: {e}"));
                verify(&read).unwrap_or_else(|e| panic!("{name}, {stop}: {e}"));
                assert_eq!(print(&read), text, "{name}, {stop}");
            }
        }
    }
}

#[test]
fn a_text_of_an_imported_model_compiles_to_the_plan_of_the_model_itself() {
    for name in MODELS {
        let read = parse(&print(&imported(name))).expect("a module");
        assert_eq!(plans(read), text_at(name, Stage::Planned), "{name}");
    }
}

#[test]
fn every_plan_holds_before_the_independent_judge() {
    for name in MODELS {
        let compiled = compile(imported(name), &Options::default()).expect("a plan");
        for (graph_name, graph) in &compiled.module.graphs {
            let faults = check_plan(graph, &compiled.plans[graph_name]);
            assert!(faults.is_empty(), "{name} @{graph_name}: {faults:?}");
        }
    }
}

/// The wiring around the head's block: up to `eh_proj`, and from the hidden state it hands on.
fn wiring(module: &Module) -> String {
    let text = print_graph("mtp", &module.graphs["mtp"], &module.symbols, &|_| None);
    let lines: Vec<&str> = text.lines().collect();
    let line_with = |part: &str| lines.iter().position(|l| l.contains(part)).expect("a line");
    let (before, after) = (line_with("= eh_proj "), line_with(" as h_nextn"));
    let block = ["  ; the attention block"];
    let parts = lines[..=before].iter().chain(&block).chain(&lines[after..]);
    parts.copied().collect::<Vec<_>>().join("\n")
}

#[test]
fn the_head_is_wired_as_before() {
    for name in ["micro-dense-f32", "micro-moe-f32"] {
        assert_snapshot(&format!("{name}.mtp-wiring"), &wiring(&imported(name)));
    }
}

/// The one op of its kind in the head.
fn only(graph: &Graph, wanted: impl Fn(&Op) -> bool) -> NodeId {
    let found = graph.nodes().filter(|n| graph.op(*n).is_some_and(&wanted));
    let found: Vec<NodeId> = found.collect();
    assert_eq!(found.len(), 1, "ops of that kind");
    found[0]
}

fn concat(graph: &Graph) -> NodeId {
    only(graph, |op| matches!(op, Op::Concat { .. }))
}

/// The weight that an op takes.
fn weight(graph: &Graph, node: NodeId) -> WeightId {
    let operands = graph.operands(node);
    let weight = operands.iter().find_map(|o| match o {
        Operand::Weight(w) => Some(*w),
        Operand::Value(_) | Operand::State(_) => None,
    });
    weight.expect("a weight")
}

fn tensor(module: &Module, id: WeightId) -> &str {
    let (_, weight) = module.symbols.weight_of(id).expect("a declared weight");
    &weight.source
}

/// What a value is made of in the end: mnemonics and inputs.
fn roots(graph: &Graph, value: Value) -> Vec<String> {
    match graph.kind(value.node) {
        NodeKind::Input(name) => vec![format!("%{name}")],
        NodeKind::Op(Op::Embed {}) => vec!["embed".into()],
        NodeKind::Op(_) => {
            let operands = graph.value_operands(value.node);
            operands.flat_map(|v| roots(graph, v)).collect()
        }
    }
}

fn each_head(check: impl Fn(&Module, &Graph)) {
    for name in MODELS {
        let module = imported(name);
        check(&module, &module.graphs["mtp"]);
    }
}

#[test]
fn the_embedding_half_comes_first_in_the_concat() {
    each_head(|_, mtp| {
        let halves = mtp.value_operands(concat(mtp));
        let halves: Vec<Vec<String>> = halves.map(|v| roots(mtp, v)).collect();
        assert_eq!(halves, [["embed"], ["%h"]]);
    });
}

#[test]
fn eh_proj_takes_the_concat() {
    each_head(|module, mtp| {
        let eh_proj = only(mtp, |op| matches!(op, Op::EhProj {}));
        let taken: Vec<NodeId> = mtp.value_operands(eh_proj).map(|v| v.node).collect();
        assert_eq!(taken, [concat(mtp)]);
        assert_eq!(mtp.op(concat(mtp)), Some(&Op::Concat { axis: 1 }));
        let name = tensor(module, weight(mtp, eh_proj));
        assert!(name.ends_with(".nextn.eh_proj.weight"), "{name}");
    });
}

#[test]
fn the_head_shares_the_trunk_s_output_matrix() {
    each_head(|module, mtp| {
        let matrix = |graph: &Graph| weight(graph, graph.outputs()["logits"].node);
        assert_eq!(matrix(mtp), matrix(&module.graphs["trunk"]));
        let name = tensor(module, matrix(mtp));
        assert!(
            ["output.weight", "token_embd.weight"].contains(&name),
            "{name}"
        );
    });
}

#[test]
fn the_head_has_a_kv_state_of_its_own() {
    each_head(|module, mtp| {
        let states = |graph: &Graph| -> Vec<StateId> {
            let mut states: Vec<StateId> = graph.nodes().filter_map(|n| graph.state(n)).collect();
            states.sort();
            states.dedup();
            states
        };
        let (own, trunk) = (states(mtp), states(&module.graphs["trunk"]));
        assert_eq!(own.len(), 1);
        assert!(!trunk.contains(&own[0]));
        let (_, ty) = module.symbols.state_of(own[0]).expect("a declared state");
        assert!(matches!(ty, StateType::Kv { .. }), "{ty:?}");
    });
}

#[test]
fn the_hidden_state_input_is_normed_by_hnorm() {
    each_head(|module, mtp| {
        let is_h = |n: &NodeId| mtp.kind(*n) == &NodeKind::Input("h".into());
        let h = mtp.inputs().iter().copied().find(is_h).expect("an input");
        let users = mtp.users(Value { node: h, result: 0 });
        assert_eq!(users.len(), 1, "only the norm reads the input");
        let norm = users[0].0;
        assert!(matches!(mtp.op(norm), Some(Op::Rmsnorm { .. })));
        let name = tensor(module, weight(mtp, norm));
        assert!(name.ends_with(".nextn.hnorm.weight"), "{name}");
        assert!(mtp.value_operands(concat(mtp)).any(|v| v.node == norm));
    });
}

#[test]
fn the_hidden_state_that_the_head_gets_is_the_trunk_s_after_the_output_norm() {
    each_head(|module, _| {
        let trunk = &module.graphs["trunk"];
        let h = trunk.outputs()["h"].node;
        assert!(matches!(trunk.op(h), Some(Op::Rmsnorm { .. })));
        assert_eq!(tensor(module, weight(trunk, h)), "output_norm.weight");
    });
}

#[test]
fn what_the_head_hands_on_is_what_its_logits_are_made_of() {
    each_head(|module, mtp| {
        let h_next = mtp.outputs()["h_next"].node;
        assert!(matches!(mtp.op(h_next), Some(Op::Rmsnorm { .. })));
        let name = tensor(module, weight(mtp, h_next));
        let last = ["nextn.shared_head_norm.weight", "output_norm.weight"];
        assert!(last.iter().any(|l| name.ends_with(l)), "{name}");
        let mut above = mtp.outputs()["logits"].node;
        while above != h_next {
            above = mtp.value_operands(above).next().expect("an operand").node;
        }
    });
}
