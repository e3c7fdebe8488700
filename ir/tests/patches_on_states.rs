//! How patches keep the order of ops on a state.

mod support;

use sharpi_ir::{Op, Patch, PatchOperand};
use support::patching::{first, graph, module, ops, patched, refusal};

const STATES: &str = r#"
module @m {
  state @kv : kv<f16>[2, 4]
  graph @g(%q: f32[T, 2, 4], %p: position[T]) -> (%y: f32[T, 2, 4]) where T in 1..=8 {
    kv_store %q, %q, %p, state @kv
    %0 = attention %q, %p, state @kv {scale = 0.5} : f32[T, 2, 4]
    kv_store %0, %0, %p, state @kv
    %1 = attention %0, %p, state @kv {scale = 0.5} : f32[T, 2, 4]
    return %y = %1
  }
}"#;

#[test]
fn a_new_op_on_a_state_stands_where_the_old_one_stood() {
    let mut m = module(STATES);
    let old = ops(&m, "attention")[0];
    let operands: Vec<PatchOperand> = graph(&m)
        .operands(old)
        .into_iter()
        .map(PatchOperand::from)
        .collect();
    let mut patch = Patch::new("rule");
    let new = patch.add(
        Op::Attention {
            scale: 0.25,
            pool: None,
        },
        &operands,
    );
    patch.replace(first(old), new);
    patch.erase(old);
    let lines = patched(&mut m, patch);
    assert_eq!(
        lines,
        [
            "kv_store %q, %q, %p, state @kv",
            "%0 = attention %q, %p, state @kv {scale = 0.25}",
            "kv_store %0, %0, %p, state @kv",
            "%1 = attention %0, %p, state @kv {scale = 0.5}",
            "return %y = %1",
        ]
    );
}

#[test]
fn several_new_ops_on_a_state_keep_the_order_of_their_adding() {
    let mut m = module(STATES);
    let (store, old) = (ops(&m, "kv_store")[0], ops(&m, "attention")[0]);
    let operands = |n| graph(&m).operands(n).into_iter().map(PatchOperand::from);
    let (store_operands, old_operands): (Vec<_>, Vec<_>) =
        (operands(store).collect(), operands(old).collect());
    let mut patch = Patch::new("rule");
    let new = patch.add(
        Op::Attention {
            scale: 0.25,
            pool: None,
        },
        &old_operands,
    );
    patch.add(Op::KvStore {}, &store_operands);
    patch.replace(first(old), new);
    patch.erase(store);
    patch.erase(old);
    let lines = patched(&mut m, patch);
    assert_eq!(
        lines[..3],
        [
            "%0 = attention %q, %p, state @kv {scale = 0.25}",
            "kv_store %q, %q, %p, state @kv",
            "kv_store %0, %0, %p, state @kv",
        ]
    );
}

#[test]
fn what_stood_around_an_erased_op_on_a_state_keeps_its_order() {
    let mut m = module(STATES);
    let mut patch = Patch::new("rule");
    patch.erase(ops(&m, "kv_store")[1]);
    let lines = patched(&mut m, patch);
    assert_eq!(
        lines[..3],
        [
            "kv_store %q, %q, %p, state @kv",
            "%0 = attention %q, %p, state @kv {scale = 0.5}",
            "%1 = attention %0, %p, state @kv {scale = 0.5}",
        ]
    );
}

#[test]
fn a_new_op_on_a_state_needs_the_place_of_an_erased_one() {
    let mut m = module(STATES);
    let operands = graph(&m).operands(ops(&m, "kv_store")[0]);
    let operands: Vec<PatchOperand> = operands.into_iter().map(PatchOperand::from).collect();
    let mut patch = Patch::new("rule");
    patch.add(Op::KvStore {}, &operands);
    let message = refusal(&mut m, patch);
    assert_eq!(
        message,
        "rule rule: adds an op on state @kv in the place of none"
    );
}

#[test]
fn a_new_op_on_a_state_cannot_stand_on_both_sides_of_another() {
    let mut m = module(STATES);
    let stores = ops(&m, "kv_store");
    let operands = graph(&m).operands(stores[0]);
    let operands: Vec<PatchOperand> = operands.into_iter().map(PatchOperand::from).collect();
    let mut patch = Patch::new("rule");
    patch.add(Op::KvStore {}, &operands);
    stores.iter().for_each(|n| patch.erase(*n));
    let message = refusal(&mut m, patch);
    assert_eq!(
        message,
        "rule rule: erases ops on state @kv around one that stays"
    );
}

#[test]
fn a_state_that_would_run_before_its_operand_is_a_cycle() {
    let mut m = module(STATES);
    let (store, last) = (ops(&m, "kv_store")[0], ops(&m, "attention")[1]);
    let pos = first(graph(&m).inputs()[1]);
    let state = m.symbols.find_state("kv").expect("the state");
    let late = first(last);
    let mut patch = Patch::new("rule");
    patch.add(
        Op::KvStore {},
        &[late.into(), late.into(), pos.into(), state.into()],
    );
    patch.erase(store);
    assert_eq!(
        refusal(&mut m, patch),
        "rule rule: the graph would have a cycle"
    );
}
