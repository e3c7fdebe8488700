//! Chat templates: Jinja programs that make a prompt of a conversation.
//!
//! # Who wrote a character
//!
//! A prompt says `<|im_end|>` where a message ends, and a user may type the same ten
//! characters. Only the first may become a control token, so a prompt has to know who
//! wrote each of its characters, after everything that a template does with strings:
//! cutting, trimming, splitting, replacing, joining, capturing, JSON.
//!
//! Every character of untrusted text is therefore replaced by a *mark* before the
//! template runs, one character that nobody uses for one (`marks`), and comes back
//! afterwards. The engine moves marks around as the characters that they are. What
//! makes this sound is that the proof needs nothing of the engine: a mark cannot turn
//! into a character of the template by being moved, so whatever is unmarked in the end
//! is the template's, even where a filter has been forgotten. Other ways were weighed:
//!
//! - Something put *between* the characters of special tokens has to know all of those,
//!   breaks lengths and slices, and hides `</think>` from the templates that look for
//!   it. Strings from two fields that only together are a token escape it.
//! - A value of one's own that carries ranges is no string to the engine: `+`, `in`,
//!   `is string` refuse it, and every place that prints it forgets the ranges, silently.
//! - The engine's own flag for safe strings is one bit for a whole string, and most
//!   strings that a template prints are of both kinds.
//!
//! The price of marks is that whoever looks *at* characters has to look through them:
//! comparisons (`operators`), methods (`methods`), filters and tests (`filters`,
//! `tojson`), printing (`python`). One that is forgotten gives a wrong text, never a
//! wrong trust. Those that still compare marks: `sort`, `dictsort`, `groupby`, `unique`,
//! `min` and `max`, where untrusted text meets the template's own or case matters.
//!
//! Not marked are roles that every template knows, the texts of tokens, numbers, and
//! names of fields that are not the client's. What `tojson` makes is marked throughout.

mod conversation;
mod error;
mod filters;
mod functions;
mod generation;
mod limits;
mod marks;
mod methods;
pub mod named;
mod operators;
mod prompt;
mod python;
mod render;
mod strings;
mod tojson;
#[cfg(test)]
mod trust_tests;
mod values;

pub use conversation::{Content, Conversation, FunctionCall, Message, ToolCall};
pub use error::{Place, TemplateError};
pub use prompt::{Prompt, Segment};

use std::sync::Arc;

use render::Program;

/// A chat template, read and found well-formed.
#[derive(Debug, Clone)]
pub struct Template {
    program: Arc<Program>,
    reads_parts: bool,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] with the place in the source, also for tags that reach
    /// for other files (`include`, `import`, `extends`), and for a source that is too long.
    pub fn parse(source: &str) -> Result<Template, TemplateError> {
        if source.len() > limits::MAX_SOURCE {
            let bytes = source.len();
            return Err(TemplateError::SourceTooLong { bytes });
        }
        let source = generation::as_blocks(source).into_owned();
        let reads_parts = reads_parts(&source);
        Ok(Template {
            program: Arc::new(Program::compile(source)?),
            reads_parts,
        })
    }

    /// The template of this name, one of [`named::names`].
    pub fn named(name: &str) -> Option<Template> {
        Template::parse(named::source(name)?).ok()
    }

    /// The prompt for a conversation. Templates without code for content in parts get
    /// parts of text as one text.
    ///
    /// # Errors
    /// What the template refuses ([`TemplateError::Raised`], the client's fault), where
    /// it fails, and when it takes too much.
    pub fn render(&self, conversation: &Conversation) -> Result<Prompt, TemplateError> {
        render::render(&self.program, self.reads_parts, conversation)
    }
}

/// Whether a template tells content in parts from text.
fn reads_parts(source: &str) -> bool {
    const SIGNS: &[&str] = &[
        "content is string",
        "content is not string",
        "content is iterable",
        "content is sequence",
        "content is mapping",
        "['type']",
        "[\"type\"]",
        ".type ==",
    ];
    SIGNS.iter().any(|sign| source.contains(sign))
}
