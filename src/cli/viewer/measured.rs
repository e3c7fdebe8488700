//! What a profile has measured, op by op: `profile --export-graph` writes it, the page shows it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sharpi_compile::regular_file;
use sharpi_ir::plain::{Plain, PlainPath};
use sharpi_ir::{Graph, NodeId, Op};
use sharpi_passes::Traced;

use crate::cli::failure::Failure;

#[derive(Serialize, Deserialize)]
pub(in crate::cli) struct Measured {
    pub(in crate::cli) cpu: String,
    pub(in crate::cli) threads: usize,
    pub(in crate::cli) parts: Vec<Part>,
}

/// The runs of one graph while the prompt was read, or while the text was generated.
#[derive(Serialize, Deserialize)]
pub(in crate::cli) struct Part {
    pub(in crate::cli) phase: String,
    pub(in crate::cli) graph: String,
    pub(in crate::cli) runs: usize,
    pub(in crate::cli) tokens: usize,
    /// From the start to the end of each run.
    pub(in crate::cli) seconds: f64,
    /// In the order of the planned graph.
    pub(in crate::cli) ops: Vec<OpTime>,
}

/// Times of all runs together.
#[derive(Serialize, Deserialize)]
pub(in crate::cli) struct OpTime {
    pub(in crate::cli) op: String,
    pub(in crate::cli) seconds: f64,
    /// At the barrier behind its step, of the op that took the most time in it.
    pub(in crate::cli) wait_seconds: f64,
    /// At the ceilings of the machine.
    pub(in crate::cli) best_seconds: f64,
    pub(in crate::cli) multiply_adds: f64,
    pub(in crate::cli) bytes: f64,
}

impl Measured {
    /// Reads what `profile --export-graph` has written, and checks that it is of these graphs.
    pub(in crate::cli) fn read(path: &Path, trace: &[Traced]) -> Result<Measured, Failure> {
        let shown = PlainPath(path);
        let text = regular_file::read_to_string(path);
        let text = text.map_err(|error| unusable(format!("cannot read {shown}: {error}")))?;
        let measured: Measured = serde_json::from_str(&text)
            .map_err(|error| unusable(format!("{shown} is no profile of a graph: {error}")))?;
        for part in &measured.parts {
            let last = trace.last().map(|last| &last.module.graphs);
            let graph = last.and_then(|graphs| graphs.get(&part.graph));
            let same = graph.is_some_and(|graph| part.is_of(graph));
            if !same {
                return Err(Failure::plain(
                    format!(
                        "{shown} was measured of another graph @{}",
                        Plain(&part.graph)
                    ),
                    "name the same model and passes, --stage planned or no stage at all, and \
                     --no-draft where the profile drafted nothing",
                ));
            }
        }
        Ok(measured)
    }
}

impl Part {
    fn is_of(&self, graph: &Graph) -> bool {
        let ops = ops(graph).map(|(_, op)| op.mnemonic());
        ops.eq(self.ops.iter().map(|time| time.op.as_str()))
    }
}

/// The ops of a graph in its order.
pub(in crate::cli) fn ops(graph: &Graph) -> impl Iterator<Item = (NodeId, &Op)> {
    graph
        .order()
        .into_iter()
        .filter_map(|node| Some((node, graph.op(node)?)))
}

fn unusable(message: String) -> Failure {
    Failure::plain(
        message,
        "`sharpi-compile profile --export-graph FILE` writes such a file",
    )
}
