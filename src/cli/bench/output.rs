//! Rows as a table for people or as records for programs, written as they come.

use std::io::{self, Write};

use clap::ValueEnum;
use indexmap::IndexMap;
use serde_json::Value;

use super::super::failure::Failure;
use super::super::screen;
use super::row::Row;
use super::table::Table;

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(super) enum Format {
    /// A Markdown table
    Md,
    /// Comma-separated values, a header first
    Csv,
    /// One JSON list
    Json,
    /// A JSON object on each line
    Jsonl,
}

/// Where rows go.
pub(super) struct Output<W: Write> {
    out: W,
    format: Format,
    table: Table,
    rows: usize,
}

impl<W: Write> Output<W> {
    pub(super) fn new(out: W, format: Format, table: Table) -> Output<W> {
        Output {
            out,
            format,
            table,
            rows: 0,
        }
    }

    pub(super) fn row(&mut self, row: &Row) -> Result<(), Failure> {
        let first = self.rows == 0;
        let out = &mut self.out;
        match self.format {
            Format::Md => {
                if first {
                    self.table.head(out)?;
                }
                self.table.row(row, out)?;
            }
            Format::Csv => {
                let columns = columns(row)?;
                if first {
                    line(columns.keys().cloned(), out)?;
                }
                line(columns.values().map(cell), out)?;
            }
            Format::Json => {
                out.write_all(if first { b"[\n" } else { b",\n" })?;
                serde_json::to_writer_pretty(screen::json(&mut *out), row)
                    .map_err(io::Error::from)?;
            }
            Format::Jsonl => super::super::write_json_line(out, row)?,
        }
        self.rows += 1;
        Ok(out.flush()?)
    }

    /// What comes after the last row.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        if self.format == Format::Json {
            let close = if self.rows == 0 { "[]" } else { "\n]" };
            writeln!(self.out, "{close}")?;
        }
        Ok(())
    }
}

/// The fields of a row in their order.
fn columns(row: &Row) -> Result<IndexMap<String, Value>, io::Error> {
    let text = serde_json::to_string(row)?;
    Ok(serde_json::from_str(&text)?)
}

/// A value in one cell: a list's elements with spaces between, nothing for null.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// Every cell in quotes, as llama-bench has it and RFC 4180 allows.
fn line(cells: impl Iterator<Item = String>, out: &mut impl Write) -> io::Result<()> {
    let quoted = cells.map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
    writeln!(out, "{}", quoted.collect::<Vec<_>>().join(","))
}
