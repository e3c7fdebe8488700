//! The typed op graph.
#![forbid(unsafe_code)]
