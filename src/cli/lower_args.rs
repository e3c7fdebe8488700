//! What decides the shape of the graphs.

use std::num::NonZeroUsize;

use clap::ValueEnum;
use serde::Serialize;
use sharpi_compile::lower::LowerOptions;
use sharpi_ir::DType;

#[derive(clap::Args)]
pub(super) struct LowerArgs {
    /// Most tokens of the prompt to feed at once
    #[arg(short, long, value_name = "N", default_value = "512")]
    batch_size: NonZeroUsize,
    /// The same, as llama.cpp names it: the smaller of the two counts; also -ub
    #[arg(long, value_name = "N")]
    ubatch_size: Option<NonZeroUsize>,
    /// Type of the cached keys; also -ctk
    #[arg(long, value_name = "TYPE", default_value = "f16")]
    cache_type_k: CacheType,
    /// Type of the cached values; also -ctv
    #[arg(long, value_name = "TYPE", default_value = "f16")]
    cache_type_v: CacheType,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CacheType {
    F16,
    Bf16,
    F32,
    #[value(name = "q8_0")]
    #[serde(rename = "q8_0")]
    Q8_0,
    #[value(name = "q4_0")]
    #[serde(rename = "q4_0")]
    Q4_0,
}

impl CacheType {
    pub(super) fn dtype(self) -> DType {
        match self {
            CacheType::F16 => DType::F16,
            CacheType::Bf16 => DType::BF16,
            CacheType::F32 => DType::F32,
            CacheType::Q8_0 => DType::Q8_0,
            CacheType::Q4_0 => DType::Q4_0,
        }
    }
}

impl LowerArgs {
    /// Most tokens of the prompt to feed at once.
    pub(super) fn batch_size(&self) -> usize {
        let most = self.batch_size;
        self.ubatch_size.unwrap_or(most).min(most).get()
    }

    /// Options for graphs that read no more than `context` tokens at once, and give logits for
    /// `rows` of them.
    pub(super) fn options(&self, context: usize, rows: usize) -> LowerOptions {
        LowerOptions::default()
            .cache_k(self.cache_type_k.dtype())
            .cache_v(self.cache_type_v.dtype())
            .max_tokens(self.batch_size().max(rows).min(context))
            .max_rows(rows)
    }
}
