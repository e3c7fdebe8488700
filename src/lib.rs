//! Lowers a GGUF model into a typed op graph and runs it on the CPU.

pub mod gguf;
pub mod kernels;
pub mod lower;
pub mod tokenizer;
