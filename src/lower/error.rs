//! What can be wrong with a model.

use sharpi_ir::{BuildError, DType, Redeclared};

/// Why a model cannot be lowered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LowerError {
    /// `general.architecture` is another one.
    #[error("architecture `{found}` is not supported, expected `qwen35` or `qwen35moe`")]
    Architecture {
        /// What the file says.
        found: String,
    },
    /// A metadata key is not there.
    #[error("metadata key `{key}` is missing, expected {expected}")]
    MissingKey {
        /// The key.
        key: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// A metadata key holds something unusable.
    #[error("metadata key `{key}` is {found}, expected {expected}")]
    BadKey {
        /// The key.
        key: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: String,
    },
    /// A tensor is not there.
    #[error("tensor `{name}` is missing, expected dimensions {expected} (fastest first)")]
    MissingTensor {
        /// The tensor.
        name: String,
        /// Dimensions as GGUF lists them.
        expected: String,
    },
    /// A tensor has other dimensions.
    #[error(
        "tensor `{name}` has dimensions {found:?}, expected {expected} (fastest first, from the metadata)"
    )]
    TensorShape {
        /// The tensor.
        name: String,
        /// Dimensions in the file.
        found: Vec<u64>,
        /// Dimensions that follow from the metadata.
        expected: String,
    },
    /// A tensor has a type for which there is no kernel.
    #[error("tensor `{name}` has type {found}, which has no kernel; supported here: {supported}")]
    TensorType {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
        /// Types that can stand there.
        supported: String,
    },
    /// The cache cannot be of that type.
    #[error("the cache cannot hold {0}, expected f16, bf16 or f32")]
    CacheType(DType),
    /// Ids to draft that are not there, or none at all.
    #[error("cannot draft {found}: the vocabulary has ids 0 to {last}")]
    DraftVocabulary {
        /// What was asked for.
        found: String,
        /// The last id.
        last: usize,
    },
    /// The metadata is consistent key by key but gives graphs that do not fit together.
    #[error("the model's shapes do not fit together: {0}")]
    Build(#[from] BuildError),
    /// Two graphs disagree about what they share.
    #[error(transparent)]
    Redeclared(#[from] Redeclared),
}

impl LowerError {
    /// Whether the file is sound but of a kind that is not supported.
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self,
            LowerError::Architecture { .. } | LowerError::TensorType { .. }
        )
    }
}
