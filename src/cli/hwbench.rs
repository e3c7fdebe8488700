//! `hwbench`: what this machine can do at most.

use std::io::Write;

use sharpi_compile::cost::Ceilings;
use sharpi_compile::hwbench::kept;

use super::ceilings::measure;
use super::failure::Failure;
use super::table::Table;
use super::units::si;
use super::write_json;

#[derive(clap::Args)]
pub(super) struct Hwbench {
    /// Measure again, also if it has been done
    #[arg(long)]
    force: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

impl Hwbench {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let ceilings = match kept().filter(|_| !self.force) {
            Some(ceilings) => ceilings,
            None => measure()?,
        };
        match self.json {
            true => write_json(out, &ceilings),
            false => write(&ceilings, out),
        }
    }
}

fn write(ceilings: &Ceilings, out: &mut impl Write) -> Result<(), Failure> {
    writeln!(out, "{}, {}\n", ceilings.cpu, ceilings.simd)?;
    let mut table = Table::new(
        [
            "threads",
            "memory read",
            "int8 multiply-adds",
            "f32 multiply-adds",
        ],
        0,
    );
    for r in &ceilings.rates {
        table.line([
            r.threads.to_string(),
            si(r.read_bytes, "B/s"),
            si(r.int_macs, "/s"),
            si(r.f32_macs, "/s"),
        ]);
    }
    Ok(table.write(out)?)
}
