//! Number kernels: pure functions on slices.
//!
//! Every result is a pure function of its row's inputs, with one fixed order of
//! operations. It does not depend on how many rows or tokens are handed in one
//! call, on the SIMD level ([`simd::Level`]) or on threads. Nothing here knows of
//! graphs, arenas or thread pools.

// Kernels walk several arrays by one index, as their formulas do.
#![allow(clippy::needless_range_loop)]

pub mod activation;
pub mod attention;
pub mod columns;
pub mod conv;
pub mod elementwise;
pub mod gdn;
pub(crate) mod isa;
pub mod math;
pub mod matmul;
pub mod ngram;
pub mod norm;
pub mod panel;
pub mod probe;
pub mod quant;
pub mod rope;
pub mod simd;
pub mod streams;
pub mod topk;
