//! What can be wrong with a model.

use sharpi_ir::plain::Plain;
use sharpi_ir::{BuildError, DType, Redeclared};

/// Why a model cannot be lowered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LowerError {
    /// A file of another kind.
    #[error("the file is no model, it is {0}")]
    NoModel(String),
    /// `general.architecture` is another one.
    #[error(
        "architecture `{}` is not supported, expected one of {known}",
        Plain(found)
    )]
    Architecture {
        /// What the file says.
        found: String,
        /// Those that are.
        known: String,
    },
    /// What an architecture of one's own has to say.
    #[error("{}", sharpi_ir::plain::line(.0))]
    Own(String),
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
    /// A factor of RoPE's angles that divides by nothing.
    #[error("tensor `{name}` holds {found}, expected finite numbers above 0")]
    RopeFactor {
        /// The tensor.
        name: String,
        /// What it holds.
        found: f32,
    },
    /// A metadata key holds what changes the result and is not carried out: the error about it.
    #[error(transparent)]
    NotCarriedOut(Box<LowerError>),
    /// Tensors that no part of the computation uses.
    #[error(
        "{} no part in the computation that is known here, and may change the result",
        listed(names, *more, "has", "have")
    )]
    UnusedTensors {
        /// Some of them.
        names: Vec<String>,
        /// How many there are beside those.
        more: usize,
    },
    /// Tensors of blocks that the metadata says nothing of.
    #[error(
        "tensors {} belong to no block: the metadata tells of {blocks} blocks of the trunk, and \
         `{head}` of no head there",
        listed_names(names, *more)
    )]
    HomelessTensors {
        /// Some of them, `blk.N.*` for all of a block.
        names: Vec<String>,
        /// How many there are beside those.
        more: usize,
        /// Blocks of the trunk.
        blocks: usize,
        /// The key that declares a head.
        head: String,
    },
    /// A head in a file of its own is for another model.
    #[error("the head does not fit the model: {what} is {head} there, and {model} in the model")]
    HeadMismatch {
        /// What differs.
        what: &'static str,
        /// What the head has.
        head: String,
        /// What the model has.
        model: String,
    },
    /// A file that is to give a head has none.
    #[error("the file that is to give a head has no multi-token-prediction head")]
    NoHead,
    /// The cache cannot be of that type.
    #[error("the cache cannot hold {0}, expected one of {names}", names = super::cache_type_names())]
    CacheType(DType),
    /// Heads are no whole blocks of the cache's type.
    #[error("the cache cannot hold heads of {head_dim} in blocks of {}, as {ty} has", ty.block_len())]
    CacheBlocks {
        /// The type.
        ty: DType,
        /// Elements of a head.
        head_dim: usize,
    },
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
            LowerError::NoModel(_)
                | LowerError::Architecture { .. }
                | LowerError::TensorType { .. }
                | LowerError::NotCarriedOut(_)
                | LowerError::UnusedTensors { .. }
                | LowerError::HomelessTensors { .. }
        )
    }
}

/// `tensor X has`, or `tensors X, Y and 3 more have`.
fn listed(names: &[String], more: usize, one: &str, many: &str) -> String {
    let (tensors, verb) = match names.len() + more {
        1 => ("tensor", one),
        _ => ("tensors", many),
    };
    format!("{tensors} {} {verb}", listed_names(names, more))
}

fn listed_names(names: &[String], more: usize) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match more {
        0 => quoted.join(", "),
        _ => format!("{} and {more} more", quoted.join(", ")),
    }
}
