//! What a sequence is asked for and what it gives.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

sharpi_passes::option_struct! {
    /// When to stop, and what to tell about each token.
    #[derive(Clone, Debug)]
    pub struct GenerateOptions {
        /// Tokens to generate; `None` for as many as the context holds.
        pub max_tokens: Option<usize> = None,
        /// Most tokens fed in one run; no more than the executable takes are fed either way.
        pub batch: usize = 512,
        /// Tokens that end a text.
        pub end_of_text: Vec<u32> = Vec::new(),
        /// Never choose a token that ends a text.
        pub ignore_eos: bool = false,
        /// How many of the best logits come with each token.
        pub logits_top: usize = 0,
        /// Whether each token comes with the hash of the logits that it was chosen from.
        pub hash_logits: bool = false,
        /// Stops the generator when set, from another thread too.
        pub cancel: Arc<AtomicBool> = Arc::default(),
    }
}

/// A generated token.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// The token.
    pub id: u32,
    /// The best logits that the trunk gave, those of tokens never to be chosen left out: the best
    /// first, the lower id first on a tie.
    pub top: Vec<(u32, f32)>,
    /// The logarithm of the probability that the trunk gave the token, before penalties and filters;
    /// 0 where no best logits were asked for.
    pub logprob: f32,
    /// What the logits of [`Token::top`] exceed logarithms of probabilities by.
    pub log_sum: f32,
    /// The hash of the logits that it was chosen from, if that was asked for.
    pub logits_hash: Option<LogitsHash>,
}

/// The BLAKE3 hash of a row of logits as the trunk gave it: 32-bit floats in the order of ids,
/// little-endian.
pub type LogitsHash = [u8; 32];

/// Why there are no more tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// This token, which ends a text, was chosen; it is not among the tokens yielded.
    EndOfText(u32),
    /// As many tokens as asked for.
    Length,
    /// The session's context is full.
    Context,
    /// This of the strings that end a text came up; it is not part of the text.
    StopString(usize),
    /// The cancel flag is set, or nobody listens any more.
    Cancelled,
    /// The time allowed is over.
    Deadline,
    /// A run failed; the error was yielded.
    Failed,
}

/// Says which tokens may be chosen: a grammar, for one.
pub trait Mask {
    /// Sets the logits of tokens that must not follow to minus infinity. `generated` are the tokens
    /// behind the prompt; of one call to the next it may become shorter or other, as drafts are
    /// tried. `ids` are those of the logits, if not those from 0 on.
    ///
    /// # Errors
    /// Why that cannot be said; it is the end of the sequence, and of no other.
    fn apply(
        &mut self,
        generated: &[u32],
        ids: Option<&[u32]>,
        logits: &mut [f32],
    ) -> Result<(), MaskError>;
}

/// Where a token has its logit among those of `ids`, or of all ids from 0 on.
#[cfg(feature = "guide")]
pub(crate) fn place_of(id: u32, ids: Option<&[u32]>) -> Option<usize> {
    match ids {
        None => Some(id as usize),
        Some(ids) => ids.iter().position(|other| *other == id),
    }
}

/// Why a mask cannot say which tokens may follow.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct MaskError(pub String);
