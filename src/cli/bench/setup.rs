//! What the rows of a test differ in besides the test.

use serde::Serialize;
use sharpi_compile::lower::{DraftVocabulary, LowerOptions};

use super::super::lower_args::CacheType;

/// How the model is compiled and run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Setup {
    pub(super) n_batch: usize,
    pub(super) n_threads: usize,
    pub(super) type_k: CacheType,
    pub(super) type_v: CacheType,
}

impl Setup {
    /// Whether one compiled model does for both.
    pub(super) fn same_graphs(&self, other: &Setup) -> bool {
        let key = |s: &Setup| (s.n_batch, s.type_k, s.type_v);
        key(self) == key(other)
    }

    /// Options for graphs that read no more than `context` tokens of a sequence at once, and give
    /// logits for `rows` of them; whether they draft.
    pub(super) fn lower(
        &self,
        context: usize,
        (rows, drafts): (usize, bool),
        draft_vocabulary: Option<DraftVocabulary>,
    ) -> LowerOptions {
        LowerOptions::default()
            .cache_k(self.type_k.dtype())
            .cache_v(self.type_v.dtype())
            .max_tokens(self.n_batch.min(context).max(rows))
            .max_rows(rows)
            .draft(drafts)
            .draft_vocabulary(draft_vocabulary)
    }
}
