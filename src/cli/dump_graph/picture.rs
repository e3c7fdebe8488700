//! What is shown of a module: chosen graphs and blocks, folded.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::ops::RangeInclusive;

use sharpi_ir::text::{Numbering, graph_lines_by};
use sharpi_ir::{Graph, NodeId, NodeKind, Operand, Symbols, Value};
use sharpi_passes::{Snapshot, print_snapshot};

use super::fold::{Piece, fold, unfolded};
use sharpi_compile::parts::{blocks, in_symbol, symbol_name, without_block};

/// What of a module is shown, and how.
#[derive(Clone, Copy)]
pub(super) struct View<'v> {
    /// One graph alone.
    pub(super) graph: Option<&'v str>,
    /// Ops of these blocks alone.
    pub(super) layers: Option<&'v RangeInclusive<usize>>,
    /// Whether equal blocks are shown once.
    pub(super) folded: bool,
    /// Values by labels, not by numbers, and no notes: lines that can be compared with another's.
    pub(super) labelled: bool,
}

/// Everything that the renderings show.
pub(super) struct Picture<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) graphs: Vec<Shown<'a>>,
}

/// What is shown of one graph.
pub(super) struct Shown<'a> {
    pub(super) name: &'a str,
    pub(super) graph: &'a Graph,
    pub(super) numbers: Numbering,
    /// First and last lines, around the ops.
    pub(super) signature: String,
    pub(super) ending: Vec<String>,
    /// Runs of ops of one block.
    pub(super) sections: Vec<Section>,
    pub(super) pieces: Vec<Piece>,
    /// Whether ops of other blocks are left out.
    pub(super) partial: bool,
}

/// Ops of one block, or of none, that stand together.
pub(super) struct Section {
    pub(super) block: Option<usize>,
    pub(super) rows: Vec<Row>,
}

/// One op as the module's text has it.
pub(super) struct Row {
    pub(super) node: NodeId,
    /// The line with its note.
    pub(super) line: String,
    /// What the passes have decided, if they have.
    pub(super) note: Option<String>,
}

impl<'a> Picture<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, view: &View<'_>) -> Picture<'a> {
        let View {
            graph: only,
            layers,
            folded,
            labelled,
        } = *view;
        // Labels are not what the module's text has, and notes belong to one stage.
        let printed = match labelled {
            true => String::new(),
            false => print_snapshot(snapshot),
        };
        let mut printed = printed.lines();
        let symbols = &snapshot.module.symbols;
        let mut graphs = Vec::new();
        for (name, graph) in &snapshot.module.graphs {
            // Also walks past the lines of a graph that is not shown.
            let shown = Shown::new(name, graph, symbols, labelled, &mut printed);
            if only.is_none_or(|only| only == name) {
                graphs.push(shown.narrowed(layers).folded(folded, symbols));
            }
        }
        if layers.is_some() {
            graphs.retain(|g| !g.sections.is_empty());
        }
        Picture { snapshot, graphs }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.graphs.is_empty()
    }

    /// Weights and states that the ops shown use.
    pub(super) fn symbols(&self) -> HashSet<&str> {
        let symbols = &self.snapshot.module.symbols;
        let of = |shown: &Shown<'a>, row: &Row| {
            let operands = shown.graph.operands(row.node).into_iter();
            let names = operands.filter_map(|o| symbol_name(symbols, o));
            names.collect::<Vec<_>>()
        };
        let graphs = self.graphs.iter();
        let rows = graphs.flat_map(|shown| shown.rows().map(move |row| (shown, row)));
        rows.flat_map(|(shown, row)| of(shown, row)).collect()
    }
}

impl<'a> Shown<'a> {
    /// The whole graph; takes its lines, with their notes, from the printed module.
    fn new<'p>(
        name: &'a str,
        graph: &'a Graph,
        symbols: &Symbols,
        labelled: bool,
        printed: &mut impl Iterator<Item = &'p str>,
    ) -> Shown<'a> {
        let order = graph.order();
        let blocks = blocks(graph, symbols, &order);
        let numbers = match labelled {
            true => Numbering::labels(graph, &order),
            false => Numbering::new(graph, &order),
        };
        let (mut signature, mut ending) = (String::new(), Vec::new());
        let mut sections: Vec<Section> = Vec::new();
        for bare in graph_lines_by(&numbers, &order, name, graph, symbols) {
            let begins = |line: &&str| line.trim_start().starts_with(bare.text.trim_start());
            let indented = format!("  {}", bare.text);
            let line = printed.find(begins).unwrap_or(&indented);
            let Some(node) = bare.node else {
                match sections.is_empty() && signature.is_empty() {
                    true => signature = line.to_string(),
                    false => ending.push(line.to_string()),
                }
                continue;
            };
            let note = line.trim_start().strip_prefix(bare.text.trim_start());
            let note = note
                .and_then(|n| n.trim().strip_prefix("; "))
                .map(String::from);
            let row = Row {
                node,
                line: line.to_string(),
                note,
            };
            let block = blocks.get(&node).copied();
            match sections.last_mut() {
                Some(last) if last.block == block => last.rows.push(row),
                _ => sections.push(Section {
                    block,
                    rows: vec![row],
                }),
            }
        }
        Shown {
            name,
            graph,
            numbers,
            signature,
            ending,
            sections,
            pieces: Vec::new(),
            partial: false,
        }
    }

    fn narrowed(mut self, layers: Option<&RangeInclusive<usize>>) -> Shown<'a> {
        if let Some(layers) = layers {
            let wanted = |s: &Section| s.block.is_some_and(|block| layers.contains(&block));
            let before = self.sections.len();
            self.sections.retain(wanted);
            self.partial = self.sections.len() < before;
        }
        self
    }

    fn folded(mut self, folded: bool, symbols: &Symbols) -> Shown<'a> {
        self.pieces = match folded {
            true => fold(&self.keys(symbols)),
            false => unfolded(self.sections.len()),
        };
        self
    }

    /// A key for each section of a block; equal keys mean equal ops with equal connections.
    fn keys(&self, symbols: &Symbols) -> Vec<Option<String>> {
        let places = places(self.graph);
        let key = |section: &Section| {
            section.block?;
            let start = self.graph.values(section.rows.first()?.node).next()?;
            let base = places.get(&start).copied()?;
            let rows = section.rows.iter();
            Some(rows.fold(String::new(), |mut key, row| {
                self.write_key(&mut key, row.node, symbols, &places, base);
                key
            }))
        };
        self.sections.iter().map(key).collect()
    }

    /// The op's line with values counted from `base` and without the number of the block.
    fn write_key(
        &self,
        key: &mut String,
        node: NodeId,
        symbols: &Symbols,
        places: &HashMap<Value, i64>,
        base: i64,
    ) {
        let Some(op) = self.graph.op(node) else {
            return;
        };
        key.push_str(op.mnemonic());
        for (name, attr) in op.attrs() {
            let _ = write!(key, " {name}={attr}");
        }
        for operand in self.graph.operands(node) {
            let _ = match operand {
                Operand::Value(v) => match places.get(&v) {
                    Some(place) => write!(key, " %{:+}", place - base),
                    None => write!(key, " {}", self.numbers.of(v)),
                },
                Operand::Weight(_) | Operand::State(_) => {
                    let name = symbol_name(symbols, operand).unwrap_or_default();
                    write!(key, " @{}", in_symbol(name).map_or(name, |(_, rest)| rest))
                }
            };
        }
        for result in self.graph.results(node) {
            let name = result.name.as_deref().map_or("", without_block);
            let _ = write!(key, " : {} {name}", result.ty);
        }
        key.push('\n');
    }

    /// The ops that are shown, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        let mut shown = Vec::new();
        shown_sections(&self.pieces, &mut shown);
        shown.into_iter().flat_map(|i| &self.sections[i].rows)
    }

    /// `blk.4-63`: the blocks of these sections.
    pub(super) fn block_names(&self, sections: &[Section]) -> String {
        let blocks = || sections.iter().filter_map(|s| s.block);
        match (blocks().min(), blocks().max()) {
            (Some(first), Some(last)) if first < last => format!("blk.{first}-{last}"),
            (Some(block), _) => format!("blk.{block}"),
            (None, _) => String::from("no block"),
        }
    }
}

fn shown_sections(pieces: &[Piece], shown: &mut Vec<usize>) {
    for piece in pieces {
        match piece {
            Piece::One(i) => shown.push(*i),
            Piece::Repeat { body, .. } => shown_sections(body, shown),
        }
    }
}

/// The place of every op's result in the canonical order, as the printed numbers count.
fn places(graph: &Graph) -> HashMap<Value, i64> {
    let order = graph.order();
    let ops = order
        .iter()
        .filter(|n| matches!(graph.kind(**n), NodeKind::Op(_)));
    let values = ops.flat_map(|n| graph.values(*n));
    values.zip(0..).collect()
}
