//! How far those that run have come.

use std::sync::Arc;

use crate::sampling::SamplerOptions;

/// A request that runs, as of the last step.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// The number of the request among all that were handed in.
    pub request: u64,
    /// Its place among those that run at a time: it keeps it, and no other has it.
    pub slot: usize,
    /// Positions that it may take, prompt and answer together.
    pub context: usize,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that are done, those remembered included.
    pub prompt_done: usize,
    /// Those of them that were remembered.
    pub remembered_tokens: usize,
    /// Tokens generated.
    pub generated_tokens: usize,
    /// Most tokens to be generated; `None` for as many as there is room for.
    pub max_tokens: Option<usize>,
    /// Most tokens that it drafts at once.
    pub drafts: usize,
    /// How its tokens are chosen.
    pub sampler: Arc<SamplerOptions>,
}
