//! A profile for people.

use std::io::{self, Write};

use super::Recorded;
use super::measured::{Measured, Named, Sum};
use crate::cli::table::Table;
use crate::cli::units::si;

const COLUMNS: [&str; 8] = [
    "op", "count", "time", "share", "waits", "GB/s", "at best", "times",
];

pub(super) fn write(
    recorded: &Recorded,
    measured: &[Measured],
    out: &mut impl Write,
) -> io::Result<()> {
    for part in measured {
        write_part(part, out)?;
        writeln!(out)?;
    }
    let (timings, ceilings) = (&recorded.timings, &recorded.ceilings);
    let inside: f64 = measured.iter().map(|m| m.seconds).sum();
    let whole = timings.prompt_seconds + timings.generate_seconds;
    writeln!(
        out,
        "between runs {}, {:.1} % of {}",
        si(whole - inside, "s"),
        percent(whole - inside, whole),
        si(whole, "s")
    )?;
    writeln!(
        out,
        "at best: {} of {} ({}), see `sharpi-compile hwbench`",
        counted(recorded.threads, "thread"),
        ceilings.cpu,
        ceilings.simd
    )?;
    write!(out, "\n{timings}")
}

fn write_part(part: &Measured, out: &mut impl Write) -> io::Result<()> {
    let phase = part.phase.name();
    let (runs, tokens) = (part.runs, part.tokens);
    writeln!(
        out,
        "{phase}, @{}: {} of {}, {}, {} each",
        part.graph,
        counted(runs, "run"),
        counted(tokens, "token"),
        si(part.seconds, "s"),
        si(part.seconds / runs as f64, "s")
    )?;
    let mut table = Table::new(COLUMNS, 1);
    for op in &part.ops {
        table.line(line(op, part.seconds));
    }
    table.line(cells("all ops", &part.all, part.seconds));
    for (name, seconds) in [
        ("waiting at barriers", part.all.wait_seconds),
        ("starting and ending", part.rest_seconds),
    ] {
        let mut cells: [String; 8] = std::array::from_fn(|_| String::new());
        cells[0] = name.into();
        cells[2] = si(seconds, "s");
        cells[3] = share(seconds, part.seconds);
        table.line(cells);
    }
    table.write(out)?;
    writeln!(out)?;
    let head = std::array::from_fn(|i| if i == 0 { "block" } else { COLUMNS[i] });
    let mut table = Table::new(head, 1);
    for block in &part.blocks {
        table.line(line(block, part.seconds));
    }
    table.write(out)
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

fn line(named: &Named, whole: f64) -> [String; 8] {
    cells(&named.name, &named.sum, whole)
}

fn cells(name: &str, sum: &Sum, whole: f64) -> [String; 8] {
    [
        name.into(),
        sum.count.to_string(),
        si(sum.seconds, "s"),
        share(sum.seconds, whole),
        share(sum.wait_seconds, whole),
        ratio(sum.bytes / 1e9, sum.seconds),
        si(sum.best_seconds, "s"),
        ratio(sum.seconds, sum.best_seconds),
    ]
}

/// A dash where there is nothing to compare.
fn ratio(a: f64, b: f64) -> String {
    match a > 0.0 && b > 0.0 {
        true => format!("{:.2}", a / b),
        false => "-".into(),
    }
}

fn share(part: f64, whole: f64) -> String {
    format!("{:.1} %", percent(part, whole))
}

fn percent(part: f64, whole: f64) -> f64 {
    100.0 * part / whole.max(1e-12)
}
