//! What is wrong with a vocabulary and does no harm.

use std::fmt;

use sharpi_ir::plain::Plain;

/// Something in a vocabulary that is ignored or assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenizerWarning {
    /// No word rule is named.
    NoPreTokenizer {
        /// The rule that is taken.
        assumed: &'static str,
    },
    /// A key holds no id of the vocabulary, and counts as missing.
    IdOutOfRange {
        /// The GGUF key.
        key: &'static str,
        /// What it holds.
        found: String,
        /// Number of tokens.
        len: usize,
    },
    /// Bytes that texts can have and that no token stands for; SmolLM2 has no use for some.
    BytesWithoutToken {
        /// How many.
        count: usize,
        /// The first of them.
        first: u8,
    },
    /// Merges of, or into, what is no token: none of those is ever an id.
    MergesWithoutToken {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
}

impl fmt::Display for TokenizerWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenizerWarning::NoPreTokenizer { assumed } => write!(
                f,
                "`tokenizer.ggml.pre` is missing: text is cut into words as by `{assumed}`"
            ),
            TokenizerWarning::IdOutOfRange { key, found, len } => write!(
                f,
                "`{key}` is {found}, and the vocabulary has ids below {len}: it is ignored"
            ),
            TokenizerWarning::BytesWithoutToken { count, first } => write!(
                f,
                "no token stands for {count} of the bytes that a text can have, the first is \
                 {first:#04x}: such bytes are left out of a prompt"
            ),
            TokenizerWarning::MergesWithoutToken { count, first } => write!(
                f,
                "{count} of the merges need a token that the vocabulary does not have, the first \
                 is `{}`",
                Plain(first)
            ),
        }
    }
}
