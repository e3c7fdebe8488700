//! What rank 0 tells the others, and what they answer.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::exec::Input;

/// A command. What it makes gets a number from rank 0, which names it from then on.
#[derive(Serialize, Deserialize)]
pub(crate) enum Command {
    /// Compile the rank's share of a module, and load its weights. Answered.
    Compile(Box<Compile>),
    /// Make an executor. Answered.
    Executor {
        id: u64,
        executable: u64,
        threads: usize,
        pin: bool,
    },
    /// Begin a sequence. Answered.
    Session {
        id: u64,
        executor: u64,
        context: usize,
        rollback: usize,
    },
    /// Run a graph.
    Run {
        executor: u64,
        graph: String,
        sequences: Vec<SequenceRun>,
    },
    /// Go back to the first tokens of a graph.
    Truncate {
        session: u64,
        graph: String,
        tokens: usize,
    },
    /// Forget a sequence's tokens.
    Reset { session: u64 },
    /// Answered with the states as bytes, of the caches the rows from `first` on.
    Save { session: u64, first: usize },
    /// Become what was saved, in pieces. Answered.
    Restore { session: u64, pieces: Vec<Vec<u8>> },
    /// Take part in so many exchanges of so many bytes.
    Measure { bytes: usize, rounds: usize },
    /// Drop what has this number.
    Forget { id: u64 },
    /// There is nothing more to do.
    Quit,
}

/// What is to be compiled.
#[derive(Serialize, Deserialize)]
pub(crate) struct Compile {
    pub(crate) id: u64,
    pub(crate) model: Origin,
    /// What all files must agree on ([`file_hash`](super::file_hash::file_hash)); `None` where there
    /// is one of them.
    pub(crate) file_hash: Option<[u8; 32]>,
    /// The module as imported, in its textual form.
    pub(crate) module: String,
    pub(crate) only: Option<Vec<String>>,
    pub(crate) skip: Vec<String>,
    pub(crate) fuel: Option<usize>,
    pub(crate) repack: bool,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) lock: bool,
    pub(crate) threads: usize,
}

/// Where a model comes from, as other processes find it too.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// Files, by the names under which rank 0 has opened them: the model, and perhaps its head.
    Files(PathBuf, Option<PathBuf>),
    /// The program itself.
    Embedded,
    /// This process alone has it.
    Memory,
}

/// The part of a sequence in a run.
#[derive(Serialize, Deserialize)]
pub(crate) struct SequenceRun {
    pub(crate) session: u64,
    pub(crate) inputs: Vec<(String, Numbers)>,
    pub(crate) tentative: bool,
}

/// An input.
#[derive(Serialize, Deserialize)]
pub(crate) enum Numbers {
    I32(Vec<i32>),
    F32(Vec<f32>),
}

impl Numbers {
    pub(crate) fn of(input: &Input<'_>) -> Numbers {
        match input {
            Input::I32(numbers) => Numbers::I32(numbers.to_vec()),
            Input::F32(numbers) => Numbers::F32(numbers.to_vec()),
        }
    }

    pub(crate) fn as_input(&self) -> Input<'_> {
        match self {
            Numbers::I32(numbers) => Input::I32(numbers),
            Numbers::F32(numbers) => Input::F32(numbers),
        }
    }
}

/// What a command is answered with: what it gives, or why it failed.
pub(crate) type Answer<T> = Result<T, String>;
