//! Which ids the MTP head drafts.

use sharpi_ir::RowSet;

use super::{Hparams, LowerError};
use crate::gguf::{Array, Gguf};

/// `tokenizer.ggml.token_type` of ordinary tokens.
const NORMAL: i64 = 1;

/// Ids that the MTP head can draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DraftVocabulary {
    /// So many of the lowest, which in a byte-pair vocabulary are the most frequent. Special
    /// tokens at the end of the vocabulary are not among them, however many are asked for.
    First(usize),
    /// These, in whatever order.
    Ids(Vec<u32>),
}

impl DraftVocabulary {
    /// The rows of the head.
    pub(super) fn rows(&self, gguf: &Gguf, hp: &Hparams) -> Result<RowSet, LowerError> {
        let rows = match self {
            DraftVocabulary::First(count) => RowSet::first((*count).min(ordinary(gguf, hp))),
            DraftVocabulary::Ids(ids) => ids.iter().map(|id| *id as usize).collect(),
        };
        let fault = |found: String| {
            let last = hp.vocabulary - 1;
            Err(LowerError::DraftVocabulary { found, last })
        };
        match rows.last() {
            None => fault("from a vocabulary of no ids".into()),
            Some(id) if id >= hp.vocabulary => fault(format!("id {id}")),
            Some(_) => Ok(rows),
        }
    }
}

/// Ids before the special tokens, or what only fills the vocabulary up, at its end.
fn ordinary(gguf: &Gguf, hp: &Hparams) -> usize {
    let types = gguf.get("tokenizer.ggml.token_type");
    let Some(types) = types.and_then(|value| value.as_array()) else {
        return hp.vocabulary;
    };
    let is_ordinary = |id: usize| {
        let ty = Array::get(types, id).and_then(|ty| ty.as_i64());
        ty == Some(NORMAL)
    };
    (0..hp.vocabulary)
        .rev()
        .find(|id| is_ordinary(*id))
        .map_or(0, |last| last + 1)
}
