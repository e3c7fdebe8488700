//! All that the page knows: every stage of every graph, with what repeats written once.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use rayon::prelude::*;
use serde::Serialize;
use sharpi_ir::{Graph, NodeKind, Op, Symbols};
use sharpi_passes::{Decisions, PassInfo, Pipeline, Rewrite, Traced};

use super::Subject;
use super::body::{Bodies, Body, Source};
use super::costs::{Costs, Machine, Row, SHAPES};
use super::history::{History, Step};
use super::layout::Layout;
use super::measured::Measured;
use super::plan::Plan;
use crate::cli::dump_graph::fold::{Piece, fold, unfolded};

#[derive(Serialize)]
pub(super) struct Document<'a> {
    title: &'a str,
    program: &'static str,
    module: &'a str,
    types: Vec<String>,
    /// What ops do, by mnemonic.
    ops: BTreeMap<&'static str, &'static str>,
    passes: Vec<PassOut>,
    weights: Vec<(&'a str, String, &'a str)>,
    states: Vec<(&'a str, String)>,
    formats: BTreeMap<&'static str, Format>,
    simd: &'static str,
    shapes: Vec<[usize; 3]>,
    machine: Option<&'a Machine>,
    bodies: Vec<BodyOut>,
    costs: Vec<Row>,
    lists: Vec<Vec<usize>>,
    stages: Vec<StageOut<'a>>,
    measured: Option<&'a Measured>,
}

#[derive(Serialize)]
struct PassOut {
    name: &'static str,
    doc: &'static str,
    required: bool,
}

/// How weights of a type are kept and multiplied.
#[derive(Serialize)]
struct Format {
    block: usize,
    bytes: usize,
    /// The type that activations are rounded to.
    activation: Option<String>,
}

#[derive(Serialize)]
struct BodyOut {
    #[serde(flatten)]
    body: Body,
    layout: Layout,
}

#[derive(Serialize)]
struct StageOut<'a> {
    pass: Option<&'static str>,
    stage: &'static str,
    graphs: Vec<GraphOut<'a>>,
}

#[derive(Serialize)]
struct GraphOut<'a> {
    name: &'a str,
    inputs: Vec<(&'a str, String)>,
    /// Names, with the number of the value or the name of the input that it is.
    outputs: Vec<(&'a str, OutputOf<'a>)>,
    bounds: Vec<(String, usize, usize)>,
    sections: Vec<SectionOut>,
    pieces: Vec<PieceOut>,
    /// Each op's number minus that of the op before it.
    ids: Vec<i64>,
    rewrites: Vec<Step>,
    plan: Option<Plan>,
    /// Bytes read in a second, for each shape.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    read_rates: Vec<f64>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum OutputOf<'a> {
    Value(usize),
    Input(&'a str),
}

/// Body, block (-1 for none), first value, and the list of costs for each shape.
#[derive(Serialize)]
struct SectionOut(usize, i64, usize, Vec<usize>);

#[derive(Serialize)]
#[serde(untagged)]
enum PieceOut {
    One(usize),
    /// First section, sections in all, those of one time, and these folded.
    Repeat(usize, usize, usize, Vec<PieceOut>),
}

/// What the stages share, as it is gathered.
#[derive(Default)]
struct Shared {
    bodies: Bodies,
    costs: Costs,
    histories: IndexMap<String, History>,
}

impl<'a> Document<'a> {
    pub(super) fn new(subject: &'a Subject<'a>) -> Document<'a> {
        let mut shared = Shared::default();
        let stages: Vec<_> = (subject.trace.iter())
            .map(|traced| shared.stage(subject, traced))
            .collect();
        let Shared { bodies, costs, .. } = shared;
        let types = bodies.types.iter().cloned().collect();
        let bodies: Vec<_> = bodies.into_all().into_iter().collect();
        let bodies = bodies.into_par_iter().map(|(body, extents)| BodyOut {
            layout: Layout::new(&body, &extents),
            body,
        });
        let last = subject.trace.last();
        let module = last.map(|last| &last.module);
        let symbols = module.map(|m| &m.symbols);
        Document {
            title: subject.title,
            program: concat!("sharpi-compile ", env!("CARGO_PKG_VERSION")),
            module: module.map_or("", |m| m.name.as_str()),
            types,
            ops: docs(subject.trace),
            passes: Pipeline::default()
                .table()
                .into_iter()
                .map(PassOut::new)
                .collect(),
            weights: symbols.map(weights).unwrap_or_default(),
            states: symbols.map(states).unwrap_or_default(),
            formats: symbols.map(formats).unwrap_or_default(),
            simd: sharpi_compile::exec::simd::used(),
            shapes: SHAPES.map(|s| [s.tokens, s.rows, s.context]).to_vec(),
            machine: subject.machine.as_ref(),
            bodies: bodies.collect(),
            costs: costs.rows.into_iter().collect(),
            lists: costs.lists.into_iter().collect(),
            stages,
            measured: subject.measured.as_ref(),
        }
    }
}

impl PassOut {
    fn new(info: PassInfo) -> PassOut {
        PassOut {
            name: info.name,
            doc: info.doc,
            required: info.required,
        }
    }
}

impl Shared {
    fn stage<'a>(&mut self, subject: &'a Subject<'a>, traced: &'a Traced) -> StageOut<'a> {
        let wanted = |name: &str| subject.graph.is_none_or(|only| only == name);
        let graphs = traced.module.graphs.iter();
        let graphs = graphs
            .filter(|(name, _)| wanted(name))
            .map(|(name, graph)| {
                let rewrites = traced.rewrites.get(name).map_or(&[][..], |r| &r[..]);
                let source = Source::new(graph, &traced.module.symbols, subject.layers);
                self.graph(subject, name, &source, rewrites, traced.decisions.get(name))
            });
        StageOut {
            pass: traced.pass,
            stage: traced.stage.name(),
            graphs: graphs.collect(),
        }
    }

    fn graph<'a>(
        &mut self,
        subject: &Subject<'_>,
        name: &'a str,
        source: &Source<'a>,
        rewrites: &[Rewrite],
        decided: Option<&Decisions>,
    ) -> GraphOut<'a> {
        let graph = source.graph;
        let history = self.histories.entry(name.to_string()).or_default();
        let rewrites = history.advance(graph, rewrites);
        let ids = source.ops().map(|node| history.id(node) as i64);
        let mut before = 0;
        let ids = ids
            .map(|id| id - std::mem::replace(&mut before, id))
            .collect();
        let sections = source.sections.iter().map(|section| {
            let block = section.block.map_or(-1, |block| block as i64);
            let body = self.bodies.add(source, section);
            SectionOut(body, block, section.base, self.costs.add(source, section))
        });
        let sections: Vec<SectionOut> = sections.collect();
        let keys = sections.iter().map(|s| (s.1 >= 0).then_some(s.0));
        let pieces = match subject.folded {
            true => fold(&keys.collect::<Vec<_>>()),
            false => unfolded(sections.len()),
        };
        let machine = subject.machine.as_ref();
        GraphOut {
            name,
            inputs: inputs(graph),
            outputs: outputs(source),
            bounds: bounds(graph),
            sections,
            pieces: pieces.iter().map(PieceOut::new).collect(),
            ids,
            rewrites,
            plan: decided.and_then(|decided| Plan::new(source, decided)),
            read_rates: machine.map(|m| m.read_rates(source)).unwrap_or_default(),
        }
    }
}

impl PieceOut {
    fn new(piece: &Piece) -> PieceOut {
        match piece {
            Piece::One(section) => PieceOut::One(*section),
            Piece::Repeat { body, all, period } => {
                let body = body.iter().map(PieceOut::new).collect();
                PieceOut::Repeat(all.start, all.len(), *period, body)
            }
        }
    }
}

fn inputs(graph: &Graph) -> Vec<(&str, String)> {
    let named = graph
        .inputs()
        .iter()
        .filter_map(|node| match graph.kind(*node) {
            NodeKind::Input(name) => {
                let ty = graph.results(*node).first().map(|r| r.ty.to_string());
                Some((name.as_str(), ty.unwrap_or_default()))
            }
            NodeKind::Op(_) => None,
        });
    named.collect()
}

fn outputs<'a>(source: &Source<'a>) -> Vec<(&'a str, OutputOf<'a>)> {
    let graph = source.graph;
    let of = |(name, v): (&'a String, &sharpi_ir::Value)| {
        let of = match (source.numbers.get(v), graph.kind(v.node)) {
            (Some(number), _) => OutputOf::Value(*number),
            (None, NodeKind::Input(input)) => OutputOf::Input(input),
            (None, NodeKind::Op(_)) => return None,
        };
        Some((name.as_str(), of))
    };
    graph.outputs().iter().filter_map(of).collect()
}

fn bounds(graph: &Graph) -> Vec<(String, usize, usize)> {
    let bounds = graph.bounds().iter();
    bounds
        .map(|(s, r)| (s.to_string(), *r.start(), *r.end()))
        .collect()
}

fn weights(symbols: &Symbols) -> Vec<(&str, String, &str)> {
    let weights = symbols.weights();
    weights
        .map(|(_, name, w)| (name, w.ty.to_string(), w.source.as_str()))
        .collect()
}

fn states(symbols: &Symbols) -> Vec<(&str, String)> {
    symbols
        .states()
        .map(|(_, name, ty)| (name, ty.to_string()))
        .collect()
}

/// The formats of the weights.
fn formats(symbols: &Symbols) -> BTreeMap<&'static str, Format> {
    let types = symbols.weights().map(|(_, _, w)| w.ty.dtype);
    let formats = types.map(|dtype| {
        let format = Format {
            block: dtype.block_len(),
            bytes: dtype.block_bytes(),
            activation: dtype.activation().map(|to| to.to_string()),
        };
        (dtype.name(), format)
    });
    formats.collect()
}

/// Of every op that stands in any stage.
fn docs(trace: &[Traced]) -> BTreeMap<&'static str, &'static str> {
    let graphs = trace.iter().flat_map(|t| t.module.graphs.values());
    let ops = graphs.flat_map(|g| g.nodes().filter_map(|n| g.op(n)));
    let used: BTreeSet<&str> = ops.map(Op::mnemonic).collect();
    let signatures = Op::SIGNATURES.iter();
    let signatures = signatures.filter(|s| used.contains(s.mnemonic));
    signatures.map(|s| (s.mnemonic, s.doc.trim())).collect()
}
