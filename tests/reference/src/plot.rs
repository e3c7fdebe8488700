//! A picture of what `compare --json` has measured: bars of tokens a second, as SVG.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;

#[derive(Args)]
pub struct PlotArgs {
    /// What `compare --json` printed, a file for each model
    #[arg(required = true, value_name = "FILE")]
    results: Vec<PathBuf>,
    /// Picture to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Deserialize)]
struct Table {
    model: String,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    work: String,
    engines: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    engine: String,
    rate: Option<Spread>,
}

#[derive(Deserialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

/// Widths and heights in pixels.
const LABEL: f64 = 190.0;
const BAR: f64 = 13.0;
const FULL: f64 = 420.0;
/// Of the engines, in the order in which `compare` has them.
const COLOURS: [&str; 3] = ["#1b6ac9", "#b0b7bf", "#d4d8dd"];

impl PlotArgs {
    pub fn run(self) -> Result<()> {
        let mut tables = Vec::new();
        for path in &self.results {
            let text = fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            let table: Table = serde_json::from_str(&text)
                .with_context(|| format!("{} is no output of compare --json", path.display()))?;
            tables.push(table);
        }
        fs::write(&self.output, draw(&tables)?)
            .with_context(|| format!("{} cannot be written", self.output.display()))
    }
}

fn draw(tables: &[Table]) -> Result<String> {
    let mut body = String::new();
    let mut y = 20.0;
    for table in tables {
        y = draw_model(table, y, &mut body)? + 14.0;
    }
    let width = LABEL + FULL + 190.0;
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{y}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    ))
}

/// One model's bars from `y` on, each kind of work with its own scale; returns where they end.
fn draw_model(table: &Table, mut y: f64, body: &mut String) -> Result<f64> {
    let name = table.model.rsplit('/').next().unwrap_or(&table.model);
    let name = name.trim_end_matches(".gguf");
    writeln!(
        body,
        "<text x=\"8\" y=\"{y}\" font-weight=\"bold\">{name}, tokens/s</text>"
    )?;
    let rates = |drafts: bool| {
        let rows = table
            .rows
            .iter()
            .filter(move |row| row.work.starts_with("prefill") != drafts);
        let rates = rows
            .flat_map(|row| &row.engines)
            .filter_map(|c| c.rate.as_ref());
        rates.fold(0.0f64, |most, rate| most.max(rate.max))
    };
    y += 8.0;
    for row in &table.rows {
        let most = rates(!row.work.starts_with("prefill"));
        writeln!(body, "<text x=\"8\" y=\"{}\">{}</text>", y + 11.0, row.work)?;
        for (column, colour) in row.engines.iter().zip(COLOURS) {
            let Some(rate) = &column.rate else { continue };
            let long = |rate: f64| rate / most * FULL;
            let (x, middle) = (LABEL, y + BAR / 2.0);
            writeln!(
                body,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{:.1}\" height=\"{}\" fill=\"{colour}\"/>\
                 <path d=\"M{:.1} {middle}H{:.1}\" stroke=\"#222\"/>\
                 <text x=\"{:.1}\" y=\"{}\">{:.1} {}</text>",
                long(rate.median),
                BAR - 2.0,
                x + long(rate.min),
                x + long(rate.max),
                x + long(rate.max) + 5.0,
                y + 10.0,
                rate.median,
                column.engine,
            )?;
            y += BAR;
        }
        y += 5.0;
    }
    Ok(y)
}
