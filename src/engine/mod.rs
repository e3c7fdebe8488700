//! Many texts at once on one model, each with the bits that it would have alone.
//!
//! An [`Engine`] takes [`Request`]s from any thread and gives an [`Answer`] to each: a stream of
//! [`Event`]s, for a thread or for an async task. Its own thread takes all of them on together, step
//! by step. Prompts that were read once are remembered.

mod costs;
#[expect(clippy::module_inception, reason = "the engine itself")]
mod engine;
mod error;
mod keeper;
mod options;
mod output;
mod pace;
mod progress;
mod prompts;
mod request;
mod run_times;
mod running;
mod scheduler;
mod sequence;
mod step;
mod text;

pub use engine::{Engine, EngineOptions, StartError};
pub use error::GenerateError;
#[cfg(feature = "guide")]
pub(crate) use options::place_of;
pub use options::{GenerateOptions, LogitsHash, Mask, MaskError, StopReason, Token};
pub(crate) use pace::Pace;
pub use progress::Progress;
pub use prompts::{PromptStats, RememberedPrompt, StoreError};
pub use request::{Answer, End, Event, Request, RequestStats};
pub use run_times::RunTimes;
pub use scheduler::{DraftPlace, EngineStats};
pub use sequence::check_prompt;
#[cfg(feature = "guide")]
pub(crate) use sequence::vocabulary;
pub(crate) use sequence::{Sequence, Work};
pub(crate) use step::{Item, step};
