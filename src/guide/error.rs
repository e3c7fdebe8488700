//! Why a text cannot be held to a grammar.

/// Why a text cannot be held to a grammar.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuideError {
    /// The grammar is wrong, or asks for what cannot be done; the message names the place.
    #[error("{0}")]
    Invalid(String),
    /// The grammar is larger than is compiled for anybody.
    #[error("{what} is too large: {found} {unit}, {most} are allowed; split it, or say less")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How large it is.
        found: usize,
        /// Of what.
        unit: &'static str,
        /// The most allowed.
        most: usize,
    },
    /// No text could ever end.
    #[error("the vocabulary has no token that ends a text, so a grammar could not end either")]
    NoEnd,
    /// The vocabulary does not fit the tables of the parser.
    #[error("the vocabulary cannot be searched: {0}")]
    Vocabulary(String),
}
