//! Answers of a model, taken apart while they are being written.
//!
//! An answer is reasoning between `<think>` and `</think>`, content, and calls of tools
//! in the form that the template shows to the model. [`AnswerParser`] is given the text
//! as it comes and gives back [`Piece`]s; however the text is cut, the pieces are the
//! same after neighbours of one kind are joined. A character is held back only while it
//! may be part of a mark, and of a call while it is not certain that it is one.
//!
//! Nothing is an error. Text that looks like a call and breaks its form is what it was
//! before: content, or reasoning. Line breaks around marks belong to the marks.

mod format;
mod function_call;
mod json_call;
mod marks;
mod parser;
mod schema;
#[cfg(test)]
mod tests;

pub use format::{AnswerFormat, ToolForm};
pub use parser::AnswerParser;

/// What comes out of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Piece {
    /// More of what the model thinks.
    Reasoning(String),
    /// More of what it says.
    Content(String),
    /// It calls a tool. Calls are counted from 0.
    ToolCallBegin {
        /// Which call.
        index: usize,
        /// The tool.
        name: String,
    },
    /// More of a call's arguments, a JSON object as text.
    ToolCallArguments {
        /// Which call.
        index: usize,
        /// What comes next of the text.
        delta: String,
    },
    /// A call is complete. One that is not, because the answer ended or its form broke
    /// behind the name, has no end, and its arguments stay open.
    ToolCallEnd {
        /// Which call.
        index: usize,
    },
}
