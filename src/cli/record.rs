//! What `run --json` prints.

use serde::Serialize;
use sharpi_compile::generate;

use super::timings::Timings;

/// One run, as other programs read it. Logits are printed so that they read back to the same bits.
#[derive(Serialize)]
pub(super) struct Record {
    pub(super) prompt_ids: Vec<u32>,
    pub(super) ids: Vec<u32>,
    pub(super) text: String,
    /// Rounds of drafting, if any.
    pub(super) rounds: Vec<Round>,
    pub(super) drafted: usize,
    pub(super) accepted: usize,
    pub(super) timings: Timings,
    /// For each step the best logits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top: Option<Vec<Vec<(u32, f32)>>>,
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
