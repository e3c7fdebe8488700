//! GGUF model → typed op graphs: the trunk as `@trunk`, the multi-token-prediction head as `@mtp`.
//!
//! Graphs are lowered at primitive granularity; fusing is the passes' business. Values carry the
//! names that llama.cpp gives the same tensors, so that dumps line up.

mod account;
mod arch;
mod architecture;
mod attention;
mod block_kinds;
mod context;
mod deltanet;
mod draft_vocabulary;
mod error;
mod ffn;
mod file_kind;
mod hparams;
mod indexer;
mod keys;
mod known_keys;
mod mtp;
mod ngrams;
mod product;
mod rope;
mod routing;
mod separate_head;
mod source;
mod streams;
mod trunk;

pub use account::Note;
pub use arch::Arch;
#[cfg(feature = "tools")]
pub(crate) use arch::{FeedForward, MoeKind, Norms, Shared};
pub use architecture::Architecture;
pub use block_kinds::BlockKind;
pub use draft_vocabulary::DraftVocabulary;
pub use error::LowerError;
pub(crate) use file_kind::not_a_model;
pub use hparams::{DeltaNet, Experts, Hparams};
pub use indexer::Indexer;
pub use ngrams::Ngrams;
pub use routing::{Gating, Routing};
pub(crate) use separate_head::with_head;
pub use streams::Streams;

use sharpi_ir::{DType, Module, Symbols};

use crate::gguf::Gguf;
use source::Source;

/// The graph that every model has: ids to hidden states and logits.
pub const TRUNK: &str = "trunk";
/// The graph of the multi-token-prediction head.
pub const MTP: &str = "mtp";

/// Types that cached keys and values can have.
pub const CACHE_TYPES: [DType; 5] = [
    DType::F16,
    DType::BF16,
    DType::F32,
    DType::Q8_0,
    DType::Q4_0,
];

/// Their names, for people.
pub(crate) fn cache_type_names() -> String {
    CACHE_TYPES.map(DType::name).join(", ")
}

sharpi_passes::option_struct! {
    /// What the user chooses about the graphs; everything else comes from the file.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct LowerOptions {
        /// Element type of cached keys, one of [`CACHE_TYPES`].
        pub cache_k: DType = DType::F16,
        /// Element type of cached values, likewise.
        pub cache_v: DType = DType::F16,
        /// Most tokens in one run.
        pub max_tokens: usize = 512,
        /// Most rows of logits in one run.
        pub max_rows: usize = 16,
        /// Whether tokens may be drafted, if the file has a head for it. Without, only logits are
        /// wanted, and the end of the trunk is computed for their rows alone.
        pub draft: bool = true,
        /// Ids that the MTP head can draft; `None` for all. It makes drafting cheaper and changes no
        /// text, for the trunk verifies with all ids.
        pub draft_vocabulary: Option<DraftVocabulary> = None,
    }
}

/// Lowers a model of one of the [architectures](Arch::ALL): `@trunk` always, `@mtp` when the file
/// has a head and tokens may be drafted.
///
/// # Errors
/// Another architecture, a missing or unusable metadata key, a missing tensor, one of another
/// shape, or one of a type without a kernel; the error names it and what was expected. Whatever
/// the options, a tensor that nothing uses and a key whose value changes the result but is not
/// carried out.
pub fn lower(gguf: &Gguf, options: &LowerOptions) -> Result<Module, LowerError> {
    Ok(lower_and_account(gguf, options)?.0)
}

/// What is in a file that the computation does not use.
///
/// # Errors
/// As [`lower`].
pub fn notes(gguf: &Gguf) -> Result<Vec<Note>, LowerError> {
    Ok(lower_and_account(gguf, &LowerOptions::default())?.1)
}

fn lower_and_account(
    gguf: &Gguf,
    options: &LowerOptions,
) -> Result<(Module, Vec<Note>), LowerError> {
    for cache in [options.cache_k, options.cache_v] {
        if !CACHE_TYPES.contains(&cache) {
            return Err(LowerError::CacheType(cache));
        }
    }
    let source = Source::new(gguf);
    let hp = Hparams::of(&source)?;
    for ty in [options.cache_k, options.cache_v] {
        let head_dim = hp.head_dim;
        if !head_dim.is_multiple_of(ty.block_len()) {
            return Err(LowerError::CacheBlocks { ty, head_dim });
        }
    }
    let mut module = Module::new(hp.arch.name());
    let drafts = options.draft && hp.mtp_blocks > 0;
    let graph = trunk::lower(&source, &hp, options, &mut module.symbols, drafts)?;
    module.graphs.insert(TRUNK.into(), graph);
    if drafts {
        let graph = mtp::lower(&source, &hp, options, &mut module.symbols)?;
        module.graphs.insert(MTP.into(), graph);
    } else if hp.mtp_blocks > 0 {
        // What the file holds does not depend on what is asked of it.
        let options = LowerOptions {
            draft_vocabulary: None,
            ..options.clone()
        };
        mtp::lower(&source, &hp, &options, &mut Symbols::default())?;
    }
    let notes = account::left_over(&source, &hp)?;
    Ok((module, notes))
}
