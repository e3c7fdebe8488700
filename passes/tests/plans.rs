//! Plans of random graphs, judged by the independent checker, and broken plans, which it must
//! find.

mod common;

use proptest::prelude::*;
use sharpi_ir::{Graph, Module, NodeId, Value};
use sharpi_passes::{
    ALIGNMENT, Compiled, Options, Plan, PlanFault, Verify, check_plan, compile, print_planned,
};

use common::{Picks, deltanet, random};

fn picks() -> impl Strategy<Value = (Vec<Picks>, Vec<usize>)> {
    let op = (any::<u8>(), any::<usize>(), any::<usize>());
    let outputs = prop::collection::vec(any::<usize>(), 1..4);
    (prop::collection::vec(op, 1..60), outputs)
}

fn planned(module: Module) -> (Graph, Plan) {
    let compiled = compile(module, &Options::default()).expect("a plan");
    let Compiled { module, plans, .. } = compiled;
    (module.graphs["g"].clone(), plans["g"].clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn plans_of_random_graphs_have_no_fault((ops, outputs) in picks()) {
        let (graph, plan) = planned(random(&ops, &outputs));
        prop_assert_eq!(check_plan(&graph, &plan), vec![]);
        let memory = &plan.memory;
        prop_assert!(memory.lower_bound_bytes <= memory.arena_bytes);
        prop_assert!(memory.arena_bytes <= memory.sum_bytes);
    }

    #[test]
    fn steps_swapped_or_joined_are_found((ops, outputs) in picks(), at in any::<usize>()) {
        let (graph, plan) = planned(random(&ops, &outputs));
        prop_assume!(plan.steps.len() > 1);
        let at = at % (plan.steps.len() - 1);
        let mut swapped = plan.clone();
        swapped.steps.swap(at, at + 1);
        prop_assert!(check_plan(&graph, &swapped).iter().any(is_wrong_order));
        let mut joined = plan;
        let later = joined.steps.remove(at + 1);
        joined.steps[at].extend(later);
        prop_assert!(check_plan(&graph, &joined).iter().any(is_wrong_order));
    }

    #[test]
    fn ops_that_never_run_or_run_twice_are_found((ops, outputs) in picks(), at in any::<usize>()) {
        let (graph, plan) = planned(random(&ops, &outputs));
        prop_assume!(!plan.steps.is_empty());
        let at = at % plan.steps.len();
        let mut missing = plan.clone();
        let node = missing.steps[at].pop().expect("a step has an op");
        let faults = check_plan(&graph, &missing);
        let is_missing = |f: &PlanFault| matches!(f, PlanFault::NeverRuns { .. });
        prop_assert!(faults.iter().any(is_missing));
        let mut twice = plan;
        twice.steps.push(vec![node]);
        let faults = check_plan(&graph, &twice);
        let is_twice = |f: &PlanFault| matches!(f, PlanFault::RunsTwice { .. });
        prop_assert!(faults.iter().any(is_twice));
    }

    #[test]
    fn a_result_moved_onto_its_operand_is_found((ops, outputs) in picks(), at in any::<usize>()) {
        let (graph, mut plan) = planned(random(&ops, &outputs));
        let pairs: Vec<(Value, Value)> = running(&plan)
            .flat_map(|n| graph.values(n).zip(graph.value_operands(n)))
            .collect();
        prop_assume!(!pairs.is_empty());
        let (result, operand) = pairs[at % pairs.len()];
        let onto = plan.memory.placements[&operand].offset;
        plan.memory.placements.get_mut(&result).expect("a place").offset = onto;
        let is_overlap = |f: &PlanFault| matches!(f, PlanFault::Overlap { .. });
        prop_assert!(check_plan(&graph, &plan).iter().any(is_overlap));
    }

    #[test]
    fn places_dropped_shifted_or_shrunk_are_found((ops, outputs) in picks(), at in any::<usize>()) {
        let (graph, plan) = planned(random(&ops, &outputs));
        let values: Vec<Value> = graph.order().into_iter().flat_map(|n| graph.values(n)).collect();
        let v = values[at % values.len()];
        let faults_with = |change: &dyn Fn(&mut Plan)| {
            let mut plan = plan.clone();
            change(&mut plan);
            check_plan(&graph, &plan)
        };
        let faults = faults_with(&|p| { p.memory.placements.remove(&v); });
        let is_unplaced = |f: &PlanFault| matches!(f, PlanFault::Unplaced { .. });
        prop_assert!(faults.iter().any(is_unplaced));
        let faults = faults_with(&|p| p.memory.placements.get_mut(&v).expect("a place").offset += 4);
        let is_misaligned = |f: &PlanFault| matches!(f, PlanFault::Misaligned { .. });
        prop_assert!(faults.iter().any(is_misaligned));
        let faults = faults_with(&|p| p.memory.placements.get_mut(&v).expect("a place").bytes -= 1);
        let is_small = |f: &PlanFault| matches!(f, PlanFault::TooSmall { .. });
        prop_assert!(faults.iter().any(is_small));
        let faults = faults_with(&|p| p.memory.arena_bytes -= ALIGNMENT);
        let is_outside = |f: &PlanFault| matches!(f, PlanFault::Outside { .. });
        prop_assert!(faults.iter().any(is_outside));
    }
}

fn is_wrong_order(fault: &PlanFault) -> bool {
    matches!(
        fault,
        PlanFault::BeforeOperand { .. } | PlanFault::EffectOrder { .. }
    )
}

fn running(plan: &Plan) -> impl Iterator<Item = NodeId> {
    plan.steps.iter().flatten().copied()
}

#[test]
fn effects_out_of_order_are_found() {
    // Two convolutions of one input on one state: only the state orders them.
    let (graph, mut plan) = planned(random(&[(5, 0, 0), (5, 0, 0)], &[2, 3]));
    plan.steps.swap(0, 1);
    let faults = check_plan(&graph, &plan);
    assert!(
        matches!(faults[0], PlanFault::EffectOrder { .. }),
        "{faults:?}"
    );
}

#[test]
fn a_view_that_shows_other_bytes_is_found() {
    let (graph, mut plan) = planned(random(&[(0, 0, 0), (2, 2, 0)], &[4]));
    let view = *graph.outputs().values().next().expect("an output");
    let place = plan.memory.placements.get_mut(&view).expect("a place");
    place.offset += ALIGNMENT;
    let faults = check_plan(&graph, &plan);
    let is_elsewhere = |f: &PlanFault| matches!(f, PlanFault::ViewElsewhere { .. });
    assert!(faults.iter().any(is_elsewhere), "{faults:?}");
}

#[test]
fn a_deltanet_layer_needs_little_more_than_its_widest_moment() {
    let (graph, plan) = planned(deltanet(8));
    let memory = &plan.memory;
    let text = print_planned("g", &graph, &Default::default(), &plan);
    assert!(
        memory.arena_bytes * 10 <= memory.lower_bound_bytes * 11,
        "{text}"
    );
    assert!(memory.arena_bytes * 10 < memory.sum_bytes, "{text}");
}

#[test]
fn ten_thousand_ops_get_a_plan_without_faults() {
    let module = deltanet(280);
    let options = Options::default()
        // Nothing that fuses ops: there would be fewer.
        .only(Some(vec!["cse".into(), "dce".into()]))
        .verify(Verify::Ends);
    let compiled = compile(module, &options).expect("a plan");
    let graph = &compiled.module.graphs["g"];
    assert!(graph.op_count() > 9_000, "{} ops", graph.op_count());
    assert_eq!(check_plan(graph, &compiled.plans["g"]), vec![]);
}
