//! Rounds of drafting against the reference's.

use serde::Serialize;
use sharpi_ir::{DType, Module};

use super::golden::{Capture, Round};
use crate::generate;

/// How the rounds compare.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoundsCompared {
    /// Rounds that the reference made.
    pub expected: usize,
    /// Rounds that are the same before the first that differs.
    pub same: usize,
    /// Ids drafted and ids accepted at each place of a draft, of the model's rounds.
    pub places: Vec<(usize, usize)>,
    /// The same, of the reference's.
    pub expected_places: Vec<(usize, usize)>,
    /// What the first round that differs was to be and is; `None` where there is none.
    pub fork: Option<(Option<Round>, Option<Round>)>,
    /// Whether nothing excuses a difference: the capture is stable and no weight coarser than f16.
    pub failure: bool,
}

pub(super) fn compare(
    capture: &Capture,
    module: &Module,
    made: &[generate::Round],
) -> RoundsCompared {
    let made: Vec<Round> = made.iter().map(plain).collect();
    let expected = &capture.rounds;
    let same = made
        .iter()
        .zip(expected)
        .take_while(|(a, b)| a == b)
        .count();
    let differ = same < made.len().max(expected.len());
    RoundsCompared {
        expected: expected.len(),
        same,
        places: places(&made),
        expected_places: places(expected),
        fork: differ.then(|| (expected.get(same).cloned(), made.get(same).cloned())),
        failure: differ && capture.stable && is_fine(module),
    }
}

fn plain(round: &generate::Round) -> Round {
    Round {
        draft: round.draft.iter().map(|(id, _)| *id).collect(),
        accepted: round.accepted,
    }
}

fn places(rounds: &[Round]) -> Vec<(usize, usize)> {
    let longest = rounds.iter().map(|r| r.draft.len()).max().unwrap_or(0);
    let at = |i| {
        let drafted = rounds.iter().filter(|r| r.draft.len() > i).count();
        (drafted, rounds.iter().filter(|r| r.accepted > i).count())
    };
    (0..longest).map(at).collect()
}

/// Whether no weight is coarser than f16: coarser ones amplify a last bit into another draft.
fn is_fine(module: &Module) -> bool {
    let mut types = module.symbols.weights().map(|(_, _, w)| w.ty.dtype);
    types.all(|t| t == DType::F32 || t == DType::F16)
}
