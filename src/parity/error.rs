//! Why a comparison could not be made.

use crate::generate::GenerateError;
use crate::{Error, RunError};

/// Why a comparison could not be made. That something differs is no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParityError {
    /// The model cannot be compiled.
    #[error(transparent)]
    Model(#[from] Error),
    /// A run of the generation loop failed.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The reference used an id that the model does not have.
    #[error(
        "{place}: token id {id} is outside the model's vocabulary, expected 0 to {}",
        vocabulary - 1
    )]
    UnknownId {
        /// Where the id stands, such as `[3]` for the fourth capture.
        place: String,
        /// The id.
        id: u32,
        /// Number of ids.
        vocabulary: usize,
    },
    /// The runs of a dump are not those of a round of drafting.
    #[error(
        "passes: the runs are {}, expected {expected}",
        sharpi_ir::plain::line(found)
    )]
    Passes {
        /// Graph and width of each run.
        found: String,
        /// What they should be.
        expected: String,
    },
    /// The dump shows tensors of a head, which the model does not have.
    #[error("the model has no multi-token-prediction head, whose tensors the dump shows")]
    NoHead,
    /// The prompt or draft of a dump is too short to be replayed.
    #[error("{field}: is too short, expected at least {least} ids")]
    TooShort {
        /// The field.
        field: &'static str,
        /// How many there must be.
        least: usize,
    },
    /// The cancel flag was set.
    #[error("the comparison was cancelled")]
    Cancelled,
}
