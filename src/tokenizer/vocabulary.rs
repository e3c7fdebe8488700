//! The vocabulary as a file describes it.

use super::{TokenizerError, TokenizerWarning};

/// What a GGUF file says of its vocabulary, free of the file format.
///
/// The field comments name the metadata key that each value comes from.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// `tokenizer.ggml.model`: the algorithm; `gpt2` is byte-level BPE, `llama` SentencePiece.
    pub model: String,
    /// `tokenizer.ggml.pre`: the rule that cuts text into words. Empty if the file names none.
    pub pre: String,
    /// `tokenizer.ggml.tokens`: token texts by id, spelt in the byte alphabet.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.token_type`, by id: 0 undefined, 1 normal, 2 unknown,
    /// 3 control, 4 user-defined, 5 unused, 6 byte. Empty if the file has none;
    /// all tokens are normal then.
    pub token_types: Vec<i32>,
    /// `tokenizer.ggml.merges`: `left right`, the most urgent first.
    pub merges: Vec<String>,
    /// `tokenizer.ggml.scores`, by id: what SentencePiece merges by.
    pub scores: Vec<f32>,
    /// `tokenizer.ggml.add_space_prefix`: whether SentencePiece begins texts with a space more.
    pub space_prefix: bool,
    /// `tokenizer.ggml.bos_token_id`: begins a text.
    pub bos: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`: ends a text.
    pub eos: Option<u32>,
    /// `tokenizer.ggml.eot_token_id`: ends a turn.
    pub eot: Option<u32>,
    /// `tokenizer.ggml.eom_token_id`: ends a message.
    pub eom: Option<u32>,
    /// `tokenizer.ggml.padding_token_id`: fills unused places.
    pub pad: Option<u32>,
    /// `tokenizer.ggml.add_bos_token`: whether prompts begin with `bos`.
    pub add_bos: bool,
    /// What of these keys could not be read, and counts as missing.
    pub warnings: Vec<TokenizerWarning>,
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A run of bytes, made by merging.
    Normal,
    /// A mark for the model. It is recognised in text and printed only on
    /// request. Covers the unknown token, which llama.cpp treats alike.
    Control,
    /// A text added after training, always recognised and printed.
    UserDefined,
    /// A byte spelt `<0x41>`.
    Byte,
    /// A place filled so that the ids are without gaps; never printed.
    Unused,
}

impl Kind {
    fn from_gguf(value: i32) -> Option<Kind> {
        Some(match value {
            1 => Kind::Normal,
            2 | 3 => Kind::Control,
            4 => Kind::UserDefined,
            0 | 5 => Kind::Unused,
            6 => Kind::Byte,
            _ => return None,
        })
    }
}

impl Vocabulary {
    /// Unsets the ids of single keys that are beyond the vocabulary.
    pub(super) fn unset_ids(&mut self) -> Vec<TokenizerWarning> {
        let len = self.tokens.len();
        let keys = [
            ("tokenizer.ggml.bos_token_id", &mut self.bos),
            ("tokenizer.ggml.eos_token_id", &mut self.eos),
            ("tokenizer.ggml.eot_token_id", &mut self.eot),
            ("tokenizer.ggml.eom_token_id", &mut self.eom),
            ("tokenizer.ggml.padding_token_id", &mut self.pad),
        ];
        let beyond = keys.into_iter().filter_map(|(key, found)| {
            let id = found.take_if(|id| *id as usize >= len)?;
            let found = id.to_string();
            Some(TokenizerWarning::IdOutOfRange { key, found, len })
        });
        beyond.collect()
    }

    /// Checks that what prompts are to begin with is there.
    pub(super) fn check_bos(&self) -> Result<(), TokenizerError> {
        if self.add_bos && self.bos.is_none() {
            return Err(TokenizerError::MissingBos);
        }
        Ok(())
    }

    /// The kind of every token, as the file has it.
    pub(super) fn kinds(&self) -> Result<Vec<Kind>, TokenizerError> {
        let (tokens, types) = (self.tokens.len(), self.token_types.len());
        if types != 0 && types != tokens {
            return Err(TokenizerError::TokenTypeCount { tokens, types });
        }
        if types == 0 {
            return Ok(vec![Kind::Normal; tokens]);
        }
        (0u32..)
            .zip(&self.token_types)
            .map(|(id, &value)| {
                Kind::from_gguf(value).ok_or(TokenizerError::UnknownTokenType { id, value })
            })
            .collect()
    }
}
