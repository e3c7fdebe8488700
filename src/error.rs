//! The library's error: whatever can go wrong between a file and its logits.

use sharpi_passes::CompileError;

use crate::exec::{PrepareError, RunError};
use crate::gguf::GgufError;
use crate::lower::LowerError;
use crate::quantize::QuantizeError;
use crate::ranks::ExchangeError;
use crate::tokenizer::TokenizerError;

/// An error with the step that it came from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The model cannot be lowered.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The vocabulary cannot be used.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A pass failed, or its options were wrong.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The compiled graphs cannot be made ready to run.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// Numbers cannot be weights.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// Another rank is in the way.
    #[error(transparent)]
    Ranks(#[from] ExchangeError),
    /// A run was refused.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Error {
    /// Whether the file is sound but of a kind that is not supported.
    pub fn is_unsupported(&self) -> bool {
        match self {
            Error::Gguf(e) => e.is_unsupported(),
            Error::Lower(e) => e.is_unsupported(),
            Error::Tokenizer(e) => e.is_unsupported(),
            Error::Compile(_)
            | Error::Prepare(_)
            | Error::Quantize(_)
            | Error::Ranks(_)
            | Error::Run(_) => false,
        }
    }
}
