//! What a template may use, for it is an unknown hand's program.

use minijinja::{Error, ErrorKind};

use super::conversation::Conversation;
use super::marks::MarksUsedUp;

/// Of a prompt, in bytes, beside what the conversation itself has.
pub(super) const MAX_OUTPUT: usize = 8 << 20;

/// Of the template's source, in bytes.
pub(super) const MAX_SOURCE: usize = 1 << 20;

/// Of the words and signs between `{{` and `}}` or `{%` and `%}`. What reads them
/// takes stack for each operator of a chain.
pub(super) const MAX_TOKENS: usize = 1_000;

/// Loops, macros and blocks within each other. A call of a macro counts four.
pub(super) const MAX_RECURSION: usize = 200;

/// Steps for a conversation of nothing. A step is an instruction or the making of 64
/// bytes, so a template takes 32 MB at most and a fraction of a second.
const STEPS: u64 = 500_000;

/// Further steps for each message, tool and variable, and for each byte of text.
/// Real templates take some hundreds a message, and four bytes for a marked byte.
const STEPS_AN_ITEM: u64 = 5_000;
const STEPS_A_BYTE: u64 = 2;

/// The steps that a template has to render a conversation.
pub(super) fn steps(conversation: &Conversation) -> u64 {
    let items = conversation.messages.len() + conversation.tools.len();
    let items = items + conversation.variables.len();
    STEPS + STEPS_AN_ITEM * items as u64 + STEPS_A_BYTE * conversation.bytes() as u64
}

/// The stack that a template of so many steps may need: it takes three steps to put a
/// value within another, and dropping it takes stack for each.
pub(super) fn stack(steps: u64) -> usize {
    (16 << 20) + 128 * usize::try_from(steps).unwrap_or(usize::MAX / 256)
}

/// The error of a value that is nested too deep to be walked.
pub(super) fn too_deep() -> Error {
    let depth = super::python::MAX_DEPTH;
    let reason = format!("a value is nested deeper than {depth} levels");
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// The error of a text that has no marks.
pub(super) fn marks_used_up(error: MarksUsedUp) -> Error {
    Error::new(ErrorKind::InvalidOperation, error.to_string())
}

/// Pays for `bytes` that a filter or a method makes beyond what the engine sees.
pub(super) fn pay(state: &minijinja::State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(bytes as u64 / 64 + 1)
}
