//! Why a graph cannot be evaluated.

use std::fmt;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalError {
    /// The graph, and the line of the op or the name of the input.
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

impl EvalError {
    pub(crate) fn new(place: impl Into<String>, message: impl Into<String>) -> EvalError {
        let (place, message) = (place.into(), message.into());
        EvalError { place, message }
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for EvalError {}
