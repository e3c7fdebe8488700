//! The graphs for Graphviz: a cluster for each block, a box for each op.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

use sharpi_ir::{NodeId, NodeKind};

use super::fold::{Piece, shown_instead};
use super::picture::{Picture, Row, Section, Shown};

pub(super) fn write(picture: &Picture<'_>, out: &mut impl Write) -> io::Result<()> {
    let module = &picture.snapshot.module;
    writeln!(out, "digraph \"{}\" {{", escaped(&module.name))?;
    writeln!(out, "  node [shape=box, fontname=monospace];")?;
    for shown in &picture.graphs {
        writeln!(out, "  subgraph \"cluster_{}\" {{", shown.name)?;
        writeln!(out, "    label=\"@{}\";", shown.name)?;
        for &input in shown.graph.inputs() {
            write_box(shown, input, "ellipse", out)?;
        }
        write_pieces(shown, &shown.pieces, out)?;
        write_edges(shown, out)?;
        writeln!(out, "  }}")?;
    }
    writeln!(out, "}}")
}

fn write_pieces(shown: &Shown<'_>, pieces: &[Piece], out: &mut impl Write) -> io::Result<()> {
    for piece in pieces {
        match piece {
            Piece::One(i) => write_section(shown, *i, out)?,
            Piece::Repeat { body, all, period } => {
                let names = shown.block_names(&shown.sections[all.clone()]);
                let times = all.len() / period;
                writeln!(
                    out,
                    "    subgraph \"cluster_{}_{}_{}\" {{",
                    shown.name, all.start, all.end
                )?;
                writeln!(out, "    label=\"{times} times: {names}\"; style=dashed;")?;
                write_pieces(shown, body, out)?;
                writeln!(out, "    }}")?;
            }
        }
    }
    Ok(())
}

fn write_section(shown: &Shown<'_>, index: usize, out: &mut impl Write) -> io::Result<()> {
    let section = &shown.sections[index];
    if let Some(block) = section.block {
        writeln!(
            out,
            "    subgraph \"cluster_{}_{index}\" {{ label=\"blk.{block}\";",
            shown.name
        )?;
    }
    for row in &section.rows {
        write_box(shown, row.node, "box", out)?;
    }
    match section.block {
        Some(_) => writeln!(out, "    }}"),
        None => Ok(()),
    }
}

fn write_box(shown: &Shown<'_>, node: NodeId, shape: &str, out: &mut impl Write) -> io::Result<()> {
    let title = match shown.graph.kind(node) {
        NodeKind::Input(name) => name.as_str(),
        NodeKind::Op(op) => op.mnemonic(),
    };
    let mut label = escaped(title);
    for result in shown.graph.results(node) {
        let name = result.name.as_deref().unwrap_or_default();
        label += &format!("\\n{} {}", escaped(name), result.ty);
    }
    writeln!(
        out,
        "      {} [label=\"{label}\", shape={shape}];",
        id(shown, node)
    )
}

/// Edges between what is shown; one that ends at a hidden op is led to the op shown in its place.
fn write_edges(shown: &Shown<'_>, out: &mut impl Write) -> io::Result<()> {
    let instead = instead(shown);
    let mut edges = BTreeSet::new();
    for row in shown.rows() {
        for v in shown.graph.value_operands(row.node) {
            let is_input = matches!(shown.graph.kind(v.node), NodeKind::Input(_));
            let from = instead.get(&v.node).copied();
            if let Some(from) = from.or(is_input.then_some(v.node)) {
                edges.insert((id(shown, from), id(shown, row.node)));
            }
        }
    }
    for (from, to) in edges {
        writeln!(out, "    {from} -> {to};")?;
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

/// Named after the op's first value, so that a picture of the same graph is the same text.
fn id(shown: &Shown<'_>, node: NodeId) -> String {
    let value = shown.graph.values(node).next();
    let number = value.map_or("%?", |v| shown.numbers.of(v));
    format!("\"{}{}\"", shown.name, escaped(number))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
