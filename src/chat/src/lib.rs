//! Conversations as text, and answers as what is in them.
//!
//! A model reads and writes one text. What makes a conversation of it is its
//! *template*, a Jinja program in the model's file, and the *form of its answers*:
//! reasoning between marks, calls of tools in a syntax of their own.
//!
//! - [`Template`] renders messages and tools to a [`Prompt`], which knows of every
//!   character whether the template or somebody else wrote it.
//! - [`AnswerParser`] takes an answer apart while it is being written.
//!
//! Nothing here knows of tokens or of HTTP.

pub mod answer;
pub mod json;
pub mod template;

pub use answer::{AnswerFormat, AnswerParser, Piece, ToolForm};
pub use json::Json;
pub use template::{Prompt, Segment, Template, TemplateError};
