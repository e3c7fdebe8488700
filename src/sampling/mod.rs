//! From logits to a token.

mod best;
mod noise;
mod sampler;

pub(crate) use best::{log_sum, top};
pub use sampler::{Proposal, Sampler, SamplerOptions};
