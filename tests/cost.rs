//! What ops cost, held against arithmetic by hand on the shape of the dense 27B.

#[path = "support/header_only.rs"]
mod header_only;
mod support;

use sharpi_compile::Model;
use sharpi_compile::cost::{
    Ceilings, Cost, Forecast, Link, Question, Rates, RunShape, forecast, of, of_graph,
};
use sharpi_compile::ir::{Module, Op};
use sharpi_compile::lower::{DraftVocabulary, LowerOptions};
use sharpi_compile::passes::{Options, Stage, run_until};

fn at_stage(model: &Model, stage: Stage) -> Module {
    let module = model.lower(&LowerOptions::default()).expect("graphs");
    let snapshot = run_until(module, stage, &Options::default()).expect("a stage");
    snapshot.module
}

fn planned_27b() -> Module {
    at_stage(&header_only::dense_27b(64), Stage::Planned)
}

fn decode(context: usize) -> RunShape {
    RunShape {
        tokens: 1,
        rows: 1,
        context,
    }
}

fn of_trunk(module: &Module, shape: RunShape) -> Cost {
    of_graph(&module.graphs["trunk"], &module.symbols, &shape)
}

/// Weights of the ops that name one of these tensors.
fn weights_of(module: &Module, tensors: &[&str]) -> f64 {
    let graph = &module.graphs["trunk"];
    let names = |node| {
        let operands = graph.operands(node).into_iter();
        operands.filter_map(|o| match o {
            sharpi_compile::ir::Operand::Weight(w) => module.symbols.weight_of(w),
            _ => None,
        })
    };
    let ops = graph.nodes().filter(|n| {
        let mut names = names(*n);
        names.any(|(name, _)| {
            name.rsplit('.')
                .next()
                .is_some_and(|n| tensors.contains(&n))
        })
    });
    ops.map(|n| of(graph, n, &module.symbols, &decode(0)).weight_bytes)
        .sum()
}

/// Two threads of the machine whose figures the design was made with.
fn ceilings() -> Ceilings {
    Ceilings {
        cpu: "a machine on paper".into(),
        simd: "avx512".into(),
        disturbed: false,
        rates: vec![Rates {
            threads: 2,
            read_bytes: 38e9,
            int_macs: 980e9,
            f32_macs: 240e9,
        }],
        sets: Vec::new(),
    }
}

fn forecast_27b(acceptance: f64) -> Forecast {
    let question = Question {
        link: Link::default(),
        threads: 2,
        context: 0,
        prefill: 512,
        acceptance,
        n_max: 3,
    };
    forecast(&planned_27b(), &ceilings(), &question).expect("a trunk")
}

#[track_caller]
fn near(found: f64, expected: f64, part: f64) {
    let off = (found / expected - 1.0).abs();
    assert!(off <= part, "{found:e}, expected {expected:e}");
}

#[test]
fn a_token_of_the_27b_reads_its_weights_once_and_multiplies_each_with_one_number() {
    let module = planned_27b();
    let cost = of_trunk(&module, decode(0));
    near(cost.weight_bytes, 15.8e9, 0.03);
    near(cost.int_macs, 25.6e9, 0.01);
    // The matrices and the windows of the convolutions, in f32, read and written.
    let states = 48 * (48 * 128 * 128 + 3 * 10240) * 4 * 2;
    assert_eq!(cost.state_bytes, f64::from(states));
    // Elements: projections of 48 DeltaNet and 16 attention blocks, 64 feed-forward blocks, head.
    let deltanet = 48 * 5120 * (10240 + 2 * 6144);
    let attention = 16 * 5120 * (2 * 6144 + 2 * 1024 + 6144);
    let rest = 64 * 3 * 5120 * 17408 + 5120 * 248_320u64;
    assert_eq!(cost.int_macs, (deltanet + attention + rest) as f64);
}

#[test]
fn weights_of_the_27b_lie_where_the_model_has_them() {
    let module = planned_27b();
    let deltanet = ["attn_qkv", "attn_gate", "ssm_out"];
    near(weights_of(&module, &deltanet), 3.89e9, 0.01);
    let attention = ["attn_q", "attn_k", "attn_output"];
    near(weights_of(&module, &attention), 0.96e9, 0.02);
    near(weights_of(&module, &["ffn_gate", "ffn_down"]), 10.4e9, 0.01);
    near(weights_of(&module, &["output"]), 1.04e9, 0.01);
}

#[test]
fn a_position_of_context_costs_64_kib_of_cache() {
    let module = planned_27b();
    let cache = |context| of_trunk(&module, decode(context)).cache_bytes;
    assert_eq!(cache(1001) - cache(1000), 65536.0);
    // Its own row is written and read.
    assert_eq!(cache(0), 2.0 * 65536.0);
}

#[test]
fn a_draft_step_of_the_27b_costs_a_twelfth_of_a_pass_most_of_it_the_head() {
    let module = planned_27b();
    let head = &module.graphs["mtp"];
    let step = of_graph(head, &module.symbols, &decode(0));
    let pass = of_trunk(&module, decode(0));
    near(step.memory_bytes() / pass.memory_bytes(), 0.081, 0.03);
    let matmuls = head.nodes().filter(|n| head.op(*n) == Some(&Op::Matmul {}));
    let output: Cost = matmuls
        .map(|n| of(head, n, &module.symbols, &decode(0)))
        .sum();
    near(output.memory_bytes() / step.memory_bytes(), 0.80, 0.03);
}

#[test]
fn a_draft_step_among_32_thousand_ids_costs_a_fortieth_of_a_pass() {
    let options = LowerOptions::default().draft_vocabulary(Some(DraftVocabulary::First(32_768)));
    let module = header_only::dense_27b(64).lower(&options).expect("graphs");
    let snapshot = run_until(module, Stage::Planned, &Options::default()).expect("a stage");
    let module = snapshot.module;
    let step = of_graph(&module.graphs["mtp"], &module.symbols, &decode(0));
    let pass = of_trunk(&module, decode(0));
    near(step.memory_bytes() / pass.memory_bytes(), 0.025, 0.06);
}

#[test]
fn rows_whose_logits_nobody_wants_cost_nothing_in_the_head() {
    let module = planned_27b();
    let macs = |rows| {
        let shape = RunShape {
            tokens: 512,
            rows,
            context: 0,
        };
        of_trunk(&module, shape).int_macs
    };
    assert_eq!(macs(16) - macs(1), 15.0 * 5120.0 * 248_320.0);
}

#[test]
fn the_27b_decodes_at_the_speed_of_memory_and_prefills_at_that_of_the_multiplier() {
    let forecast = forecast_27b(0.8);
    let bytes = of_trunk(&planned_27b(), decode(0)).memory_bytes();
    near(forecast.decode, 38e9 / bytes, 0.005);
    let head = 5120.0 * 248_320.0 / 512.0;
    let multiplier = 980e9 / (25.6e9 - 5120.0 * 248_320.0 + head);
    assert!(forecast.prefill < multiplier);
    near(forecast.prefill, multiplier, 0.15);
}

#[test]
fn drafting_gains_what_the_ideal_formula_says_while_memory_decides() {
    let drafting = forecast_27b(0.8).drafting;
    assert_eq!(drafting.len(), 4);
    near(drafting[0].speed_up, 1.0, 1e-9);
    for (n, expected) in [(1, 1.67), (2, 2.10), (3, 2.37)] {
        near(drafting[n].speed_up, expected, 0.015);
    }
}

#[test]
fn drafting_at_the_acceptance_of_its_break_even_is_as_fast_as_none() {
    for n in 1..=3 {
        let even = forecast_27b(0.8).drafting[n].break_even.expect("a place");
        assert!(0.0 < even && even < 0.2, "{even}");
        near(forecast_27b(even).drafting[n].speed_up, 1.0, 1e-6);
    }
}

#[test]
fn a_head_that_is_slower_than_the_trunk_never_breaks_even() {
    let model = support::model("micro-dense-f32");
    let mut module = at_stage(&model, Stage::Planned);
    let trunk = module.graphs["trunk"].clone();
    module.graphs.insert("mtp".into(), trunk);
    let question = Question {
        link: Link::default(),
        threads: 2,
        context: 0,
        prefill: 512,
        acceptance: 1.0,
        n_max: 1,
    };
    let forecast = forecast(&module, &ceilings(), &question).expect("a trunk");
    assert_eq!(forecast.drafting[1].break_even, None);
}

#[test]
fn fusing_ops_changes_neither_products_nor_states_and_hardly_the_weights() {
    for name in ["tiny-dense-Q4_K_M", "tiny-moe-Q4_K_M", "micro-moe-f32"] {
        let model = support::model(name);
        let (before, after) = (
            at_stage(&model, Stage::Imported),
            at_stage(&model, Stage::Planned),
        );
        for tokens in [1, 3, 64] {
            let shape = RunShape {
                tokens,
                rows: 1,
                context: 100,
            };
            for graph in ["trunk", "mtp"] {
                let cost = |m: &Module| of_graph(&m.graphs[graph], &m.symbols, &shape);
                let (before, after) = (cost(&before), cost(&after));
                assert_eq!(before.int_macs, after.int_macs, "{name} @{graph}");
                assert_eq!(before.state_bytes, after.state_bytes, "{name} @{graph}");
                assert_eq!(before.cache_bytes, after.cache_bytes, "{name} @{graph}");
                // Ops that share a norm each read its weight.
                near(after.weight_bytes, before.weight_bytes, 0.01);
                near(after.f32_macs, before.f32_macs, 0.12);
                assert!(after.activation_bytes < before.activation_bytes);
            }
        }
    }
}

#[test]
fn tokens_share_experts_by_chance_and_a_run_never_reads_one_twice() {
    let module = at_stage(&support::model("tiny-moe-Q4_K_M"), Stage::Planned);
    let graph = &module.graphs["trunk"];
    let experts = graph
        .nodes()
        .find(|n| matches!(graph.op(*n), Some(Op::MoeSum { .. })))
        .expect("experts");
    let bytes = |tokens| {
        let shape = RunShape {
            tokens,
            rows: 1,
            context: 0,
        };
        of(graph, experts, &module.symbols, &shape).weight_bytes
    };
    // 2 of 8 experts for each token.
    let all = bytes(10_000);
    near(bytes(1), all * 2.0 / 8.0, 1e-9);
    near(bytes(2), all * (1.0 - 0.75 * 0.75), 1e-9);
    near(bytes(512), all, 1e-9);
}

#[test]
fn runs_of_the_35b_read_more_experts_the_more_tokens_they_have() {
    let module = at_stage(&header_only::moe_35b(), Stage::Planned);
    let bytes = |tokens| {
        let shape = RunShape {
            tokens,
            rows: tokens,
            context: 0,
        };
        of_trunk(&module, shape).memory_bytes()
    };
    near(bytes(1), 2.2e9, 0.1);
    for (tokens, expected) in [(2, 1.30), (3, 1.59), (4, 1.87)] {
        near(bytes(tokens) / bytes(1), expected, 0.06);
    }
    let draft = of_graph(&module.graphs["mtp"], &module.symbols, &decode(0));
    near(draft.memory_bytes() / bytes(1), 0.23, 0.1);
}

#[test]
fn rates_between_two_measured_thread_counts_are_bounds_of_both() {
    let rates = |threads, rate| Rates {
        threads,
        read_bytes: rate,
        int_macs: rate,
        f32_macs: rate,
    };
    let ceilings = Ceilings {
        rates: vec![rates(1, 10.0), rates(2, 20.0), rates(8, 50.0)],
        ..ceilings()
    };
    let found = [1, 2, 4, 8, 64].map(|threads| ceilings.at(threads).read_bytes);
    // Four threads do at most twice what two do, and eight no less than four.
    assert_eq!(found, [10.0, 20.0, 40.0, 50.0, 50.0]);
}
