//! `passes`: what the compiler does, in order.

use std::io::Write;

use serde::Serialize;
use sharpi_passes::{PassInfo, Pipeline};

use super::failure::Failure;
use super::write_json;

#[derive(clap::Args)]
pub(super) struct Passes {
    /// Print a JSON list
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    doc: &'static str,
    required: bool,
    /// The stage that the pass helps to reach.
    stage: &'static str,
}

impl Passes {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let table = Pipeline::default().table();
        if self.json {
            let rows: Vec<Row> = table.iter().map(Row::new).collect();
            return write_json(out, &rows);
        }
        let width = table.iter().map(|p| p.name.len()).max().unwrap_or(0);
        for pass in table {
            let standing = if pass.required {
                "required"
            } else {
                "optional"
            };
            writeln!(out, "{:width$}  {standing}  {}", pass.name, pass.doc)?;
        }
        Ok(())
    }
}

impl Row {
    fn new(pass: &PassInfo) -> Row {
        Row {
            name: pass.name,
            doc: pass.doc,
            required: pass.required,
            stage: pass.stage.name(),
        }
    }
}
