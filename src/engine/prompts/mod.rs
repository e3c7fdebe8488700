//! Prompts remembered: what has been read once need not be read again.

mod disk;
mod file;
mod note;
mod reading;
mod store;
mod tree;

#[cfg(test)]
mod tests;

pub use file::RememberedPrompt;
pub use store::StoreError;
pub(crate) use store::{Limits, Prompts, Resumed};
pub use tree::PromptStats;
