//! Faults that no text can express: graphs broken from within.

use super::verify_graph;
use crate::graph::{Edge, Graph, NodeId, Value};
use crate::module::{StateId, Symbols, Weight};
use crate::op::Op;
use crate::types::{DType, Dim, StateType, Symbol, TensorType};
use crate::{Builder, NodeKind};

/// `%0 = silu %x`, `%1 = causal_conv %0`, `%2 = causal_conv %1` on one state, `%3 = add %1, %2`.
fn graph() -> (Graph, Symbols, StateId) {
    let mut symbols = Symbols::default();
    let ty = TensorType::fixed(DType::F32, &[4, 2]);
    let source = "w".into();
    let weight = symbols
        .weight(
            "w",
            Weight {
                ty,
                source,
                rows: None,
            },
        )
        .expect("a new weight");
    let window = StateType::Recurrent(TensorType::fixed(DType::F32, &[1, 4]));
    let state = symbols.state("s", window).expect("a new state");
    let mut b = Builder::new(&mut symbols);
    b.bound(Symbol::TOKENS, 1..=8);
    let ty = TensorType::new(DType::F32, [Symbol::TOKENS.into(), Dim::Fixed(4)]);
    let x = b.input("x", ty);
    let conv = |b: &mut Builder, x: Value| {
        let operands = [x.into(), weight.into(), state.into()];
        b.value(Op::CausalConv {}, &operands).expect("a valid op")
    };
    let v0 = b.value(Op::Silu {}, &[x.into()]).expect("a valid op");
    let v1 = conv(&mut b, v0);
    let v2 = conv(&mut b, v1);
    let v3 = b
        .value(Op::Add {}, &[v1.into(), v2.into()])
        .expect("a valid op");
    b.output("y", v3);
    (b.finish(), symbols, state)
}

fn node(graph: &Graph, place: usize) -> NodeId {
    graph.order()[place]
}

fn messages(graph: &Graph, symbols: &Symbols) -> Vec<String> {
    let error = verify_graph("g", graph, symbols).expect_err("faults");
    assert!(error.to_string().contains('^'));
    error.faults.into_iter().map(|f| f.message).collect()
}

#[test]
fn the_whole_graph_has_no_faults() {
    let (graph, symbols, _) = graph();
    verify_graph("g", &graph, &symbols).expect("no faults");
}

#[test]
fn a_slot_left_empty_is_a_fault() {
    let (mut graph, symbols, _) = graph();
    let (from, to) = (node(&graph, 2), node(&graph, 4));
    let edge = graph.inner.find_edge(from.0, to.0).expect("an operand");
    graph.inner.remove_edge(edge);
    let found = messages(&graph, &symbols);
    assert_eq!(found, ["operand slots are [1], expected each once from 0"]);
}

#[test]
fn a_slot_filled_twice_is_a_fault() {
    let (mut graph, symbols, _) = graph();
    let (from, to) = (node(&graph, 0), node(&graph, 4));
    let edge = Edge::Data { slot: 1, result: 0 };
    graph.inner.add_edge(from.0, to.0, edge);
    let found = messages(&graph, &symbols);
    assert_eq!(
        found,
        ["operand slots are [0, 1, 1], expected each once from 0"]
    );
}

#[test]
fn an_operand_that_no_op_makes_is_a_fault() {
    let (mut graph, symbols, _) = graph();
    let (from, to) = (node(&graph, 0), node(&graph, 1));
    let edge = graph.inner.find_edge(from.0, to.0).expect("an operand");
    graph.inner[edge] = Edge::Data { slot: 0, result: 7 };
    let found = messages(&graph, &symbols);
    assert_eq!(found, ["operand 0 is result 7 of %x, which has 1"]);
}

#[test]
fn a_cycle_is_a_fault_that_names_its_ops() {
    let (mut graph, symbols, _) = graph();
    let (x, first, last) = (node(&graph, 0), node(&graph, 1), node(&graph, 4));
    let edge = graph.inner.find_edge(x.0, first.0).expect("an operand");
    graph.inner.remove_edge(edge);
    graph
        .inner
        .add_edge(last.0, first.0, Edge::Data { slot: 0, result: 0 });
    let found = messages(&graph, &symbols);
    assert!(
        found.iter().any(|m| m.starts_with("on a cycle of ")),
        "{found:?}"
    );
    let cycle = &found[0];
    for op in ["silu", "causal_conv", "add"] {
        assert!(cycle.contains(op), "{cycle}");
    }
}

#[test]
fn an_op_that_reads_itself_is_on_a_cycle() {
    let (mut graph, symbols, _) = graph();
    let (x, first) = (node(&graph, 0), node(&graph, 1));
    let edge = graph.inner.find_edge(x.0, first.0).expect("an operand");
    graph.inner.remove_edge(edge);
    graph
        .inner
        .add_edge(first.0, first.0, Edge::Data { slot: 0, result: 0 });
    let found = messages(&graph, &symbols);
    assert_eq!(found, ["on a cycle of %0 = silu"]);
}

#[test]
fn ops_on_a_state_without_an_order_are_a_fault() {
    let (mut graph, symbols, state) = graph();
    graph.inner.retain_edges(|g, e| g[e] != Edge::Effect(state));
    let found = messages(&graph, &symbols);
    assert_eq!(
        found,
        ["is not ordered with %1 = causal_conv on their state"]
    );
}

#[test]
fn an_effect_edge_that_no_state_calls_for_is_a_fault() {
    let (mut graph, symbols, state) = graph();
    let (from, to) = (node(&graph, 1), node(&graph, 2));
    graph.inner.add_edge(from.0, to.0, Edge::Effect(state));
    let found = messages(&graph, &symbols);
    let expected = "has an effect edge from %0 = silu, which is not the op before it on its state";
    assert_eq!(found, [expected]);
}

#[test]
fn an_output_without_its_node_is_a_fault() {
    let (mut graph, symbols, _) = graph();
    let last = node(&graph, 4);
    graph.inner.remove_node(last.0);
    let found = messages(&graph, &symbols);
    assert_eq!(found, ["output %y is no value of the graph"]);
}

#[test]
fn an_infinite_attribute_is_a_fault() {
    let (mut graph, symbols, _) = graph();
    let first = node(&graph, 1);
    let min = f32::INFINITY;
    graph.inner[first.0].kind = NodeKind::Op(Op::ClampMin { min });
    let found = messages(&graph, &symbols);
    assert_eq!(found, ["min is inf, expected finite numbers"]);
}

#[test]
fn two_inputs_of_one_name_are_a_fault() {
    let mut symbols = Symbols::default();
    let mut b = Builder::new(&mut symbols);
    for _ in 0..2 {
        b.input("x", TensorType::fixed(DType::F32, &[4]));
    }
    let graph = b.finish();
    assert_eq!(messages(&graph, &symbols), ["two inputs have the name %x"]);
}

#[test]
fn an_op_on_a_weight_of_another_module_is_a_fault() {
    let (graph, _, _) = graph();
    let found = messages(&graph, &Symbols::default());
    assert_eq!(found, ["an operand is not declared"; 2]);
}
