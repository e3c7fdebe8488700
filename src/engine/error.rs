//! Why no token could be generated.

use super::MaskError;
use crate::RunError;

/// Why no token could be generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// There is nothing to continue.
    #[error("the prompt is empty, expected at least one token")]
    EmptyPrompt,
    /// The prompt alone does not fit.
    #[error("the prompt has {tokens} tokens, the context has room for {room}")]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens that the context can still take.
        room: usize,
    },
    /// An id that no row of the model's table belongs to.
    #[error("token id {id} is outside the model's vocabulary, expected 0 to {}", vocabulary - 1)]
    UnknownId {
        /// The id.
        id: u32,
        /// Number of ids.
        vocabulary: usize,
    },
    /// The logits leave nothing to choose from.
    #[error("every logit at position {position} is excluded or not a number")]
    NoChoice {
        /// Position of the token that was to be chosen.
        position: usize,
    },
    /// The executable has no graph `trunk` from ids to logits.
    #[error("the executable has no graph `trunk` with `logits` of a fixed width")]
    NoTrunk,
    /// The trunk forgets every token.
    #[error("the graph `trunk` keeps no state, so a text cannot be continued with it")]
    NoState,
    /// The model cannot draft.
    #[error("the model has no MTP head to draft with")]
    NoHead,
    /// The drafter would lack the hidden states of tokens before it.
    #[error("drafting starts with a session that has seen no token; reset it or open a new one")]
    LateDrafter,
    /// The session holds tokens that are no part of the prompt.
    #[error("the session has seen tokens already; reset it or open a new one")]
    UsedSession,
    /// What chooses tokens panicked: a mask, as a rule.
    #[error("choosing a token failed: {0}")]
    Panicked(String),
    /// A mask does not know what may follow.
    #[error("the text can no longer be held to its form: {0}")]
    Mask(#[from] MaskError),
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// More requests than the engine lets wait.
    #[error("{0} requests are waiting already; try again later")]
    QueueFull(usize),
    /// A request whose states and caches are larger than all memory for sequences.
    #[error("the request takes {needed} bytes of states and caches, {budget} are allowed in all")]
    TooLarge {
        /// What it takes.
        needed: u128,
        /// What all sequences together may take.
        budget: u128,
    },
    /// The engine takes no more requests.
    #[error("the engine has been stopped")]
    Stopped,
}
