//! `hwbench`: what this machine can do at most.

use std::io::Write;

use bytesize::ByteSize;
use serde::Serialize;
use sharpi_compile::cost::{Ceilings, Link};

use super::ceilings::this_machine;
use super::failure::Failure;
use super::machines;
use super::table::Table;
use super::units::si;
use super::write_json;

#[derive(clap::Args)]
pub(super) struct Hwbench {
    /// Measure again, also if it has been done; the best of all measurements is kept
    #[arg(long)]
    force: bool,
    /// Measure the way between the ranks that mpirun has started, in place of the machine
    #[arg(long, conflicts_with = "force")]
    mpi: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// The way between ranks, for programs.
#[derive(Serialize)]
struct Way {
    ranks: usize,
    exchanges: Vec<Exchange>,
    link: Link,
}

#[derive(Serialize)]
struct Exchange {
    bytes: usize,
    seconds: f64,
}

impl Hwbench {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        if self.mpi {
            return self.way(out);
        }
        let ceilings = this_machine(self.force)?;
        match self.json {
            true => write_json(out, &ceilings),
            false => write(&ceilings, out),
        }
    }
}

impl Hwbench {
    fn way(&self, out: &mut impl Write) -> Result<(), Failure> {
        let ranks = machines::led().ok_or_else(|| {
            Failure::plain(
                "mpirun has started no other ranks",
                "start it as `mpirun -n 2 sharpi-compile hwbench --mpi`",
            )
        })?;
        let times = ranks.measure().map_err(sharpi_compile::Error::from)?;
        let (Some(least), Some(most)) = (times.first(), times.last()) else {
            return Ok(());
        };
        let others = (ranks.count() - 1) as f64;
        let link = Link {
            latency: least.seconds,
            rate: others * most.bytes as f64 / (most.seconds - least.seconds).max(1e-9),
        };
        let exchanges = times.iter().map(|time| Exchange {
            bytes: time.bytes,
            seconds: time.seconds,
        });
        let way = Way {
            ranks: ranks.count(),
            exchanges: exchanges.collect(),
            link,
        };
        match self.json {
            true => write_json(out, &way),
            false => write_way(&way, out),
        }
    }
}

fn write_way(way: &Way, out: &mut impl Write) -> Result<(), Failure> {
    writeln!(out, "{} ranks\n", way.ranks)?;
    let mut table = Table::new(["bytes of each", "an exchange"], 0);
    for exchange in &way.exchanges {
        let bytes = ByteSize(exchange.bytes as u64).display().iec();
        table.line([bytes.to_string(), si(exchange.seconds, "s")]);
    }
    table.write(out)?;
    let Link { latency, rate } = way.link;
    let (latency, rate) = (latency * 1e6, rate * 8.0 / 1e9);
    Ok(writeln!(out, "\n--link {latency:.1}us,{rate:.2}Gbit")?)
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
