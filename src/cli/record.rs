//! What `run --json` prints.

use serde::Serialize;
use sharpi_compile::exec::Footprint;
use sharpi_compile::generate::{self, StopReason};

use super::started::Started;
use super::timings::Timings;

/// One run, as other programs read it. Logits are printed so that they read back to the same bits.
#[derive(Serialize)]
pub(super) struct Record {
    pub(super) prompt_ids: Vec<u32>,
    pub(super) ids: Vec<u32>,
    pub(super) text: String,
    pub(super) stop: Stop,
    /// Where the random numbers began, if any were drawn.
    pub(super) seed: Option<u64>,
    pub(super) run: Started,
    /// Rounds of drafting, if any.
    pub(super) rounds: Vec<Round>,
    pub(super) drafted: usize,
    pub(super) accepted: usize,
    pub(super) timings: Timings,
    pub(super) memory: MemoryOut,
    /// For each step the best logits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top: Option<Vec<Vec<(u32, f32)>>>,
}

/// Bytes that the session and its weights take.
#[derive(Serialize)]
pub(super) struct MemoryOut {
    #[serde(flatten)]
    footprint: Footprint,
    total: u128,
}

impl From<Footprint> for MemoryOut {
    fn from(footprint: Footprint) -> MemoryOut {
        MemoryOut {
            footprint,
            total: footprint.total(),
        }
    }
}

/// Why a text ended.
#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stop {
    /// The model ended it.
    Eos,
    /// A string that ends it came up.
    String,
    /// It has as many tokens as asked for.
    Length,
    /// The context is full.
    Context,
    /// Ctrl-C.
    Interrupted,
}

impl Stop {
    /// What a generator that has ended tells; a failure has been told before.
    pub(super) fn of(reason: Option<StopReason>) -> Stop {
        match reason {
            Some(StopReason::EndOfText(_)) => Stop::Eos,
            Some(StopReason::Context) => Stop::Context,
            Some(StopReason::Cancelled | StopReason::Deadline) => Stop::Interrupted,
            Some(StopReason::StopString(_)) => Stop::String,
            Some(StopReason::Length | StopReason::Failed) | None => Stop::Length,
        }
    }
}

/// A round of drafting.
#[derive(Serialize)]
pub(super) struct Round {
    /// Position of the last token that was known.
    position: usize,
    draft: Vec<u32>,
    accepted: usize,
}

impl From<&generate::Round> for Round {
    fn from(round: &generate::Round) -> Round {
        Round {
            position: round.position,
            draft: round.draft.iter().map(|(id, _)| *id).collect(),
            accepted: round.accepted,
        }
    }
}
