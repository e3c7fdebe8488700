//! Comparison with the reference: what it did, as captured, against what this program does.
//!
//! [`compare`] goes through the captures of a golden file, free-running or teacher-forced, and
//! [`bisect`] through a dump of tensors, to name the first that differs.

mod bisect;
pub mod capture;
mod compare;
mod deviation;
mod error;
mod forced;
mod free;
pub mod golden;
mod origin;
mod outcome;
mod replay;
mod rounds;
pub mod server;
mod trunk;
mod widths;

pub use bisect::{Bisection, Differing, bisect};
pub use capture::{CaptureError, CaptureOptions, capture};
pub use compare::{Mode, ParityOptions, Progress, compare, work};
pub use deviation::{Deviation, Tolerance};
pub use error::ParityError;
pub use golden::{Capture, Dump, GoldenError, Round, parse_prompts, read_prompts};
pub use origin::Origin;
pub use outcome::{Compared, Difference, Outcome, Skip, Verdict};
pub use rounds::RoundsCompared;
pub use server::{LlamaServer, ServerError};
pub use widths::{Fork, WidthsCompared};
