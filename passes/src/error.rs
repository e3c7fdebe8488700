//! Why a module could not be compiled.

use std::io;
use std::path::PathBuf;

use sharpi_ir::VerifyError;
use sharpi_ir::plain::{Plain, PlainPath};

use crate::pass::PassError;
use crate::stage::Stage;

/// At most this many offences are shown.
const SHOWN: usize = 12;

/// Why a module could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A name that nothing has.
    #[error("there is no {kind} `{}`, expected one of {names}", Plain(name))]
    Unknown {
        /// What was looked for.
        kind: &'static str,
        /// The name given.
        name: String,
        /// The names there are.
        names: String,
    },
    /// A required pass was to be skipped.
    #[error("pass `{pass}` is required and cannot be skipped")]
    Required {
        /// The pass.
        pass: &'static str,
    },
    /// A pass has the name of another.
    #[error("there is a pass `{pass}` already; the names of passes tell them apart")]
    SameName {
        /// The name.
        pass: &'static str,
    },
    /// The module cannot be divided.
    #[error(transparent)]
    Shard(#[from] crate::shard::ShardError),
    /// The module does not verify.
    #[error("the module does not verify {when}:\n{source}")]
    Verify {
        /// After which pass, or that it was so from the start.
        when: String,
        /// What is wrong.
        source: VerifyError,
    },
    /// A pass gave up.
    #[error("pass `{pass}` on @{}: {source}", Plain(graph))]
    Pass {
        /// The pass.
        pass: &'static str,
        /// The graph.
        graph: String,
        /// Why.
        source: PassError,
    },
    /// The module is not what a stage must be.
    #[error("not {stage}:\n{}", listed(offences))]
    Stage {
        /// The stage that is not reached.
        stage: Stage,
        /// Everything that keeps it from it, each with its graph.
        offences: Vec<String>,
    },
    /// A dump could not be written.
    #[error("cannot write {}: {source}", PlainPath(path))]
    Dump {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The run was told to stop before there was a plan.
    #[error("stopped {stage}, expected to reach planned; `run` answers with what there is")]
    Unfinished {
        /// The stage reached.
        stage: Stage,
    },
}

/// The first few of the offences, and how many more there are.
fn listed(offences: &[String]) -> String {
    let shown = offences.iter().take(SHOWN).cloned();
    let more = offences.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| format!("… and {more} more"));
    shown.chain(more).collect::<Vec<_>>().join("\n")
}
