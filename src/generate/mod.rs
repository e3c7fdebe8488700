//! From a session to text: the loop that feeds tokens and chooses the next.
//!
//! A [`Generator`] owns a [`Session`](crate::Session) and a [`Sampler`] and yields one [`Token`]
//! at a time. It knows ids and logits only; text is the tokenizer's business.

mod best;
mod error;
mod generator;
mod sampler;

pub use error::GenerateError;
pub use generator::{GenerateOptions, Generator, StopReason, Token, check_prompt};
pub use sampler::{Sampler, SamplerOptions};
