//! The tables of `parity`.

use std::io::{self, Write};

use sharpi_compile::parity::{
    Bisection, Compared, Deviation, Outcome, Round, RoundsCompared, Skip, Tolerance, Verdict,
};

use super::record::Row;
use crate::cli::table::Table;

const HEAD: [&str; 9] = [
    "capture",
    "cache",
    "n-max",
    "verdict",
    "ids",
    "first difference",
    "rank, gap",
    "rounds",
    "widths",
];

/// A line for each capture, and how many came out how.
pub(super) fn write(rows: &[Row<'_>], out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new(HEAD, HEAD.len());
    rows.iter().for_each(|row| table.line(cells(row)));
    table.write(out)?;
    writeln!(out, "\n{}", summary(rows))
}

fn cells(row: &Row<'_>) -> [String; 9] {
    let mut cells: [String; 9] = std::array::from_fn(|_| String::new());
    cells[0] = row.capture.to_string();
    cells[1] = row.cache_type.to_string();
    cells[2] = row.n_draft_max.to_string();
    cells[3] = word(row.verdict).to_string();
    match row.outcome {
        Outcome::Compared(compared) => {
            cells[4] = compared.ids.to_string();
            (cells[5], cells[6]) = difference(compared);
            cells[7] = compared.rounds.as_ref().map_or("-".into(), rounds);
            cells[8] = widths(compared);
        }
        Outcome::Skipped { skipped } => cells[5] = reason(*skipped).to_string(),
    }
    cells
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "same",
        Verdict::Excused => "excused",
        Verdict::Differs => "differs",
        Verdict::Skipped => "skipped",
    }
}

fn reason(skip: Skip) -> &'static str {
    match skip {
        Skip::CacheType => "another cache type",
        Skip::NoHead => "no head to draft with",
        Skip::NoLogits => "no logits captured",
        Skip::Cancelled => "stopped by Ctrl-C",
    }
}

/// Where it is, and how near the reference's id came to being chosen.
fn difference(compared: &Compared) -> (String, String) {
    let Some(first) = compared.first_difference() else {
        return ("-".into(), "-".into());
    };
    let chosen = first.chosen.map_or("the end".into(), |id| id.to_string());
    let mut text = format!("id {}: {chosen}, not {}", first.step, first.expected);
    if compared.differences.len() > 1 {
        text += &format!(", {} in all", compared.differences.len());
    }
    let rank = first.rank.map_or("-".into(), |rank| rank.to_string());
    let gap = first.gap.map_or("-".into(), |gap| format!("{gap:.4}"));
    (text, format!("{rank}, {gap}"))
}

/// How many rounds are the same, and what the first is that is not.
fn rounds(rounds: &RoundsCompared) -> String {
    let round = |round: &Option<Round>| match round {
        None => "none".into(),
        Some(round) => format!("{:?} accepted {}", round.draft, round.accepted),
    };
    let count = format!("{} of {}", rounds.same, rounds.expected);
    match &rounds.fork {
        None => count,
        Some((expected, made)) => {
            format!("{count}, then {}, not {}", round(made), round(expected))
        }
    }
}

fn widths(compared: &Compared) -> String {
    match &compared.widths {
        None => "-".into(),
        Some(widths) => match widths.fork {
            None => format!("{} positions", widths.positions),
            Some(fork) => format!(
                "width {} differs at position {}, id {}",
                fork.width, fork.position, fork.id
            ),
        },
    }
}

fn summary(rows: &[Row<'_>]) -> String {
    let all = [
        Verdict::Same,
        Verdict::Excused,
        Verdict::Differs,
        Verdict::Skipped,
    ];
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let counts = all.map(|verdict| (count(verdict), word(verdict)));
    let counts = counts.iter().filter(|(n, _)| *n > 0);
    let counts: Vec<String> = counts.map(|(n, word)| format!("{n} {word}")).collect();
    let noun = if rows.len() == 1 {
        "capture"
    } else {
        "captures"
    };
    let mut text = format!("{} {noun}: {}", rows.len(), counts.join(", "));
    if count(Verdict::Excused) > 0 {
        text += "\nexcused: the reference disagrees with itself there, or only drafts of a model with \
                 quantised weights differ";
    }
    text
}

/// The first tensor that differs, how it is made, and what of.
pub(super) fn write_bisection(found: &Bisection, out: &mut impl Write) -> io::Result<()> {
    let (tensors, runs, differing) = (found.tensors, found.runs, found.differing.len());
    writeln!(
        out,
        "{differing} of {tensors} tensors differ, in {runs} runs"
    )?;
    let Some(first) = found.differing.first() else {
        return Ok(());
    };
    let (tensor, run, graph, width) = (&first.tensor, first.run, &first.graph, first.width);
    writeln!(
        out,
        "first: {tensor}, in run {run} (@{graph}, width {width})"
    )?;
    match &first.deviation {
        None => writeln!(out, "  no value of the graph has this name")?,
        Some(deviation) => writeln!(out, "  {}", off(deviation))?,
    }
    let Some(origin) = &found.origin else {
        return Ok(());
    };
    writeln!(out, "made by")?;
    for line in &origin.lines {
        writeln!(out, "  {line}")?;
    }
    if !origin.operands.is_empty() {
        writeln!(out, "made of")?;
    }
    for (name, deviation) in &origin.operands {
        writeln!(out, "  {name}: {}", off(deviation))?;
    }
    Ok(())
}

fn off(deviation: &Deviation) -> String {
    let (made, expected) = deviation.elements;
    if made != expected {
        return format!("{made} elements, the reference has {expected}");
    }
    let word = match (deviation.same_bits, deviation.exceeds(Tolerance::Rounding)) {
        (Some(true), _) => return "the same bits".into(),
        (_, true) => "differs",
        (Some(false), false) => "agrees but for last bits",
        (None, false) => "agrees",
    };
    let Deviation { norm, element, .. } = deviation;
    format!("{word}: norm off by {norm:.1e} of itself, an element by {element:.1e} of the rms")
}
