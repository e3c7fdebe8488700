//! What a comparison found.

use serde::Serialize;

use super::rounds::RoundsCompared;
use super::widths::WidthsCompared;

/// What came of a capture.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// It was compared.
    Compared(Box<Compared>),
    /// It was not, and why.
    Skipped {
        /// The reason.
        skipped: Skip,
    },
}

/// Why a capture was not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// It was made with another cache type than asked for.
    CacheType,
    /// It has drafts, and the model no head to draft with.
    NoHead,
    /// It holds no logits to judge a choice by.
    NoLogits,
    /// The comparison was cancelled.
    Cancelled,
}

/// How a capture and the model compare.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Compared {
    /// Ids compared, up to and with the first that differs when free-running.
    pub ids: usize,
    /// Where the choices differ.
    pub differences: Vec<Difference>,
    /// Teacher-forced, the largest difference of one of the logits captured.
    pub largest_logit_difference: Option<f32>,
    /// Rounds of drafting, of captures with drafting when free-running.
    pub rounds: Option<RoundsCompared>,
    /// Runs of several widths, if asked for.
    pub widths: Option<WidthsCompared>,
}

/// A choice that is not the reference's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Which of the ids that follow the prompt, from 0.
    pub step: usize,
    /// The reference's id.
    pub expected: u32,
    /// The model's; `None` where it stopped.
    pub chosen: Option<u32>,
    /// The place of the reference's id among the model's logits, 1 for the largest; `None` if it
    /// is not to be chosen.
    pub rank: Option<usize>,
    /// How far apart the reference's two best logits are, if captured.
    pub gap: Option<f32>,
    /// Whether nothing excuses it.
    pub failure: bool,
}

/// A capture in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing differs.
    Same,
    /// Something differs where the reference disagrees with itself.
    Excused,
    /// Something differs that must not.
    Differs,
    /// Not compared.
    Skipped,
}

impl Outcome {
    /// The outcome in a word.
    pub fn verdict(&self) -> Verdict {
        let Outcome::Compared(compared) = self else {
            return Verdict::Skipped;
        };
        let forks = compared.widths.as_ref().is_some_and(|w| w.fork.is_some());
        let rounds = compared.rounds.as_ref();
        let drafts_fail = rounds.is_some_and(|r| r.failure);
        if forks || drafts_fail || compared.differences.iter().any(|d| d.failure) {
            Verdict::Differs
        } else if compared.differences.is_empty() && rounds.is_none_or(|r| r.fork.is_none()) {
            Verdict::Same
        } else {
            Verdict::Excused
        }
    }
}

impl Compared {
    /// The first difference that counts: a failure if there is one.
    pub fn first_difference(&self) -> Option<&Difference> {
        let failure = self.differences.iter().find(|d| d.failure);
        failure.or(self.differences.first())
    }
}
