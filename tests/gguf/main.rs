//! The GGUF reader and writer on real, made-up and broken files.

mod malformed_header;
mod malformed_tensors;
mod mutated;
mod raw;
mod real;
mod round_trip;
mod split;
