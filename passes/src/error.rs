//! Why a module could not be compiled.

use std::io;
use std::path::PathBuf;

use sharpi_ir::VerifyError;

use crate::pass::PassError;
use crate::stage::Stage;

/// Why a module could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A name that nothing has.
    #[error("there is no {kind} `{name}`, expected one of {names}")]
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
    /// The module does not verify.
    #[error("the module does not verify {when}:\n{source}")]
    Verify {
        /// After which pass, or that it was so from the start.
        when: String,
        /// What is wrong.
        source: VerifyError,
    },
    /// A pass gave up.
    #[error("pass `{pass}` on @{graph}: {source}")]
    Pass {
        /// The pass.
        pass: &'static str,
        /// The graph.
        graph: String,
        /// Why.
        source: PassError,
    },
    /// The module is not what a stage must be.
    #[error("not {stage}:\n{}", offences.join("\n"))]
    Stage {
        /// The stage that is not reached.
        stage: Stage,
        /// Everything that keeps it from it, each with its graph.
        offences: Vec<String>,
    },
    /// A dump could not be written.
    #[error("cannot write {}: {source}", path.display())]
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
