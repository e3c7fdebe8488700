//! The graphs for programs.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value as Json, json};
use sharpi_ir::rollback_bytes;
use sharpi_ir::{Attr, Dim, NodeId, NodeKind, Operand, RowSet, StateType, TensorType, Value};

use super::fold::Piece;
use super::picture::{Picture, Row, Shown};
use sharpi_compile::parts::symbol_name;

/// All that is shown of a module. Values are named as in the textual form.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    module: &'a str,
    stage: &'static str,
    weights: Vec<Weight<'a>>,
    states: Vec<State<'a>>,
    graphs: Vec<GraphOut<'a>>,
}

#[derive(Serialize)]
struct Weight<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    ty: Json,
    /// The tensor's name in the model file.
    tensor: &'a str,
    /// Rows of the tensor, where it has more: first and the one behind the last of each range.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Json>,
}

#[derive(Serialize)]
struct State<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    ty: Json,
}

#[derive(Serialize)]
struct GraphOut<'a> {
    name: &'a str,
    inputs: Vec<Typed<'a>>,
    outputs: Vec<Output<'a>>,
    /// Least and greatest value of each symbol.
    bounds: IndexMap<String, [usize; 2]>,
    steps: Option<usize>,
    arena_bytes: Option<usize>,
    /// Bytes that each token of a run that can be taken back costs.
    rollback_bytes: Option<usize>,
    body: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Typed<'a> {
    value: &'a str,
    #[serde(rename = "type")]
    ty: Json,
    /// The name that the reference gives the tensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Op(OpOut<'a>),
    Repeat {
        times: usize,
        blocks: String,
        body: Vec<Entry<'a>>,
    },
}

#[derive(Serialize)]
struct OpOut<'a> {
    op: &'static str,
    block: Option<usize>,
    operands: Vec<String>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    attrs: IndexMap<&'static str, Json>,
    results: Vec<Typed<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

impl<'a> Document<'a> {
    pub(super) fn new(picture: &'a Picture<'a>) -> Document<'a> {
        let module = &picture.snapshot.module;
        let used = picture.symbols();
        let weights = module
            .symbols
            .weights()
            .filter(|(_, name, _)| used.contains(name));
        let states = module
            .symbols
            .states()
            .filter(|(_, name, _)| used.contains(name));
        Document {
            module: &module.name,
            stage: picture.snapshot.stage.name(),
            weights: weights
                .map(|(_, name, w)| Weight {
                    name,
                    ty: tensor_type(&w.ty),
                    tensor: &w.source,
                    rows: w.rows.as_ref().map(row_ranges),
                })
                .collect(),
            states: states
                .map(|(_, name, ty)| State {
                    name,
                    ty: state_type(ty),
                })
                .collect(),
            graphs: picture
                .graphs
                .iter()
                .map(|shown| graph(picture, shown))
                .collect(),
        }
    }
}

fn graph<'a>(picture: &'a Picture<'a>, shown: &'a Shown<'a>) -> GraphOut<'a> {
    let decided = picture.snapshot.decisions.get(shown.name);
    let bound = |(s, r): (&sharpi_ir::Symbol, &std::ops::RangeInclusive<usize>)| {
        (s.to_string(), [*r.start(), *r.end()])
    };
    let output = |(name, v): (&'a String, &Value)| Output {
        name,
        value: shown.numbers.of(*v),
    };
    GraphOut {
        name: shown.name,
        inputs: shown
            .graph
            .inputs()
            .iter()
            .flat_map(|n| typed(shown, *n))
            .collect(),
        outputs: shown.graph.outputs().iter().map(output).collect(),
        bounds: shown.graph.bounds().iter().map(bound).collect(),
        steps: decided
            .and_then(|d| d.schedule.as_ref())
            .map(|s| s.steps.len()),
        arena_bytes: decided
            .and_then(|d| d.memory.as_ref())
            .map(|m| m.arena_bytes),
        rollback_bytes: decided
            .and_then(|d| d.memory.as_ref())
            .map(|_| rollback_bytes(shown.graph).values().sum()),
        body: body(picture, shown, &shown.pieces),
    }
}

fn body<'a>(picture: &'a Picture<'a>, shown: &'a Shown<'a>, pieces: &'a [Piece]) -> Vec<Entry<'a>> {
    let entries = |piece: &'a Piece| match piece {
        Piece::One(i) => {
            let section = &shown.sections[*i];
            let rows = section.rows.iter();
            rows.filter_map(|row| op(picture, shown, row, section.block))
                .map(Entry::Op)
                .collect()
        }
        Piece::Repeat {
            body: once,
            all,
            period,
        } => vec![Entry::Repeat {
            times: all.len() / period,
            blocks: shown.block_names(&shown.sections[all.clone()]),
            body: body(picture, shown, once),
        }],
    };
    pieces.iter().flat_map(entries).collect()
}

fn op<'a>(
    picture: &'a Picture<'a>,
    shown: &'a Shown<'a>,
    row: &'a Row,
    block: Option<usize>,
) -> Option<OpOut<'a>> {
    let NodeKind::Op(op) = shown.graph.kind(row.node) else {
        return None;
    };
    let symbols = &picture.snapshot.module.symbols;
    let operand = |o: Operand| match o {
        Operand::Value(v) => shown.numbers.of(v).to_string(),
        Operand::Weight(_) | Operand::State(_) => {
            format!("@{}", symbol_name(symbols, o).unwrap_or("?"))
        }
    };
    Some(OpOut {
        op: op.mnemonic(),
        block,
        operands: shown
            .graph
            .operands(row.node)
            .into_iter()
            .map(operand)
            .collect(),
        attrs: op
            .attrs()
            .into_iter()
            .map(|(name, attr)| (name, attr_value(&attr)))
            .collect(),
        results: typed(shown, row.node),
        note: row.note.as_deref(),
    })
}

fn typed<'a>(shown: &'a Shown<'a>, node: NodeId) -> Vec<Typed<'a>> {
    let results = shown.graph.values(node).zip(shown.graph.results(node));
    let typed = results.map(|(v, info)| Typed {
        value: shown.numbers.of(v),
        ty: tensor_type(&info.ty),
        name: info.name.as_deref(),
    });
    typed.collect()
}

/// `{"dtype": "f32", "shape": ["T", 256]}`: sizes bound when the graph runs are named.
fn tensor_type(ty: &TensorType) -> Json {
    let dim = |dim: &Dim| match dim {
        Dim::Fixed(n) => json!(n),
        Dim::Sym(symbol) => json!(symbol.to_string()),
    };
    let shape: Vec<Json> = ty.shape.iter().map(dim).collect();
    json!({"dtype": ty.dtype.to_string(), "shape": shape})
}

fn row_ranges(rows: &RowSet) -> Json {
    let ranges = rows.ranges().iter();
    ranges
        .map(|range| json!([range.start, range.end]))
        .collect()
}

fn state_type(ty: &StateType) -> Json {
    match ty {
        StateType::Recurrent(tensor) => json!({"kind": "recurrent", "tensor": tensor_type(tensor)}),
        StateType::Kv { k, v, heads, dim } => json!({
            "kind": "kv",
            "k": k.to_string(),
            "v": v.to_string(),
            "heads": heads,
            "dim": dim,
        }),
    }
}

/// Numbers as numbers; one with a point is written as the textual form writes it, and so reads back
/// to the same bits.
fn attr_value(attr: &Attr) -> Json {
    match attr {
        Attr::Int(n) => json!(n),
        Attr::Float(x) => float(*x),
        Attr::Ints(list) => json!(list.as_slice()),
        Attr::Floats(list) => list.iter().map(|x| float(*x)).collect(),
        Attr::DType(dtype) => json!(dtype.to_string()),
        Attr::Parts(parts) => {
            let ranges = |part: &RowSet| -> Json {
                let ranges = part
                    .ranges()
                    .iter()
                    .map(|range| json!([range.start, range.end]));
                ranges.collect()
            };
            parts.iter().map(ranges).collect()
        }
        Attr::Group(parts) => attr_object(parts),
        Attr::Case(name, parts) if parts.is_empty() => json!(name),
        Attr::Case(name, parts) => json!({ name: attr_object(parts) }),
    }
}

fn attr_object(parts: &[(String, Attr)]) -> Json {
    let parts = parts.iter();
    parts
        .map(|(name, part)| (name.clone(), attr_value(part)))
        .collect()
}

/// The shortest decimal that is this f32, which is a shorter one than that of the same f64.
fn float(x: f32) -> Json {
    match x.to_string().parse::<f64>() {
        Ok(shortest) if shortest.is_finite() => json!(shortest),
        // JSON has no word for what is no number.
        _ => json!(x.to_string()),
    }
}
