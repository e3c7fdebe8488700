//! Texts held to a grammar: a JSON schema, a regular expression, or a grammar in Lark's or llama.cpp's
//! notation.
//!
//! A [`GuideVocabulary`] is made once for a tokenizer. A [`Plan`] says which [`Grammar`] holds from
//! where on; compiled for a vocabulary it is a [`Guide`], of which each text gets a mask of its own
//! ([`Guide::mask`]). A [`Form`] is all that holds an answer: a plan, and a bound of its reasoning. The
//! parser is llguidance's.
//!
//! Control and other added tokens are no text: a grammar never means them unless it names them. At the
//! end of a grammar the tokens that end a text may follow, and no others.

mod budget;
mod error;
mod form;
mod gbnf;
mod grammar;
#[expect(clippy::module_inception, reason = "the guide itself")]
mod guide;
mod limits;
mod mark;
mod mask;
mod place;
mod tool_text;
mod tools;
mod vocabulary;

pub use budget::ReasoningBudget;
pub use error::GuideError;
pub use form::Form;
pub use grammar::Grammar;
pub use guide::{Guide, Plan};
pub use tools::ToolCalls;
pub use vocabulary::GuideVocabulary;
