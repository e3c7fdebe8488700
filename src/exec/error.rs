//! What can be wrong with a run.

use std::ops::RangeInclusive;

use sharpi_ir::Symbol;
use sharpi_ir::plain::Plain;

use crate::ranks::ExchangeError;

/// Why a graph did not run; the session is as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The module has no such graph.
    #[error(
        "there is no graph `{}`, the module has: {}",
        Plain(name),
        sharpi_ir::plain::line(known)
    )]
    NoGraph {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// An input is missing, unknown, or of another type or length.
    #[error("input `{}` of graph `{}`: {message}", Plain(name), Plain(graph))]
    Input {
        /// The graph.
        graph: String,
        /// The input.
        name: String,
        /// What was found and what was expected.
        message: String,
    },
    /// The run does not start where the graph's states stand.
    #[error(
        "the run starts at position {start}, but graph `{}` has consumed {consumed} tokens",
        Plain(graph)
    )]
    Position {
        /// The graph.
        graph: String,
        /// First position of the run.
        start: usize,
        /// Tokens that its states have consumed.
        consumed: usize,
    },
    /// The context is full.
    #[error("position {position} is beyond the context of {context} tokens; ask for a larger one")]
    Context {
        /// Last position of the run.
        position: usize,
        /// Positions that the caches hold.
        context: usize,
    },
    /// A graph cannot go back there.
    #[error(
        "graph `{}` cannot go back to {tokens} tokens, only to none or {earliest} to {consumed}; save the session to come back to it",
        Plain(graph)
    )]
    Truncate {
        /// The graph.
        graph: String,
        /// How many tokens were to stay.
        tokens: usize,
        /// The fewest that can stay, but for none.
        earliest: usize,
        /// Tokens that it has consumed.
        consumed: usize,
    },
    /// A tentative run of too many tokens.
    #[error(
        "a run of {tokens} tokens cannot be taken back, at most {most}; open the session with a larger `rollback`"
    )]
    Tentative {
        /// Tokens of the run.
        tokens: usize,
        /// Most that it may have.
        most: usize,
    },
    /// A saved session that does not fit.
    #[error("the saved session does not fit: {0}")]
    Restore(&'static str),
    /// A session of another compiled model among those of a batch.
    #[error("a session of another compiled model cannot be in the run")]
    OtherModel,
    /// More tokens or rows than a run takes, or fewer.
    #[error("{symbol} is {count} in a run of graph `{graph}`, expected {} to {}", range.start(), range.end())]
    Width {
        /// The graph.
        graph: String,
        /// What is counted: `T` tokens, or `R` rows of logits.
        symbol: Symbol,
        /// How many there are.
        count: usize,
        /// How many there may be.
        range: RangeInclusive<usize>,
    },
    /// Another rank is in the way.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// A share of a model without those who have the others.
    #[error("this is one share of a model, and nobody has the others")]
    OneShare,
    /// A run was asked for by what looks on at a run.
    #[error("a run cannot be started from within a run of the same executor")]
    WithinRun,
    /// The worker threads could not be started.
    #[error("cannot start {threads} threads: {message}")]
    Threads {
        /// How many.
        threads: usize,
        /// What the system said.
        message: String,
    },
    /// A state cannot be held.
    #[error("a state of {bytes} bytes cannot be allocated; ask for a smaller context")]
    Memory {
        /// Bytes of the state.
        bytes: u128,
    },
}
