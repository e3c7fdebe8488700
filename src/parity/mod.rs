//! Comparison with the reference: what it did, as captured, against what this program does.

pub mod golden;

pub use golden::{Capture, Dump, GoldenError};
