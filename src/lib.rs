//! Lowers a GGUF model into a typed op graph and runs it on the CPU, token for token like
//! llama.cpp.
//!
//! [`Model::open`] → [`Model::compile`] → [`Session::new`] → [`Session::run`]: from a file to the
//! logits and hidden states of its graphs.

pub mod cost;
mod error;
pub mod exec;
pub mod generate;
pub mod gguf;
pub mod hwbench;
pub mod lower;
mod model;
pub mod parity;
pub mod perplexity;
pub mod regular_file;
pub mod synth;
pub mod tokenizer;

pub use error::Error;
pub use exec::{Executable, Input, Outputs, RunError, SavedSession, Session, SessionOptions};
pub use model::{CompileOptions, Model};
pub use sharpi_ir as ir;
pub use sharpi_passes as passes;
