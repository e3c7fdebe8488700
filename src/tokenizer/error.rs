//! What can be wrong with a vocabulary.

use sharpi_ir::plain::Plain;

/// A vocabulary that cannot be used, and what would have been accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
    /// A metadata key without which there is no vocabulary is not there.
    #[error("`{key}` is missing; expected {expected}")]
    MissingKey {
        /// The GGUF key.
        key: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A metadata key holds a value of another type.
    #[error("`{key}` is {found}; expected {expected}")]
    BadKey {
        /// The GGUF key.
        key: &'static str,
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// `tokenizer.ggml.model` names an algorithm there is no code for.
    #[error(
        "unknown tokenizer model `{}`; accepted are `gpt2` (byte-level BPE) and `llama` \
         (SentencePiece)",
        Plain(model)
    )]
    UnknownModel {
        /// The name in the file.
        model: String,
    },
    /// `tokenizer.ggml.pre` names a word rule there is no code for.
    #[error(
        "unknown pre-tokenizer `{}`; accepted are `qwen2`, `qwen35`, `llama-bpe`, `gpt-2`, `smollm`, \
         `glm4`, and the other names that llama.cpp has for these",
        Plain(pre)
    )]
    UnknownPreTokenizer {
        /// The name in the file.
        pre: String,
    },
    /// The lists of tokens and of their types differ in length.
    #[error(
        "{types} token types for {tokens} tokens; accepted is one type for each token, or no types"
    )]
    TokenTypeCount {
        /// Number of tokens.
        tokens: usize,
        /// Number of types.
        types: usize,
    },
    /// A token type outside the format's enumeration.
    #[error(
        "token {id} has type {value}; accepted are 0 undefined, 1 normal, 2 unknown, 3 control, \
         4 user-defined, 5 unused, 6 byte"
    )]
    UnknownTokenType {
        /// The token.
        id: u32,
        /// Its type in the file.
        value: i32,
    },
    /// Two tokens share one text, so the text has no single id.
    #[error(
        "tokens {first} and {second} are both `{}`; every token needs a text of its own",
        Plain(text)
    )]
    DuplicateToken {
        /// The text they share.
        text: String,
        /// The lower id.
        first: u32,
        /// The higher id.
        second: u32,
    },
    /// A token of type byte whose text names no byte.
    #[error(
        "byte token {id} is `{}`; accepted are `<0x00>` to `<0xFF>`",
        Plain(text)
    )]
    MalformedByteToken {
        /// The token.
        id: u32,
        /// Its text.
        text: String,
    },
    /// The lists of tokens and of their scores differ in length.
    #[error("{scores} scores for {tokens} tokens; accepted is one score for each token")]
    ScoreCount {
        /// Number of tokens.
        tokens: usize,
        /// Number of scores.
        scores: usize,
    },
    /// No token of type byte stands for this byte, so some texts have no encoding.
    #[error("no byte token `<0x{byte:02X}>`; every one of the 256 bytes needs one")]
    MissingByteToken {
        /// The byte.
        byte: u8,
    },
    /// A merge that is not two parts with one space between.
    #[error(
        "merge {rank} is `{}`; accepted are two tokens with a space between them",
        Plain(merge)
    )]
    MalformedMerge {
        /// Place in the list of merges, from 0.
        rank: usize,
        /// The merge in the file.
        merge: String,
    },
    /// A key asks for what is not done.
    #[error("`{key}` is {found}; it changes the text, and is not carried out")]
    NotCarriedOut {
        /// The GGUF key.
        key: &'static str,
        /// What it holds.
        found: String,
    },
    /// BOS is wanted in front of every prompt but not named.
    #[error(
        "`tokenizer.ggml.add_bos_token` is true; it needs a `tokenizer.ggml.bos_token_id` as well"
    )]
    MissingBos,
}

impl TokenizerError {
    /// Whether the vocabulary is sound but of a kind that is not supported.
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self,
            TokenizerError::UnknownModel { .. }
                | TokenizerError::UnknownPreTokenizer { .. }
                | TokenizerError::NotCarriedOut { .. }
        )
    }
}
