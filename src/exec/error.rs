//! What can be wrong with a run.

/// Why a graph did not run; the session is as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The module has no such graph.
    #[error("there is no graph `{name}`, the module has: {known}")]
    NoGraph {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// An input is missing, unknown, or of another type or length.
    #[error("input `{name}` of graph `{graph}`: {message}")]
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
        "the run starts at position {start}, but graph `{graph}` has consumed {consumed} tokens"
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
    /// A graph cannot go back.
    #[error(
        "graph `{graph}` cannot go back to {tokens} tokens: it has consumed fewer, or keeps a recurrent state"
    )]
    Truncate {
        /// The graph.
        graph: String,
        /// How many tokens were to stay.
        tokens: usize,
    },
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
