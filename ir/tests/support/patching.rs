//! Patches on the graph `@g` of a small module.

use sharpi_ir::text::{parse, print};
use sharpi_ir::{Graph, Module, NodeId, Patch, Value, verify};

/// The module of a text without faults.
pub fn module(text: &str) -> Module {
    let module = parse(text).unwrap_or_else(|e| panic!("{e}"));
    verify(&module).unwrap_or_else(|e| panic!("{e}"));
    module
}

/// Ops of a mnemonic in canonical order.
pub fn ops(module: &Module, mnemonic: &str) -> Vec<NodeId> {
    let graph = graph(module);
    let is = |n: &NodeId| graph.op(*n).is_some_and(|op| op.mnemonic() == mnemonic);
    graph.order().into_iter().filter(is).collect()
}

/// The first of these ops.
pub fn op(module: &Module, mnemonic: &str) -> NodeId {
    ops(module, mnemonic)[0]
}

/// Its graph.
pub fn graph(module: &Module) -> &Graph {
    &module.graphs["g"]
}

/// The first result of a node.
pub fn first(node: NodeId) -> Value {
    Value { node, result: 0 }
}

/// Applies a patch to the graph.
pub fn apply(module: &mut Module, patch: Patch) -> Result<(), String> {
    let symbols = module.symbols.clone();
    let graph = module.graphs.get_mut("g").expect("the graph");
    (graph.apply(patch, &symbols).map(drop)).map_err(|e| e.to_string())
}

/// The lines of the ops, without types, after a patch that must apply.
pub fn patched(module: &mut Module, patch: Patch) -> Vec<String> {
    apply(module, patch).unwrap_or_else(|e| panic!("{e}"));
    verify(module).unwrap_or_else(|e| panic!("{e}"));
    let text = print(module);
    let body = text.lines().filter(|l| l.starts_with("    "));
    let left = |l: &str| l.split(" : ").next().unwrap_or(l).trim().to_string();
    body.map(left).collect()
}

/// The message of a patch that must not apply and must leave no trace.
pub fn refusal(module: &mut Module, patch: Patch) -> String {
    let before = print(module);
    let message = apply(module, patch).expect_err("a refusal");
    assert_eq!(print(module), before, "a refused patch changed the graph");
    verify(module).unwrap_or_else(|e| panic!("{e}"));
    message
}
