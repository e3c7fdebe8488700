//! Writes modules and graphs in the textual form.

use std::collections::HashMap;
use std::fmt::Write;

use crate::graph::{Graph, NodeId, NodeKind, Operand, ResultInfo, Value};
use crate::module::{Module, StateId, Symbols, WeightId};
use crate::plain::is_harmful;
use crate::text::is_plain;

/// Where types begin on an op's line. Fixed, so that a new op moves no other line.
const TYPE_COLUMN: usize = 60;
/// Where types begin on a weight's or state's line.
const DECLARATION_COLUMN: usize = 36;
/// Where notes begin.
const NOTE_COLUMN: usize = 100;

/// One line of the textual form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The text, without a line end.
    pub text: String,
    /// The op that the line stands for.
    pub node: Option<NodeId>,
    /// What the line is about.
    pub(crate) site: Site,
}

/// What a line is about: where a fault of the verifier is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Site {
    /// The module's first line.
    Module,
    /// A weight's declaration.
    Weight(WeightId),
    /// A state's declaration.
    State(StateId),
    /// The first line of a graph: its inputs, outputs and bounds.
    Signature,
    /// An op.
    Node(NodeId),
    /// The last statement of a graph.
    Return,
    /// A closing brace or an empty line.
    Nothing,
}

impl Site {
    pub(crate) fn node(self) -> Option<NodeId> {
        match self {
            Site::Node(node) => Some(node),
            Site::Module
            | Site::Weight(_)
            | Site::State(_)
            | Site::Signature
            | Site::Return
            | Site::Nothing => None,
        }
    }
}

impl Line {
    fn new(site: Site, text: impl Into<String>) -> Line {
        let (text, node) = (text.into(), site.node());
        Line { text, node, site }
    }
}

/// How the values of a graph are written: inputs by name, all others by a number or a label.
#[derive(Clone, Debug)]
pub struct Numbering(HashMap<Value, String>);

impl Numbering {
    /// Numbers the results of `order`'s nodes; inputs may stand anywhere in it or be left out.
    pub fn new(graph: &Graph, order: &[NodeId]) -> Numbering {
        let mut names = input_names(graph);
        let ops = order.iter().filter(|n| graph.op(**n).is_some());
        let results = ops.flat_map(|n| graph.values(*n));
        names.extend(results.enumerate().map(|(i, v)| (v, format!("%{i}"))));
        Numbering(names)
    }

    /// Labels that stay the same where ops come and go elsewhere, so that lines can be compared:
    /// a value is called as it is named, else after the op that makes it and the label of the
    /// op's first operand, `%quantize.attn_norm-0`; of equal ones the later have a number too.
    pub fn labels(graph: &Graph, order: &[NodeId]) -> Numbering {
        let mut names = input_names(graph);
        let mut taken: HashMap<String, usize> = HashMap::new();
        for &node in order {
            let Some(op) = graph.op(node) else { continue };
            let first = graph.value_operands(node).next();
            let first = first.and_then(|v| names.get(&v));
            let first = first.map(|label| label.trim_start_matches('%').to_string());
            for v in graph.values(node) {
                let label = match (graph.name(v), &first) {
                    (Some(name), _) => name.to_string(),
                    (None, Some(first)) => made_of(op.mnemonic(), first),
                    (None, None) => op.mnemonic().to_string(),
                };
                let times = taken.entry(label.clone()).or_default();
                *times += 1;
                let label = match times {
                    1 => value_name(&label),
                    n => value_name(&format!("{label}.{n}")),
                };
                names.insert(v, label);
            }
        }
        Numbering(names)
    }

    /// `%12` or `%ids`; `%?` for a value that no node of the order makes.
    pub fn of(&self, v: Value) -> &str {
        self.0.get(&v).map_or("%?", String::as_str)
    }
}

/// Mnemonics in a label, lest it grow with the length of a chain.
const LABEL_OPS: usize = 3;

fn made_of(mnemonic: &str, first: &str) -> String {
    match first.split('.').count() {
        parts if parts <= LABEL_OPS => format!("{mnemonic}.{first}"),
        _ => mnemonic.to_string(),
    }
}

fn input_names(graph: &Graph) -> HashMap<Value, String> {
    let mut names = HashMap::new();
    for &input in graph.inputs() {
        if let NodeKind::Input(name) = graph.kind(input) {
            names.extend(graph.values(input).map(|v| (v, value_name(name))));
        }
    }
    names
}

/// The whole module.
pub fn print(module: &Module) -> String {
    print_with(module, &|_, _| None)
}

/// The whole module, with what `notes` says of each graph's ops in a comment column.
pub fn print_with(module: &Module, notes: &dyn Fn(&str, NodeId) -> Option<String>) -> String {
    let mut text = String::new();
    for (graph, line) in module_lines(module) {
        let note = line.node.and_then(|n| notes(graph.unwrap_or(""), n));
        push_line(&mut text, &line.text, note);
    }
    text
}

/// One graph, with what `notes` says of its ops in a comment column.
pub fn print_graph(
    name: &str,
    graph: &Graph,
    symbols: &Symbols,
    notes: &dyn Fn(NodeId) -> Option<String>,
) -> String {
    let mut text = String::new();
    for line in graph_lines(name, graph, symbols) {
        push_line(&mut text, &line.text, line.node.and_then(notes));
    }
    text
}

/// The lines of a graph in the canonical order.
pub fn graph_lines(name: &str, graph: &Graph, symbols: &Symbols) -> Vec<Line> {
    graph_lines_in(&graph.order(), name, graph, symbols)
}

/// The lines of a graph in a schedule's order, which decides the numbers too.
pub fn graph_lines_in(order: &[NodeId], name: &str, graph: &Graph, symbols: &Symbols) -> Vec<Line> {
    let numbers = Numbering::new(graph, order);
    graph_lines_by(&numbers, order, name, graph, symbols)
}

/// The lines of a graph in some order, with values written as `numbers` says.
pub fn graph_lines_by(
    numbers: &Numbering,
    order: &[NodeId],
    name: &str,
    graph: &Graph,
    symbols: &Symbols,
) -> Vec<Line> {
    let mut lines = vec![Line::new(Site::Signature, signature(name, graph))];
    let ops = order.iter().filter(|n| graph.op(**n).is_some());
    lines.extend(ops.map(|&n| Line::new(Site::Node(n), op_line(n, graph, symbols, numbers))));
    lines.push(Line::new(Site::Return, return_line(graph, numbers)));
    lines.push(Line::new(Site::Nothing, "}"));
    lines
}

/// The lines of a module, each with the graph that it belongs to.
pub(crate) fn module_lines(module: &Module) -> Vec<(Option<&str>, Line)> {
    let symbols = &module.symbols;
    let head = format!("module {} {{", symbol_name(&module.name));
    let mut lines = vec![(None, Line::new(Site::Module, head))];
    for (id, name, weight) in symbols.weights() {
        let left = format!("  weight {}", symbol_name(name));
        let rows = weight.rows.as_ref().map(|rows| format!(" rows {rows}"));
        let rows = rows.unwrap_or_default();
        let right = format!("{} = {}{rows}", weight.ty, quoted(&weight.source));
        let text = with_type(left, DECLARATION_COLUMN, &right);
        lines.push((None, Line::new(Site::Weight(id), text)));
    }
    for (id, name, ty) in symbols.states() {
        let left = format!("  state {}", symbol_name(name));
        let text = with_type(left, DECLARATION_COLUMN, &ty.to_string());
        lines.push((None, Line::new(Site::State(id), text)));
    }
    for (name, graph) in &module.graphs {
        if lines.len() > 1 {
            lines.push((None, Line::new(Site::Nothing, "")));
        }
        for mut line in graph_lines(name, graph, symbols) {
            line.text.insert_str(0, "  ");
            lines.push((Some(name.as_str()), line));
        }
    }
    lines.push((None, Line::new(Site::Nothing, "}")));
    lines
}

fn signature(name: &str, graph: &Graph) -> String {
    let inputs = graph.inputs().iter().map(|&n| {
        let name = match graph.kind(n) {
            NodeKind::Input(name) => value_name(name),
            NodeKind::Op(_) => "%?".into(),
        };
        format!("{name}: {}", result_list(graph.results(n)))
    });
    let outputs = graph.outputs().iter().map(|(name, v)| {
        let ty = graph.find(*v).map_or("?".into(), |r| r.ty.to_string());
        format!("{}: {ty}", value_name(name))
    });
    let bounds = graph.bounds().iter();
    let bounds = bounds.map(|(s, r)| format!("{s} in {}..={}", r.start(), r.end()));
    let mut text = format!(
        "graph {}({}) -> ({})",
        symbol_name(name),
        join(inputs),
        join(outputs)
    );
    if !graph.bounds().is_empty() {
        let _ = write!(text, " where {}", join(bounds));
    }
    text + " {"
}

fn op_line(node: NodeId, graph: &Graph, symbols: &Symbols, numbers: &Numbering) -> String {
    let NodeKind::Op(op) = graph.kind(node) else {
        return String::new();
    };
    let results = graph.results(node);
    let mut left = String::from("  ");
    if !results.is_empty() {
        let values = graph.values(node).map(|v| numbers.of(v).to_string());
        let _ = write!(left, "{} = ", join(values));
    }
    left.push_str(op.mnemonic());
    let operands = graph.operands(node).into_iter().map(|o| match o {
        Operand::Value(v) => numbers.of(v).to_string(),
        Operand::Weight(w) => symbols
            .weight_of(w)
            .map_or("@?".into(), |(n, _)| symbol_name(n)),
        Operand::State(s) => {
            let name = symbols
                .state_of(s)
                .map_or("@?".into(), |(n, _)| symbol_name(n));
            format!("state {name}")
        }
    });
    let operands = join(operands);
    if !operands.is_empty() {
        let _ = write!(left, " {operands}");
    }
    let attrs = op.attrs();
    if !attrs.is_empty() {
        let attrs = attrs.iter().map(|(name, attr)| format!("{name} = {attr}"));
        let _ = write!(left, " {{{}}}", join(attrs));
    }
    if results.is_empty() {
        return left;
    }
    with_type(left, TYPE_COLUMN, &result_list(results))
}

fn return_line(graph: &Graph, numbers: &Numbering) -> String {
    let outputs = graph.outputs().iter();
    let outputs = join(outputs.map(|(n, v)| format!("{} = {}", value_name(n), numbers.of(*v))));
    format!("  return {outputs}").trim_end().to_string()
}

/// `f32[T, 128] as q_conv-0, f32[T, 128]`.
fn result_list(results: &[ResultInfo]) -> String {
    join(results.iter().map(|r| match &r.name {
        Some(name) => format!("{} as {}", r.ty, plain_or_quoted(name)),
        None => r.ty.to_string(),
    }))
}

fn with_type(mut left: String, column: usize, right: &str) -> String {
    let width = left.chars().count();
    left.extend(std::iter::repeat_n(' ', column.saturating_sub(width)));
    left + " : " + right
}

fn push_line(text: &mut String, line: &str, note: Option<String>) {
    text.push_str(line);
    if let Some(note) = note {
        let pad = NOTE_COLUMN.saturating_sub(line.chars().count());
        text.extend(std::iter::repeat_n(' ', pad));
        // A line end in a note would end the comment.
        let _ = write!(text, "  ; {}", note.replace(is_harmful, " "));
    }
    text.push('\n');
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn symbol_name(name: &str) -> String {
    format!("@{}", plain_or_quoted(name))
}

/// Only numbered values are all digits without quotes.
pub(crate) fn value_name(name: &str) -> String {
    if name.chars().all(|c| c.is_ascii_digit()) {
        return format!("%{}", quoted(name));
    }
    format!("%{}", plain_or_quoted(name))
}

fn plain_or_quoted(name: &str) -> String {
    if is_plain(name) {
        name.to_string()
    } else {
        quoted(name)
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_harmful(c) => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
