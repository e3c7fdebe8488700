//! Perplexity over a text, and the divergence from the logits of another engine or model, counted
//! as llama-perplexity counts them.
//!
//! A text is cut into chunks of equally many tokens ([`Chunks`]), each of which starts afresh. The
//! first half of a chunk is only fed; the tokens behind it are judged: how likely the model held
//! each, given all tokens of the chunk before it. [`Evaluator`] feeds a chunk and hands on the
//! logits, [`Perplexity`] and [`Divergence`] count, and [`BaseFile`] and [`BaseWriter`] are the file
//! in which llama-perplexity keeps the log probabilities of a run (`--kl-divergence-base`).

mod base;
mod base_error;
mod chunks;
mod divergence;
mod evaluate;
mod judge;
mod log_probs;
mod statistics;
mod writer;

pub use base::{BaseFile, BaseRow};
pub use base_error::{BaseError, BaseFault};
pub use chunks::{Chunks, LEAST_CHUNK, TooShort, first_judged, judged};
pub use divergence::{Compared, Divergence, Place};
pub use evaluate::{Evaluator, Piece};
pub use judge::{Judge, NotFinite};
pub use statistics::{Mean, Perplexity, covariance, quantile};
pub use writer::BaseWriter;
