//! Passes over the op graph.
#![forbid(unsafe_code)]
