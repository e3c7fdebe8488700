//! The graphs for Graphviz: a cluster for each block, a box for each op.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

use sharpi_compile::parts::symbol_name;
use sharpi_ir::{NodeId, NodeKind, Operand, Value};

use super::fold::{Piece, shown_instead};
use super::picture::{Picture, Row, Section, Shown};
use crate::cli::viewer::kinds::{colour, kind_of};

pub(super) fn write(picture: &Picture<'_>, out: &mut impl Write) -> io::Result<()> {
    let module = &picture.snapshot.module;
    writeln!(out, "digraph \"{}\" {{", escaped(&module.name))?;
    let (title, stage) = (escaped(&module.name), picture.snapshot.stage);
    writeln!(
        out,
        "  label=\"{title}, {stage}\"; labelloc=t; fontname=\"sans-serif\";"
    )?;
    writeln!(
        out,
        "  node [shape=box, style=filled, fillcolor=\"#ffffff\", fontname=monospace];"
    )?;
    for shown in &picture.graphs {
        writeln!(out, "  subgraph \"cluster_{}\" {{", shown.name)?;
        let title = format!("@{}{}", shown.name, decided(picture, shown));
        writeln!(out, "    label=\"{}\";", escaped(&title))?;
        for &input in shown.graph.inputs() {
            write_box(picture, shown, input, None, out)?;
        }
        write_pieces(picture, shown, &shown.pieces, out)?;
        write_edges(shown, out)?;
        writeln!(out, "  }}")?;
    }
    writeln!(out, "}}")
}

/// Steps and arena, where they are decided.
fn decided(picture: &Picture<'_>, shown: &Shown<'_>) -> String {
    let Some(decided) = picture.snapshot.decisions.get(shown.name) else {
        return String::new();
    };
    let steps = decided.schedule.as_ref().map(|s| s.steps.len());
    let arena = decided.memory.as_ref().map(|m| m.arena_bytes);
    let steps = steps.map_or(String::new(), |n| format!(", {n} steps"));
    steps + &arena.map_or(String::new(), |bytes| format!(", arena of {bytes} bytes"))
}

fn write_pieces(
    picture: &Picture<'_>,
    shown: &Shown<'_>,
    pieces: &[Piece],
    out: &mut impl Write,
) -> io::Result<()> {
    for piece in pieces {
        match piece {
            Piece::One(i) => write_section(picture, shown, *i, out)?,
            Piece::Repeat { body, all, period } => {
                let names = shown.block_names(&shown.sections[all.clone()]);
                let times = all.len() / period;
                writeln!(
                    out,
                    "    subgraph \"cluster_{}_{}_{}\" {{",
                    shown.name, all.start, all.end
                )?;
                writeln!(out, "    label=\"{times} times: {names}\"; style=dashed;")?;
                write_pieces(picture, shown, body, out)?;
                writeln!(out, "    }}")?;
            }
        }
    }
    Ok(())
}

fn write_section(
    picture: &Picture<'_>,
    shown: &Shown<'_>,
    index: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let section = &shown.sections[index];
    if let Some(block) = section.block {
        writeln!(
            out,
            "    subgraph \"cluster_{}_{index}\" {{ label=\"blk.{block}\";",
            shown.name
        )?;
    }
    for row in &section.rows {
        write_box(picture, shown, row.node, row.note.as_deref(), out)?;
    }
    match section.block {
        Some(_) => writeln!(out, "    }}"),
        None => Ok(()),
    }
}

/// What it is, the weights and states it uses with their types, what comes out, and what is decided
/// about it.
fn write_box(
    picture: &Picture<'_>,
    shown: &Shown<'_>,
    node: NodeId,
    note: Option<&str>,
    out: &mut impl Write,
) -> io::Result<()> {
    let (title, look) = match shown.graph.kind(node) {
        NodeKind::Input(name) => (name.as_str(), "shape=ellipse".to_string()),
        NodeKind::Op(op) => {
            let tip = op.signature().doc.trim();
            let colour = colour(kind_of(op.mnemonic()));
            let look = format!(
                "fillcolor=\"{colour}33\", color=\"{colour}\", tooltip=\"{}\"",
                escaped(tip)
            );
            (op.mnemonic(), look)
        }
    };
    let mut label = escaped(title);
    let symbols = &picture.snapshot.module.symbols;
    for operand in shown.graph.operands(node) {
        let ty = match operand {
            Operand::Value(_) => None,
            Operand::Weight(w) => symbols.weight_of(w).map(|(_, w)| w.ty.to_string()),
            Operand::State(s) => symbols.state_of(s).map(|(_, ty)| ty.to_string()),
        };
        let name = symbol_name(symbols, operand);
        if let Some((name, ty)) = name.zip(ty) {
            label += &format!("\\n@{} {ty}", escaped(name));
        }
    }
    for result in shown.graph.results(node) {
        let name = result.name.as_deref().unwrap_or_default();
        label += &format!("\\n{} {}", escaped(name), result.ty);
    }
    if let Some(note) = note {
        label += &format!("\\n{}", escaped(note));
    }
    let id = id(shown, node);
    writeln!(out, "      {id} [label=\"{label}\", {look}];")
}

/// Edges between what is shown, dashed where only a state orders two ops; one that ends at a hidden
/// op is led to the op shown in its place.
fn write_edges(shown: &Shown<'_>, out: &mut impl Write) -> io::Result<()> {
    let instead = instead(shown);
    let mut edges = BTreeSet::new();
    let mut edge = |from: NodeId, to: NodeId, style: &'static str| {
        let is_input = matches!(shown.graph.kind(from), NodeKind::Input(_));
        let from = instead.get(&from).copied().or(is_input.then_some(from));
        if let Some(from) = from {
            edges.insert((id(shown, from), id(shown, to), style));
        }
    };
    for row in shown.rows() {
        for v in shown.graph.value_operands(row.node) {
            edge(v.node, row.node, "");
        }
        for before in shown.graph.effect_predecessors(row.node) {
            edge(before, row.node, " [style=dashed]");
        }
    }
    for (from, to, style) in edges {
        writeln!(out, "    {from} -> {to}{style};")?;
    }
    Ok(())
}

/// For each op the op that is shown in its place, itself or its like in a folded layer.
fn instead(shown: &Shown<'_>) -> HashMap<NodeId, NodeId> {
    let places = shown_instead(&shown.pieces, shown.sections.len());
    let nodes = |s: &Section| s.rows.iter().map(|r: &Row| r.node).collect::<Vec<_>>();
    let pairs = shown
        .sections
        .iter()
        .zip(places)
        .flat_map(|(section, place)| {
            let there = nodes(&shown.sections[place]);
            nodes(section).into_iter().zip(there)
        });
    pairs.collect()
}

/// Named after the op's first value, or one without values after its operands, so that a picture
/// of the same graph is the same text.
fn id(shown: &Shown<'_>, node: NodeId) -> String {
    let numbers = |values: &[Value]| {
        let numbers = values.iter().map(|v| shown.numbers.of(*v));
        escaped(&numbers.collect::<String>())
    };
    let own: Vec<Value> = shown.graph.values(node).take(1).collect();
    let name = match own.is_empty() {
        true => format!(
            "!{}",
            numbers(&shown.graph.value_operands(node).collect::<Vec<_>>())
        ),
        false => numbers(&own),
    };
    format!("\"{}{name}\"", shown.name)
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
