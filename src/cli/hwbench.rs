//! `hwbench`: what this machine can do at most.

use std::io::Write;

use bytesize::ByteSize;
use sharpi_compile::cost::Ceilings;

use super::ceilings::this_machine;
use super::failure::Failure;
use super::table::Table;
use super::units::si;
use super::write_json;

#[derive(clap::Args)]
pub(super) struct Hwbench {
    /// Measure again, also if it has been done; the best of all measurements is kept
    #[arg(long)]
    force: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

impl Hwbench {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let ceilings = this_machine(self.force)?;
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
    table.write(out)?;
    write_sets(ceilings, out)
}

/// How fast sets of bytes are read that are smaller than what lies in no cache.
fn write_sets(ceilings: &Ceilings, out: &mut impl Write) -> Result<(), Failure> {
    if ceilings.sets.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nthe same bytes again and again, as caches hold them")?;
    let mut table = Table::new(["threads", "bytes", "read"], 0);
    let counts = [1, ceilings.most_threads()];
    for set in ceilings.sets.iter().filter(|s| counts.contains(&s.threads)) {
        table.line([
            set.threads.to_string(),
            ByteSize(set.bytes as u64).display().iec().to_string(),
            si(set.read_bytes, "B/s"),
        ]);
    }
    Ok(table.write(out)?)
}
