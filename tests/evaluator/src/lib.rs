//! Evaluates op graphs by their definition: f64, plain loops, one op after another.
//!
//! It is what the kernels are tested against, so it shares nothing with them. A fused op is what
//! its definition in other ops gives. Everything is computed in f64 and nothing is rounded to f32.
//! Rounded are only, as the graph's types say, activations before they meet weights, keys and values
//! of a cache, and the queries that meet them: to bf16 if the cache's keys are, else to f16. Weights
//! are given dense, whatever the type they are declared with, and are not rounded.
//!
//! ```
//! use sharpi_evaluator::{Evaluator, Tensor};
//! let module = sharpi_ir::text::parse(
//!     "module @m {
//!        graph @g(%x: f32[T, 2]) -> (%y: f32[T, 1]) where T in 1..=8 {
//!          %0 = row_sum %x : f32[T, 1]
//!          return %y = %0
//!        }
//!      }",
//! )?;
//! let mut evaluator = Evaluator::new(&module, &|_, _| None)?;
//! let x = Tensor::new([2, 2], vec![1.0, 2.0, 3.0, 4.0])?;
//! let outputs = evaluator.run("g", &[("x", x)])?;
//! assert_eq!(outputs["y"].data(), [3.0, 7.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod args;
mod blocks;
mod elementwise;
mod error;
mod evaluator;
mod experts;
pub mod fill;
mod heads;
mod indexer;
mod inputs;
mod layout;
mod ngrams;
mod op;
mod products;
mod recurrent;
pub mod rounding;
pub mod script;
mod states;
mod streams;
mod tensor;

pub use error::EvalError;
pub use evaluator::Evaluator;
pub use inputs::Sizes;
pub use tensor::Tensor;
