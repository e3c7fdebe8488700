//! The machine that times are worked out for.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sharpi_compile::cost::Ceilings;
use sharpi_compile::hwbench::{self, HwbenchError};

use super::failure::Failure;
use super::progress::Progress;

#[derive(clap::Args)]
pub(super) struct CeilingsArg {
    /// Ceilings of another machine: what its `hwbench --json` has printed [default: this machine's,
    /// measured once]
    #[arg(long, value_name = "FILE")]
    ceilings: Option<PathBuf>,
}

impl CeilingsArg {
    pub(super) fn get(&self) -> Result<Ceilings, Failure> {
        match &self.ceilings {
            Some(path) => read(path),
            None => Ok(match hwbench::kept() {
                Some(ceilings) => ceilings,
                None => measure()?,
            }),
        }
    }
}

/// Measures this machine and keeps what it finds.
pub(super) fn measure() -> Result<Ceilings, Failure> {
    let mut bar = None;
    let ceilings = hwbench::measure(|done, all| {
        let bar = bar.get_or_insert_with(|| Progress::steps("measuring this machine", all as u64));
        bar.at(done as u64);
    })?;
    drop(bar);
    if ceilings.disturbed {
        let _ = writeln!(
            io::stderr(),
            "other programs were busy meanwhile: the machine may do more; when it is idle, measure \
             again with `hwbench --force`"
        );
    }
    if let Err(error) = hwbench::keep(&ceilings) {
        // They are as good; only the next command has to measure again.
        let _ = writeln!(
            io::stderr(),
            "the ceilings of this machine are not kept: {error}"
        );
    }
    Ok(ceilings)
}

fn read(path: &Path) -> Result<Ceilings, Failure> {
    let fail = |message: String| {
        Failure::plain(
            format!("{}: {message}", path.display()),
            "`sharpi-compile hwbench --json` prints such a file",
        )
    };
    let text = fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    let ceilings: Ceilings = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
    ceilings.check().map_err(|e| fail(e.to_string()))?;
    Ok(ceilings)
}

impl From<HwbenchError> for Failure {
    fn from(error: HwbenchError) -> Failure {
        Failure::plain(
            error,
            "end other programs and try again, or name ceilings measured elsewhere with --ceilings",
        )
    }
}
