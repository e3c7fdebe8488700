//! GGUF model → typed op graphs: the trunk as `@trunk`, the multi-token-prediction head as `@mtp`.
//!
//! Graphs are lowered at primitive granularity; fusing is the passes' business. Values carry the
//! names that llama.cpp gives the same tensors, so that dumps line up.

mod attention;
mod context;
mod deltanet;
mod draft_vocabulary;
mod error;
mod ffn;
mod hparams;
mod mtp;
mod trunk;

pub use draft_vocabulary::DraftVocabulary;
pub use error::LowerError;
pub use hparams::{Arch, BlockKind, DeltaNet, Experts, Hparams};

use sharpi_ir::{DType, Module};

use crate::gguf::Gguf;

/// What the user chooses about the graphs; everything else comes from the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowerOptions {
    /// Element type of cached keys: f16, bf16 or f32.
    pub cache_k: DType,
    /// Element type of cached values: f16, bf16 or f32.
    pub cache_v: DType,
    /// Most tokens in one run.
    pub max_tokens: usize,
    /// Most rows of logits in one run.
    pub max_rows: usize,
    /// Whether tokens may be drafted, if the file has a head for it. Without, only logits are
    /// wanted, and the end of the trunk is computed for their rows alone.
    pub draft: bool,
    /// Ids that the MTP head can draft; `None` for all. It makes drafting cheaper and changes no
    /// text, for the trunk verifies with all ids.
    pub draft_vocabulary: Option<DraftVocabulary>,
}

impl Default for LowerOptions {
    fn default() -> LowerOptions {
        LowerOptions {
            cache_k: DType::F16,
            cache_v: DType::F16,
            max_tokens: 512,
            max_rows: 16,
            draft: true,
            draft_vocabulary: None,
        }
    }
}

/// Lowers a model of architecture `qwen35` or `qwen35moe`: `@trunk` always, `@mtp` when the file
/// has a head (`nextn_predict_layers` is 1) and tokens may be drafted.
///
/// # Errors
/// Another architecture, a missing or unusable metadata key, a missing tensor, one of another
/// shape, or one of a type without a kernel; the error names it and what was expected.
pub fn lower(gguf: &Gguf, options: &LowerOptions) -> Result<Module, LowerError> {
    for cache in [options.cache_k, options.cache_v] {
        if ![DType::F32, DType::F16, DType::BF16].contains(&cache) {
            return Err(LowerError::CacheType(cache));
        }
    }
    let hp = Hparams::read(gguf)?;
    let mut module = Module::new(hp.arch.name());
    let head = options.draft && hp.mtp_blocks > 0;
    let graph = trunk::lower(gguf, &hp, options, &mut module.symbols, head)?;
    module.graphs.insert("trunk".into(), graph);
    if head {
        let graph = mtp::lower(gguf, &hp, options, &mut module.symbols)?;
        module.graphs.insert("mtp".into(), graph);
    }
    Ok(module)
}
