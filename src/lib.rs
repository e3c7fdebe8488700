//! Lowers a GGUF model into a typed op graph and runs it on the CPU, token for token like
//! llama.cpp.
//!
//! [`Model::open`] → [`Model::compile`] → [`Session::new`] → [`Session::run`]: from a file to the
//! logits and hidden states of its graphs.
//!
//! Cargo features: `embedded` is the small model of `Model::embedded`, `chat` conversations through a
//! model's template, `guide` what holds texts to grammars, `serve` answers over HTTP, `tools` what
//! measures, compares and makes models, `cli` the program with all of them; all are on by default, and
//! none is needed to compile and run graphs. `mpi`, off by default, is for ranks on several machines.

#[cfg(any(feature = "guide", feature = "tools"))]
mod cache_type;
#[cfg(feature = "chat")]
pub mod conversation;
#[cfg(feature = "tools")]
pub mod cost;
mod drafting;
pub mod engine;
mod error;
pub mod exec;
pub mod generate;
pub mod gguf;
#[cfg(feature = "guide")]
pub mod guide;
#[cfg(feature = "tools")]
pub mod hwbench;
pub mod lower;
mod model;
#[cfg(feature = "tools")]
pub mod parity;
pub mod parts;
#[cfg(feature = "tools")]
pub mod perplexity;
pub mod quantize;
pub mod ranks;
#[cfg(feature = "guide")]
pub mod receipt;
pub mod regular_file;
mod sampling;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "tools")]
pub mod synth;
pub mod tokenizer;
mod weights;

pub use error::Error;
pub use exec::{Executable, Input, Outputs, RunError, SavedSession, Session, SessionOptions};
pub use model::{CompileOptions, Model};
pub use sharpi_ir as ir;
pub use sharpi_passes as passes;
pub use weights::Weights;
