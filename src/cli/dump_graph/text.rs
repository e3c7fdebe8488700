//! The compiler's textual form; unfolded and whole it parses again.

use std::io::{self, Write};

use sharpi_ir::Operand;
use sharpi_ir::rollback_bytes;
use sharpi_passes::print_snapshot;

use super::fold::Piece;
use super::picture::{Picture, Section, Shown};

pub(super) fn write(picture: &Picture<'_>, out: &mut impl Write) -> io::Result<()> {
    write_declarations(picture, out)?;
    for shown in &picture.graphs {
        writeln!(out)?;
        write_decisions(picture, shown, out)?;
        writeln!(out, "{}", shown.signature)?;
        if shown.partial {
            writeln!(out, "    ; only the blocks asked for")?;
        }
        write_pieces(picture, shown, &shown.pieces, out)?;
        for line in &shown.ending {
            writeln!(out, "{line}")?;
        }
    }
    writeln!(out, "}}")
}

/// The module's first line, and the weights and states that the ops shown use.
fn write_declarations(picture: &Picture<'_>, out: &mut impl Write) -> io::Result<()> {
    let module = &picture.snapshot.module;
    let symbols = &module.symbols;
    let used = picture.symbols();
    let names = symbols.weights().map(|(_, name, _)| name);
    let names: Vec<&str> = names
        .chain(symbols.states().map(|(_, name, _)| name))
        .collect();
    let printed = print_snapshot(picture.snapshot);
    let mut lines = printed.lines();
    writeln!(out, "{}", lines.next().unwrap_or_default())?;
    let mut left_out = 0;
    for (line, name) in lines.zip(&names) {
        match used.contains(name) {
            true => writeln!(out, "{line}")?,
            false => left_out += 1,
        }
    }
    match left_out {
        0 => Ok(()),
        n => writeln!(out, "  ; {n} weights and states of ops that are not shown"),
    }
}

/// What the passes have decided about the graph as a whole.
fn write_decisions(
    picture: &Picture<'_>,
    shown: &Shown<'_>,
    out: &mut impl Write,
) -> io::Result<()> {
    let Some(decided) = picture.snapshot.decisions.get(shown.name) else {
        return Ok(());
    };
    if let Some(schedule) = &decided.schedule {
        let steps = schedule.steps.len();
        let barriers = steps.saturating_sub(1);
        writeln!(out, "  ; {steps} steps, {barriers} barriers")?;
    }
    if let Some(memory) = &decided.memory {
        let (arena, sum) = (memory.arena_bytes, memory.sum_bytes);
        let least = memory.lower_bound_bytes;
        writeln!(
            out,
            "  ; arena of {arena} bytes, {sum} without reuse, {least} at the widest moment"
        )?;
        let graph = picture.snapshot.module.graphs.get(shown.name);
        let rollback = graph.map(rollback_bytes).unwrap_or_default();
        let bytes: usize = rollback.values().sum();
        writeln!(out, "  ; rollback of {bytes} bytes per token")?;
    }
    Ok(())
}

fn write_pieces(
    picture: &Picture<'_>,
    shown: &Shown<'_>,
    pieces: &[Piece],
    out: &mut impl Write,
) -> io::Result<()> {
    for piece in pieces {
        match piece {
            Piece::One(i) => {
                for row in &shown.sections[*i].rows {
                    writeln!(out, "{}", row.line)?;
                }
            }
            Piece::Repeat { body, all, period } => {
                write_pieces(picture, shown, body, out)?;
                let (once, again) = shown.sections[all.clone()].split_at(*period);
                let times = again.len() / period;
                writeln!(
                    out,
                    "    ; {}: the same as {}, {times} more time{}{}",
                    shown.block_names(again),
                    shown.block_names(once),
                    if times == 1 { "" } else { "s" },
                    differences(picture, shown, once, again),
                )?;
            }
        }
    }
    Ok(())
}

/// Says so where the weights of repeated sections are stored otherwise: ops do not tell.
fn differences(
    picture: &Picture<'_>,
    shown: &Shown<'_>,
    once: &[Section],
    again: &[Section],
) -> &'static str {
    let types = |sections: &[Section]| weight_types(picture, shown, sections);
    let first = types(once);
    let differ = again.chunks(once.len()).any(|time| types(time) != first);
    match differ {
        true => ", with weights of other types",
        false => "",
    }
}

fn weight_types(
    picture: &Picture<'_>,
    shown: &Shown<'_>,
    sections: &[Section],
) -> Vec<sharpi_ir::DType> {
    let symbols = &picture.snapshot.module.symbols;
    let rows = sections.iter().flat_map(|s| &s.rows);
    let operands = rows.flat_map(|row| shown.graph.operands(row.node));
    let types = operands.filter_map(|o| match o {
        Operand::Weight(w) => symbols.weight_of(w).map(|(_, weight)| weight.ty.dtype),
        Operand::Value(_) | Operand::State(_) => None,
    });
    types.collect()
}
