//! The library's error: whatever can go wrong between a file and its logits.

use sharpi_passes::CompileError;

use crate::exec::ops::BindError;
use crate::exec::{LoadError, RunError};
use crate::gguf::GgufError;
use crate::lower::LowerError;
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
    /// An op has no kernel.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The weights cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
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
            Error::Compile(_) | Error::Bind(_) | Error::Load(_) | Error::Run(_) => false,
        }
    }
}
