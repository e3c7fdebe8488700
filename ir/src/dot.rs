//! A graph in Graphviz' language, to look at.

use std::fmt::Write;

use petgraph::visit::{EdgeRef, IntoEdgeReferences};

use crate::graph::{Edge, Graph, NodeId, NodeKind, Operand};
use crate::module::Symbols;
use crate::text::Numbering;

/// The graph as a `digraph`: a box for each op with its values, types and symbols, a solid edge
/// for each operand, a dashed one where only a state orders two ops.
pub fn dot(name: &str, graph: &Graph, symbols: &Symbols) -> String {
    let order = graph.order();
    let numbers = Numbering::new(graph, &order);
    let places = order.iter().enumerate().map(|(i, n)| (*n, i));
    let places: std::collections::HashMap<NodeId, usize> = places.collect();
    let mut out = format!("digraph {} {{\n", quoted(name));
    out.push_str("  node [shape=box, fontname=\"monospace\"];\n");
    for (place, &node) in order.iter().enumerate() {
        let shape = match graph.kind(node) {
            NodeKind::Input(_) => ", shape=ellipse",
            NodeKind::Op(_) => "",
        };
        let label = quoted(&label(node, graph, symbols, &numbers));
        let _ = writeln!(out, "  n{place} [label={label}{shape}];");
    }
    let mut edges: Vec<String> = Vec::new();
    for edge in graph.inner.edge_references() {
        let ends = (NodeId(edge.source()), NodeId(edge.target()));
        let (from, to) = (places[&ends.0], places[&ends.1]);
        edges.push(match edge.weight() {
            Edge::Data { slot, .. } => {
                format!("  n{from} -> n{to} [headlabel=\"{slot}\"];\n")
            }
            Edge::Effect(state) => {
                let state = symbols.state_of(*state).map_or("?", |(name, _)| name);
                format!(
                    "  n{from} -> n{to} [style=dashed, label={}];\n",
                    quoted(&format!("@{state}"))
                )
            }
        });
    }
    edges.sort();
    out.extend(edges);
    for (i, (name, v)) in graph.outputs().iter().enumerate() {
        let label = quoted(&format!("%{name}"));
        let _ = writeln!(out, "  out{i} [label={label}, shape=ellipse];");
        if let Some(place) = places.get(&v.node) {
            let _ = writeln!(out, "  n{place} -> out{i};");
        }
    }
    out + "}\n"
}

/// Mnemonic and symbols, then a line for each result.
fn label(node: NodeId, graph: &Graph, symbols: &Symbols, numbers: &Numbering) -> String {
    let mut text = graph
        .op(node)
        .map_or("input", |op| op.mnemonic())
        .to_string();
    for operand in graph.operands(node) {
        let name = match operand {
            Operand::Value(_) => continue,
            Operand::Weight(w) => symbols.weight_of(w).map_or("?", |(name, _)| name),
            Operand::State(s) => symbols.state_of(s).map_or("?", |(name, _)| name),
        };
        let _ = write!(text, " @{name}");
    }
    for v in graph.values(node) {
        let _ = write!(text, "\n{}: {}", numbers.of(v), graph.ty(v));
        if let Some(name) = graph.name(v) {
            let _ = write!(text, "\n{name}");
        }
    }
    text
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\n', "\\n"))
}
