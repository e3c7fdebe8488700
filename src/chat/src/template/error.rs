//! What can be wrong with a template, or with a conversation for it.

use std::error::Error as _;
use std::fmt;

use minijinja::{Error, ErrorKind};
use sharpi_ir::plain;

use super::functions::Raised;
use super::limits::{MAX_OUTPUT, MAX_SOURCE, MAX_TOKENS};
use super::marks::Marks;

/// Most bytes of what a template says through `raise_exception`.
const MOST_RAISED: usize = 1000;

/// A place in a template's source, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character within the line, where the engine knows it.
    pub column: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        match self.column {
            Some(column) => write!(f, ", column {column}"),
            None => Ok(()),
        }
    }
}

/// Why there is no prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The source is no template.
    #[error("chat template{}: {reason}", At(.place))]
    Syntax {
        /// Where it goes wrong.
        place: Option<Place>,
        /// What is wrong, in one line.
        reason: String,
    },
    /// The source is longer than any template.
    #[error("chat template of {bytes} bytes; accepted are {MAX_SOURCE} at most")]
    SourceTooLong {
        /// Its length.
        bytes: usize,
    },
    /// An expression is longer than any template's.
    #[error("chat template, {place}: an expression of more than {MAX_TOKENS} words and signs")]
    ExpressionTooLong {
        /// Where the word is that is one too many.
        place: Place,
    },
    /// The template fails at this conversation.
    #[error("chat template{}: {reason}", At(.place))]
    Render {
        /// Where.
        place: Option<Place>,
        /// Why, in one line.
        reason: String,
    },
    /// The template refuses the conversation, by `raise_exception`: what is sent is
    /// to be changed.
    #[error("the chat template refuses the conversation: {message}")]
    Raised {
        /// Where.
        place: Option<Place>,
        /// What it says.
        message: String,
    },
    /// The template does more work than any conversation of this size needs.
    #[error("chat template{}: it takes too many steps or too much memory", At(.place))]
    TooMuchWork {
        /// Where it was stopped.
        place: Option<Place>,
    },
    /// The prompt is too long.
    #[error(
        "the chat template makes a prompt of {bytes} bytes; accepted are {} MiB beside \
         what the conversation has itself",
        MAX_OUTPUT >> 20
    )]
    OutputTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The system gives no thread to render in.
    #[error("the chat template cannot be rendered: {reason}")]
    NoThread {
        /// What it says.
        reason: String,
    },
    /// The conversation has more different characters than can be kept apart.
    #[error("the conversation has too many different characters")]
    TooManyCharacters,
}

struct At<'p>(&'p Option<Place>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(place) => write!(f, ", {place}"),
            None => Ok(()),
        }
    }
}

impl TemplateError {
    /// The engine's error when it reads `source`.
    pub(super) fn syntax(error: &Error, source: &str) -> TemplateError {
        TemplateError::Syntax {
            place: place(error, source),
            reason: reason(error, None),
        }
    }

    /// The engine's error when it renders `source`.
    pub(super) fn render(error: &Error, source: &str, marks: &Marks) -> TemplateError {
        let place = place(error, source);
        if let Some(raised) = raised(error) {
            let mut message = plain::lines(&marks.plain(&raised.0));
            plain::shorten(&mut message, MOST_RAISED);
            return TemplateError::Raised { place, message };
        }
        if chain(error).any(|error| error.kind() == ErrorKind::OutOfFuel) {
            return TemplateError::TooMuchWork { place };
        }
        TemplateError::Render {
            place,
            reason: reason(error, Some(marks)),
        }
    }
}

/// An error and what it comes from, as far as they are the engine's.
fn chain(error: &Error) -> impl Iterator<Item = &Error> {
    std::iter::successors(Some(error), |&error| error.source()?.downcast_ref())
}

fn raised(error: &Error) -> Option<&Raised> {
    chain(error).find_map(|error| error.source()?.downcast_ref())
}

/// The innermost place: an error in a macro is at home there, not at the call.
fn place(error: &Error, source: &str) -> Option<Place> {
    let error = chain(error).filter(|error| error.line().is_some()).last()?;
    let line = error.line()?;
    let column = error.range().and_then(|range| {
        let before = source.get(..range.start)?;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        Some(before[start..].chars().count() + 1)
    });
    Some(Place { line, column })
}

fn reason(error: &Error, marks: Option<&Marks>) -> String {
    let error = chain(error).last().unwrap_or(error);
    let reason = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    let reason = marks.map_or(reason.clone(), |marks| marks.plain(&reason).into_owned());
    plain::line(&reason)
}
