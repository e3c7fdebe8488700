//! From a session to text, one sequence alone: the engine with one request, in the caller's thread.
//!
//! A [`Generator`] owns a [`Session`](crate::Session) and a [`Sampler`] and yields one [`Token`]
//! at a time. With [`Drafting`], of which [`MtpDrafter`] is the model's own, it verifies several
//! tokens in one run. It knows ids and logits only; text is the tokenizer's business.

mod generator;

pub use crate::drafting::{DraftOptions, Drafter, Drafting, MtpDrafter, Round};
pub use crate::engine::{
    GenerateError, GenerateOptions, LogitsHash, StopReason, Token, check_prompt,
};
pub use crate::sampling::{Proposal, Sampler, SamplerOptions};
pub use generator::Generator;
