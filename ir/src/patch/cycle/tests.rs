//! What surroundings show against the search of everything, on random graphs.

use proptest::prelude::*;

use crate::builder::Builder;
use crate::graph::{Graph, NodeId, Operand, Value};
use crate::module::Symbols;
use crate::op::Op;
use crate::patch::{Patch, PatchOperand};
use crate::types::{DType, StateType, Symbol, TensorType};

/// Ops on values of one type, some of them on one state.
fn graph(symbols: &mut Symbols, steps: &[[usize; 3]]) -> Graph {
    let mut b = Builder::new(symbols);
    let t = Symbol::TOKENS;
    let x = TensorType::new(DType::F32, [t.into(), 2.into(), 4.into()]);
    let mut values = vec![b.input("x", x)];
    let pos = b.input("pos", TensorType::position([t.into()]));
    let kv = StateType::Kv {
        k: DType::F16,
        v: DType::F16,
        heads: 2,
        dim: 4,
    };
    let kv = b.symbols().state("kv", kv).expect("a new state");
    for &[op, i, j] in steps {
        let (x, y) = (values[i % values.len()], values[j % values.len()]);
        let (op, operands): (Op, Vec<Operand>) = match op % 5 {
            0 => (Op::Silu {}, vec![x.into()]),
            1 | 2 => (Op::Add {}, vec![x.into(), y.into()]),
            3 => (
                Op::KvStore {},
                vec![x.into(), y.into(), pos.into(), kv.into()],
            ),
            _ => (
                Op::Attention {
                    scale: 0.5,
                    pool: None,
                },
                vec![x.into(), pos.into(), kv.into()],
            ),
        };
        let node = b.op(op, &operands).expect("a valid op");
        values.extend(b.values(node));
    }
    b.finish()
}

/// Adds to a patch one thing that passes do, or one that none should.
fn extend(patch: &mut Patch, graph: &Graph, [kind, a, b, c]: [usize; 4]) -> Option<()> {
    let nodes: Vec<NodeId> = graph.nodes().filter(|n| graph.op(*n).is_some()).collect();
    let node = *nodes.get(a % nodes.len().max(1))?;
    let values: Vec<Value> = graph.nodes().flat_map(|n| graph.values(n)).collect();
    let any = values[b % values.len()];
    let operands = graph.operands(node);
    let slot = c % operands.len();
    match kind % 7 {
        // Puts an op between another and its operand.
        0 => {
            let new = patch.add(Op::Silu {}, &[operands[slot].into()]);
            patch.set_operand(node, slot, new);
        }
        1 => patch.set_operand(node, slot, any.into()),
        2 => patch.replace(graph.values(node).next()?, any.into()),
        // Skips an op.
        3 => {
            patch.replace(graph.values(node).next()?, operands[0].into());
            patch.erase(node);
        }
        // Puts one op in the place of two.
        4 => {
            let Operand::Value(inner) = operands[slot] else {
                return None;
            };
            let mut operands: Vec<PatchOperand> = operands.iter().map(|o| (*o).into()).collect();
            operands[slot] = (*graph.operands(inner.node).get(b % 2)?).into();
            replace(patch, graph, node, &operands)?;
            patch.erase(inner.node);
        }
        // Puts an op in the place of another, with one operand that may be any.
        5 => {
            let mut operands: Vec<PatchOperand> = operands.iter().map(|o| (*o).into()).collect();
            operands[slot] = any.into();
            replace(patch, graph, node, &operands)?;
        }
        _ => patch.erase(node),
    }
    Some(())
}

fn replace(
    patch: &mut Patch,
    graph: &Graph,
    node: NodeId,
    operands: &[PatchOperand],
) -> Option<()> {
    let new = patch.add(graph.op(node)?.clone(), operands);
    if let Some(old) = graph.values(node).next() {
        patch.replace(old, new);
    }
    patch.erase(node);
    Some(())
}

/// What the surroundings and the search say about a patch that is sound otherwise.
fn verdicts(steps: &[[usize; 3]], picks: &[[usize; 4]]) -> Option<(bool, bool)> {
    let mut symbols = Symbols::default();
    let graph = graph(&mut symbols, steps);
    let mut patch = Patch::new("random");
    for pick in picks {
        extend(&mut patch, &graph, *pick)?;
    }
    graph.check(&patch, &symbols).ok()?;
    let chains = graph.new_chains(&patch, &symbols).ok()?;
    let plain = graph.plainly_acyclic(&patch, &chains);
    Some((plain, graph.search_cycle(&patch, &chains)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn no_patch_that_closes_a_cycle_looks_plainly_acyclic(
        steps in prop::collection::vec(any::<[usize; 3]>(), 1..12),
        picks in prop::collection::vec(any::<[usize; 4]>(), 1..4),
    ) {
        prop_assert_ne!(verdicts(&steps, &picks), Some((true, true)));
    }
}
