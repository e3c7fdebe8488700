//! From a session to text: the loop that feeds tokens and chooses the next.
//!
//! A [`Generator`] owns a [`Session`](crate::Session) and a [`Sampler`] and yields one [`Token`]
//! at a time. A [`Drafter`], of which [`MtpDrafter`] is the model's own, lets it verify several
//! tokens in one run. It knows ids and logits only; text is the tokenizer's business.

mod best;
mod depth;
mod draft;
mod error;
mod generator;
mod mtp;
mod options;
mod sampler;

use crate::lower::TRUNK;

pub use draft::{DraftOptions, Drafter, Proposal, Round};
pub use error::GenerateError;
pub use generator::{Generator, check_prompt};
pub use mtp::MtpDrafter;
pub use options::{GenerateOptions, StopReason, Token};
pub use sampler::{Sampler, SamplerOptions};
