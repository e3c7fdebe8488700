//! The graphs of one stage in the JSON that Model Explorer reads: a graph for each, blocks as
//! layers, ops as nodes.

use serde::Serialize;
use sharpi_ir::{NodeId, NodeKind, Operand, StateId, Value};

use super::Subject;
use super::body::Source;

#[derive(Serialize)]
pub(super) struct Collection {
    label: String,
    graphs: Vec<Graph>,
}

#[derive(Serialize)]
struct Graph {
    id: String,
    nodes: Vec<Node>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    id: String,
    label: String,
    /// The layers around it, the outermost first.
    namespace: String,
    incoming_edges: Vec<Edge>,
    attrs: Vec<Pair>,
    inputs_metadata: Vec<Metadata>,
    outputs_metadata: Vec<Metadata>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Edge {
    source_node_id: String,
    source_node_output_id: String,
    target_node_input_id: String,
}

/// What stands at an edge.
#[derive(Serialize)]
struct Metadata {
    id: String,
    attrs: Vec<Pair>,
}

#[derive(Serialize)]
struct Pair {
    key: String,
    value: String,
}

impl Collection {
    pub(super) fn new(subject: &Subject<'_>) -> Collection {
        let graphs = subject.last_graphs();
        let plans = subject.trace.last().map(|last| &last.decisions);
        let graphs = graphs.map(|(name, source)| {
            let decided = plans.and_then(|plans| plans.get(name));
            let steps = decided.and_then(|d| d.schedule.as_ref());
            let step_of = |node: NodeId| steps?.steps.iter().position(|ops| ops.contains(&node));
            Graph {
                id: name.to_string(),
                nodes: nodes(&source, &step_of),
            }
        });
        Collection {
            label: subject.title.to_string(),
            graphs: graphs.collect(),
        }
    }
}

fn nodes(source: &Source<'_>, step_of: &dyn Fn(NodeId) -> Option<usize>) -> Vec<Node> {
    let graph = source.graph;
    let ops = source.sections.iter().flat_map(|section| {
        let namespace = section.block.map_or(String::new(), |n| format!("blk.{n}"));
        section
            .ops
            .iter()
            .map(move |node| (*node, namespace.clone()))
    });
    let mut shown: Vec<(NodeId, String)> =
        graph.inputs().iter().map(|n| (*n, String::new())).collect();
    shown.extend(ops);
    let there: Vec<NodeId> = shown.iter().map(|(node, _)| *node).collect();
    let mut last_of: Vec<(StateId, NodeId)> = Vec::new();
    let mut nodes = Vec::new();
    for (node, namespace) in shown {
        let mut edges = edges(source, node, &there);
        if let Some(state) = graph.state(node) {
            let before = last_of.iter_mut().find(|(known, _)| *known == state);
            match before {
                Some((_, last)) => {
                    edges.push(edge(source, *last, "state", "state"));
                    *last = node;
                }
                None => last_of.push((state, node)),
            }
        }
        nodes.push(Node {
            id: id(source, node),
            label: label(source, node),
            namespace,
            incoming_edges: edges,
            attrs: attrs(source, node, step_of(node)),
            inputs_metadata: inputs_metadata(source, node),
            outputs_metadata: outputs_metadata(source, node),
        });
    }
    nodes.extend(
        graph
            .outputs()
            .iter()
            .filter(|(_, v)| there.contains(&v.node))
            .map(|(name, v)| Node {
                id: format!("output {name}"),
                label: format!("%{name}"),
                namespace: String::new(),
                incoming_edges: vec![edge(source, v.node, &v.result.to_string(), "0")],
                attrs: Vec::new(),
                inputs_metadata: Vec::new(),
                outputs_metadata: Vec::new(),
            }),
    );
    nodes
}

fn edges(source: &Source<'_>, node: NodeId, there: &[NodeId]) -> Vec<Edge> {
    let operands = source.graph.operands(node).into_iter().enumerate();
    let values = operands.filter_map(|(slot, operand)| match operand {
        Operand::Value(v) if there.contains(&v.node) => Some(edge(
            source,
            v.node,
            &v.result.to_string(),
            &slot.to_string(),
        )),
        Operand::Value(_) | Operand::Weight(_) | Operand::State(_) => None,
    });
    values.collect()
}

fn edge(source: &Source<'_>, from: NodeId, result: &str, slot: &str) -> Edge {
    Edge {
        source_node_id: id(source, from),
        source_node_output_id: result.into(),
        target_node_input_id: slot.into(),
    }
}

/// An op is called after its place in the graph.
fn id(source: &Source<'_>, node: NodeId) -> String {
    match source.graph.kind(node) {
        NodeKind::Input(name) => format!("input {name}"),
        NodeKind::Op(_) => format!("op {}", node.index()),
    }
}

fn label(source: &Source<'_>, node: NodeId) -> String {
    match source.graph.kind(node) {
        NodeKind::Input(name) => format!("%{name}"),
        NodeKind::Op(op) => op.mnemonic().into(),
    }
}

fn attrs(source: &Source<'_>, node: NodeId, step: Option<usize>) -> Vec<Pair> {
    let graph = source.graph;
    let mut pairs: Vec<Pair> = Vec::new();
    if let Some(op) = graph.op(node) {
        pairs.push(pair("doc", op.signature().doc.trim()));
        let attrs = op.attrs().into_iter();
        pairs.extend(attrs.map(|(name, attr)| pair(name, &attr.to_string())));
    }
    for operand in graph.operands(node) {
        match operand {
            Operand::Weight(w) => {
                pairs.extend(source.symbols.weight_of(w).map(|(name, weight)| {
                    pair(
                        &format!("@{name}"),
                        &format!("{} = {}", weight.ty, weight.source),
                    )
                }))
            }
            Operand::State(s) => {
                let state = source.symbols.state_of(s);
                pairs.extend(
                    state.map(|(name, ty)| pair(&format!("state @{name}"), &ty.to_string())),
                );
            }
            Operand::Value(_) => {}
        }
    }
    pairs.extend(step.map(|step| pair("step", &step.to_string())));
    pairs
}

fn inputs_metadata(source: &Source<'_>, node: NodeId) -> Vec<Metadata> {
    let op = source.graph.op(node);
    let operands = source.graph.operands(node).into_iter().enumerate();
    let named = operands.filter_map(|(slot, operand)| match operand {
        Operand::Value(_) => Some(Metadata {
            id: slot.to_string(),
            attrs: vec![pair("__tensor_tag", op?.operand(slot)?.name)],
        }),
        Operand::Weight(_) | Operand::State(_) => None,
    });
    named.collect()
}

fn outputs_metadata(source: &Source<'_>, node: NodeId) -> Vec<Metadata> {
    let graph = source.graph;
    let results = graph.values(node).zip(graph.results(node));
    let typed = results.map(|(v, result)| Metadata {
        id: v.result.to_string(),
        attrs: vec![
            pair("__tensor_tag", &tag(source, v, result.name.as_deref())),
            pair("tensor_shape", &result.ty.to_string()),
        ],
    });
    typed.collect()
}

fn tag(source: &Source<'_>, v: Value, name: Option<&str>) -> String {
    let number = source.numbers.get(&v).map(|n| format!("%{n}"));
    [number, name.map(str::to_string)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

fn pair(key: &str, value: &str) -> Pair {
    Pair {
        key: key.into(),
        value: value.into(),
    }
}
