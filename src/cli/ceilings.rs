//! The machine that times are worked out for.

use std::io::Write;
use std::path::{Path, PathBuf};

use sharpi_compile::cost::Ceilings;
use sharpi_compile::hwbench::{self, HwbenchError};
use sharpi_compile::regular_file;
use sharpi_ir::plain::PlainPath;

use super::failure::Failure;
use super::progress::Progress;
use super::screen;

#[derive(clap::Args)]
pub(super) struct CeilingsArg {
    /// Ceilings of another machine: what its `hwbench --json` has printed [default: this machine's,
    /// measured once]
    #[arg(long, value_name = "FILE")]
    ceilings: Option<PathBuf>,
}

impl CeilingsArg {
    /// The ceilings, and on stderr what has to be known about them, `threads` being asked for.
    pub(super) fn get(&self, threads: Option<usize>) -> Result<Ceilings, Failure> {
        let ceilings = match &self.ceilings {
            Some(path) => {
                let ceilings = read(path)?;
                if ceilings.disturbed {
                    note("the machine of --ceilings was busy when it was measured: it may do more");
                }
                ceilings
            }
            None => this_machine(false)?,
        };
        let most = ceilings.most_threads();
        if let Some(asked) = threads.filter(|asked| *asked > most) {
            note(&format!(
                "{asked} threads are asked for, the machine runs {most} at once: the rates of {most} \
                 count"
            ));
        }
        Ok(ceilings)
    }
}

/// What is known without measuring: the ceilings of a file, or those of this machine that are kept.
pub(super) fn known(file: Option<&Path>) -> Result<Option<Ceilings>, Failure> {
    file.map_or_else(|| Ok(hwbench::kept()), |path| read(path).map(Some))
}

/// What this machine was measured to do, now if that has not been done, if it is asked for, or if
/// the machine was busy then and is not any more.
pub(super) fn this_machine(again: bool) -> Result<Ceilings, Failure> {
    match hwbench::kept() {
        Some(kept) if !again && !kept.disturbed => Ok(kept),
        Some(kept) if !again && !hwbench::is_quiet()? => {
            note(
                "this machine was busy when it was measured, and is now: it may do more; it is \
                 measured again once it is quiet",
            );
            Ok(kept)
        }
        kept => measure(kept.as_ref()),
    }
}

/// Measures this machine and keeps the best of what it finds and of what was known.
fn measure(known: Option<&Ceilings>) -> Result<Ceilings, Failure> {
    let mut bar = None;
    let mut ceilings = hwbench::measure(|done, all| {
        let bar = bar.get_or_insert_with(|| Progress::steps("measuring this machine", all as u64));
        bar.at(done as u64);
    })?;
    drop(bar);
    if let Some(known) = known {
        ceilings.merge(known);
    }
    if ceilings.disturbed {
        note(
            "other programs were busy meanwhile: the machine may do more; it is measured again once \
             it is quiet, and by `hwbench --force`",
        );
    }
    if let Err(error) = hwbench::keep(&ceilings) {
        // They are as good; only the next command has to measure again.
        note(&format!(
            "the ceilings of this machine are not kept: {error}"
        ));
    }
    Ok(ceilings)
}

/// Nothing fails for want of a place for it.
fn note(text: &str) {
    let _ = writeln!(screen::notes(), "{text}");
}

fn read(path: &Path) -> Result<Ceilings, Failure> {
    let fail = |message: String| {
        Failure::plain(
            format!("{}: {message}", PlainPath(path)),
            "`sharpi-compile hwbench --json` prints such a file",
        )
    };
    let text = regular_file::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    Ceilings::parse(&text).map_err(|e| fail(e.to_string()))
}

impl From<HwbenchError> for Failure {
    fn from(error: HwbenchError) -> Failure {
        Failure::plain(
            error,
            "end other programs and try again, or name ceilings measured elsewhere with --ceilings",
        )
    }
}
