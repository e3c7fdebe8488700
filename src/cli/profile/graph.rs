//! A profile op by op, for the graph viewer.

use std::io::{self, Write};

use super::Recorded;
use super::measured::{parts, sums};
use crate::cli::failure::Failure;
use crate::cli::viewer::measured::{OpTime, Part, ops};
use crate::cli::viewer::{self, Machine, Measured, Subject};

/// The times of each op of the planned graphs.
pub(super) fn measured(recorded: &Recorded) -> Measured {
    let parts = parts(recorded).into_iter().map(|(phase, graph, runs)| {
        let sums = sums(recorded, &runs);
        let module = recorded.executable.module();
        let times = ops(&module.graphs[graph]).map(|(node, op)| {
            // A view takes no time.
            let sum = sums.get(&node).copied().unwrap_or_default();
            OpTime {
                op: op.mnemonic().into(),
                seconds: sum.seconds,
                wait_seconds: sum.wait_seconds,
                best_seconds: sum.best_seconds,
                multiply_adds: sum.multiply_adds,
                bytes: sum.bytes,
            }
        });
        Part {
            phase: phase.name().into(),
            graph: graph.into(),
            runs: runs.len(),
            tokens: runs.iter().map(|r| r.tokens).sum(),
            seconds: runs.iter().map(|r| (r.end - r.start) as f64).sum::<f64>() * 1e-9,
            ops: times.collect(),
        }
    });
    Measured {
        cpu: recorded.ceilings.cpu.clone(),
        threads: recorded.threads,
        parts: parts.collect(),
    }
}

/// What `dump-graph --measured` reads.
pub(super) fn export(recorded: &Recorded, out: &mut impl Write) -> io::Result<()> {
    Ok(serde_json::to_writer(out, &measured(recorded))?)
}

/// The page of the graphs with these times.
pub(super) fn page(
    recorded: &Recorded,
    title: &str,
    passes: &sharpi_passes::Options,
) -> Result<Vec<u8>, Failure> {
    let module = recorded.model.lower(&recorded.lower)?;
    let options = passes.clone().trace(true);
    let trace = sharpi_passes::run(module, &options)?.trace;
    let machine = Machine::with_threads(recorded.ceilings.clone(), recorded.threads);
    let subject = Subject {
        title,
        trace: &trace,
        graph: None,
        layers: None,
        folded: true,
        machine: Some(machine),
        measured: Some(measured(recorded)),
    };
    let mut page = Vec::new();
    viewer::write_html(&subject, &mut page)?;
    Ok(page)
}
