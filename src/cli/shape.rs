//! What a session is compiled for: one place, so that `memory` works out what `run` takes.

use sharpi_compile::lower::{DraftVocabulary, LowerOptions};

use super::lower_args::LowerArgs;

/// The context, and how many tokens are drafted in front of it.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Tokens that prompt and text can have together.
    pub(super) context: usize,
    /// Most tokens in a draft; 0 without drafting.
    pub(super) drafts: usize,
}

impl Shape {
    /// Tokens of the run that verifies a draft: the one before it goes with it.
    fn width(self) -> usize {
        1 + self.drafts
    }

    /// What the graphs are lowered for.
    pub(super) fn lower(
        self,
        args: &LowerArgs,
        draft_vocabulary: Option<DraftVocabulary>,
    ) -> LowerOptions {
        let draft = self.drafts > 0;
        args.options(self.context, self.width())
            .draft(draft)
            .draft_vocabulary(draft_vocabulary.filter(|_| draft))
    }

    /// Tokens that can be taken back.
    pub(super) fn rollback(self) -> usize {
        if self.drafts > 0 { self.width() } else { 0 }
    }
}
