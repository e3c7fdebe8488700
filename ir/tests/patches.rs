//! What patches do, and what they refuse.

mod support;

use proptest::prelude::*;
use sharpi_ir::text::{parse, print};
use sharpi_ir::{Graph, NodeId, Op, Operand, Patch, PatchOperand, Value, verify};
use support::patching::{apply, first, graph, module, op, patched, refusal};

/// The graph that most tests patch.
const CHAIN: &str = r#"
module @m {
  weight @w : f32[4] = "w"
  graph @g(%x: f32[T, 4]) -> (%y: f32[T, 4]) where T in 1..=8 {
    %0 = silu %x : f32[T, 4] as a
    %1 = sigmoid %0 : f32[T, 4] as b
    %2 = mul %1, %0 : f32[T, 4]
    return %y = %2
  }
}"#;

#[test]
fn a_replaced_value_gives_its_users_and_its_name_to_the_new_one() {
    let mut m = module(CHAIN);
    let silu = op(&m, "silu");
    let x = first(graph(&m).inputs()[0]);
    let mut patch = Patch::new("rule");
    let new = patch.add(Op::Softplus {}, &[x.into()]);
    patch.replace(first(silu), new);
    patch.erase(silu);
    let lines = patched(&mut m, patch);
    assert_eq!(
        lines,
        [
            "%0 = softplus %x",
            "%1 = sigmoid %0",
            "%2 = mul %1, %0",
            "return %y = %2"
        ]
    );
    assert!(print(&m).contains(" as a\n"));
}

#[test]
fn an_output_takes_the_new_value() {
    let mut m = module(CHAIN);
    let mul = op(&m, "mul");
    let x = first(graph(&m).inputs()[0]);
    let mut patch = Patch::new("rule");
    patch.replace(first(mul), Operand::Value(x).into());
    patch.erase(mul);
    let lines = patched(&mut m, patch);
    assert_eq!(lines.last().map(String::as_str), Some("return %y = %x"));
}

#[test]
fn an_added_op_may_read_what_it_replaces() {
    let mut m = module(CHAIN);
    let silu = op(&m, "silu");
    let mut patch = Patch::new("rule");
    let new = patch.add(Op::Softplus {}, &[first(silu).into()]);
    patch.replace(first(silu), new);
    let lines = patched(&mut m, patch);
    assert_eq!(
        lines[..3],
        ["%0 = silu %x", "%1 = softplus %0", "%2 = sigmoid %1"]
    );
}

#[test]
fn one_operand_can_be_set() {
    let mut m = module(CHAIN);
    let (mul, silu) = (op(&m, "mul"), op(&m, "silu"));
    let x = first(graph(&m).inputs()[0]);
    let mut patch = Patch::new("rule");
    patch.set_operand(mul, 1, x.into());
    let lines = patched(&mut m, patch);
    assert_eq!(lines[2], "%2 = mul %1, %x");
    assert_eq!(graph(&m).users(first(silu)).len(), 1);
}

#[test]
fn a_value_operand_can_become_a_weight_and_a_value_again() {
    let mut m = module(CHAIN);
    let (mul, silu) = (op(&m, "mul"), op(&m, "silu"));
    let weight = m.symbols.find_weight("w").expect("the weight");
    let mut patch = Patch::new("rule");
    patch.set_operand(mul, 1, weight.into());
    assert_eq!(patched(&mut m, patch)[2], "%2 = mul %1, @w");
    let mut patch = Patch::new("rule");
    patch.set_operand(mul, 1, first(silu).into());
    assert_eq!(patched(&mut m, patch)[2], "%2 = mul %1, %0");
}

#[test]
fn a_used_value_cannot_be_erased() {
    let mut m = module(CHAIN);
    for mnemonic in ["silu", "mul"] {
        let mut patch = Patch::new("rule");
        patch.erase(op(&m, mnemonic));
        let message = refusal(&mut m, patch);
        assert_eq!(
            message,
            "rule rule: erases a value of type f32[T, 4] that is used"
        );
    }
}

#[test]
fn an_op_and_all_its_users_can_be_erased_together() {
    let mut m = module(CHAIN);
    let x = first(graph(&m).inputs()[0]);
    let mut patch = Patch::new("rule");
    patch.replace(first(op(&m, "mul")), x.into());
    for mnemonic in ["silu", "sigmoid", "mul"] {
        patch.erase(op(&m, mnemonic));
    }
    assert_eq!(patched(&mut m, patch), ["return %y = %x"]);
}

#[test]
fn a_new_op_cannot_read_what_the_patch_erases() {
    let mut m = module(CHAIN);
    let silu = op(&m, "silu");
    let mut patch = Patch::new("rule");
    let new = patch.add(Op::Softplus {}, &[first(silu).into()]);
    patch.replace(first(silu), new);
    patch.erase(silu);
    assert_eq!(
        refusal(&mut m, patch),
        "rule rule: reads a value that it erases"
    );
}

#[test]
fn a_value_of_another_type_is_refused() {
    let mut m = module(CHAIN);
    let x = first(graph(&m).inputs()[0]);
    let mut patch = Patch::new("rule");
    let new = patch.add(Op::RowSum {}, &[x.into()]);
    patch.replace(first(op(&m, "silu")), new);
    let message = refusal(&mut m, patch);
    assert_eq!(message, "rule rule: f32[T, 4] replaced by f32[T, 1]");
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let mut m = module(CHAIN);
    let x = first(graph(&m).inputs()[0]);
    let mut patch = Patch::new("rule");
    patch.add(Op::ExpertSum {}, &[x.into()]);
    let message = refusal(&mut m, patch);
    assert!(
        message.starts_with("rule rule: expert_sum: operand 0 (x) has type"),
        "{message}"
    );
}

#[test]
fn an_operand_that_changes_the_result_is_refused() {
    let mut m = module(CHAIN);
    let x = first(graph(&m).inputs()[0]);
    let mut patch = Patch::new("rule");
    let sum = patch.add(Op::RowSum {}, &[x.into()]);
    patch.set_operand(op(&m, "silu"), 0, sum);
    let message = refusal(&mut m, patch);
    assert_eq!(message, "rule rule: silu would change its result type");
}

#[test]
fn a_replacement_that_is_replaced_too_is_refused() {
    let mut m = module(CHAIN);
    let [silu, sigmoid] = ["silu", "sigmoid"].map(|n| first(op(&m, n)));
    let x = first(graph(&m).inputs()[0]);
    let mut patch = Patch::new("rule");
    patch.replace(sigmoid, silu.into());
    patch.replace(silu, x.into());
    let message = refusal(&mut m, patch);
    assert!(
        message.ends_with("by one that it replaces too"),
        "{message}"
    );
}

#[test]
fn cycles_are_refused() {
    let mut m = module(CHAIN);
    let [silu, sigmoid] = ["silu", "sigmoid"].map(|n| op(&m, n));
    let mut by_set = Patch::new("rule");
    by_set.set_operand(silu, 0, first(sigmoid).into());
    let mut by_replacement = Patch::new("rule");
    by_replacement.replace(first(silu), first(sigmoid).into());
    let mut by_new = Patch::new("rule");
    let new = by_new.add(Op::Softplus {}, &[first(sigmoid).into()]);
    by_new.replace(first(silu), new);
    for patch in [by_set, by_replacement, by_new] {
        assert_eq!(
            refusal(&mut m, patch),
            "rule rule: the graph would have a cycle"
        );
    }
}

#[test]
fn nodes_and_values_that_are_gone_are_refused() {
    let mut m = module(CHAIN);
    let mul = op(&m, "mul");
    let x = first(graph(&m).inputs()[0]);
    let mut patch = Patch::new("rule");
    patch.replace(first(mul), x.into());
    patch.erase(mul);
    patched(&mut m, patch);
    let mut patches = [(); 4].map(|()| Patch::new("rule"));
    patches[0].erase(mul);
    patches[1].replace(first(mul), x.into());
    patches[2].set_operand(mul, 0, x.into());
    patches[3].add(Op::Silu {}, &[first(mul).into()]);
    for patch in patches {
        refusal(&mut m, patch);
    }
}

proptest! {
    #[test]
    fn random_replacements_leave_a_valid_graph_or_no_trace(
        start in support::modules(30),
        picks in prop::collection::vec(any::<[usize; 3]>(), 1..6),
    ) {
        let mut m = start;
        for pick in picks {
            let before = print(&m);
            let Some(patch) = random_patch(graph(&m), pick) else { continue };
            if apply(&mut m, patch).is_err() {
                prop_assert_eq!(print(&m), before);
            }
            verify(&m).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let text = print(&m);
            let parsed = parse(&text).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(print(&parsed), text);
        }
    }
}

/// Replaces a value by another of its type, an op by a copy of itself, or sets an operand.
fn random_patch(graph: &Graph, [kind, a, b]: [usize; 3]) -> Option<Patch> {
    let nodes: Vec<NodeId> = graph.nodes().filter(|n| graph.op(*n).is_some()).collect();
    let node = *nodes.get(a % nodes.len().max(1))?;
    let values: Vec<Value> = graph.nodes().flat_map(|n| graph.values(n)).collect();
    let other = values[b % values.len()];
    let mut patch = Patch::new("random");
    match kind % 4 {
        0 => patch.replace(graph.values(node).next()?, other.into()),
        1 => {
            patch.replace(graph.values(node).next()?, other.into());
            patch.erase(node);
        }
        2 => {
            let operands = graph.operands(node).into_iter().map(PatchOperand::from);
            let operands: Vec<PatchOperand> = operands.collect();
            let new = patch.add(graph.op(node)?.clone(), &operands);
            let PatchOperand::New { node: added, .. } = new else {
                return None;
            };
            for old in graph.values(node) {
                let result = old.result;
                patch.replace(
                    old,
                    PatchOperand::New {
                        node: added,
                        result,
                    },
                );
            }
            patch.erase(node);
        }
        _ => patch.set_operand(node, b % 3, other.into()),
    }
    Some(patch)
}
