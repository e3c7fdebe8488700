//! What drafts tokens, and what became of them.

use std::time::Duration;

use super::{GenerateError, Sampler};
use crate::Session;

sharpi_passes::option_struct! {
    /// How far to draft; llama.cpp's names and meanings.
    #[derive(Clone, Copy, PartialEq, Debug)]
    pub struct DraftOptions {
        /// Most tokens in a draft.
        pub n_max: usize = 2,
        /// Chooses the length of each draft, from none to `n_max`, by what runs take and how many
        /// drafts hold. It depends on time, so a sample with a temperature cannot be repeated.
        pub adaptive: bool = false,
        /// Shorter drafts are dropped.
        pub n_min: usize = 0,
        /// A draft ends before a token whose drafter gives its best token less than this probability,
        /// among its ten best.
        pub p_min: f32 = 0.0,
    }
}

/// A drafted token.
#[derive(Clone, PartialEq, Debug)]
pub struct Proposal {
    /// The token.
    pub id: u32,
    /// Probability of the drafter's best token among its ten best.
    pub p: f32,
    /// The distribution that the token was drawn from; empty where it was not drawn.
    pub odds: Vec<(u32, f64)>,
}

impl Proposal {
    /// A token that was not drawn.
    pub fn certain(id: u32) -> Proposal {
        Proposal {
            id,
            p: 1.0,
            odds: Vec::new(),
        }
    }

    /// Gives the tokens other ids.
    pub(super) fn rename(&mut self, id_of: impl Fn(u32) -> u32) {
        self.id = id_of(self.id);
        self.odds.iter_mut().for_each(|(id, _)| *id = id_of(*id));
    }

    /// Probability that the drafter proposes this token.
    pub(super) fn odds_of(&self, id: u32) -> f64 {
        match self.odds.iter().find(|(i, _)| *i == id) {
            Some((_, q)) => *q,
            None if self.odds.is_empty() && id == self.id => 1.0,
            None => 0.0,
        }
    }
}

/// Proposes tokens for the trunk to verify. What is proposed decides about speed, never about the
/// text.
pub trait Drafter {
    /// At most `most` tokens to follow `text`, which is all tokens from position 0 on; the trunk
    /// has consumed all of them but the last.
    ///
    /// # Errors
    /// A run that fails.
    fn draft(
        &mut self,
        session: &mut Session,
        text: &[u32],
        most: usize,
        sampler: &mut Sampler,
    ) -> Result<Vec<Proposal>, GenerateError>;

    /// Hears that the trunk has consumed the next tokens of `text`, and their hidden states,
    /// `[tokens, E]`. Of drafted tokens only the accepted ones count.
    ///
    /// # Errors
    /// A run that fails.
    fn observe(
        &mut self,
        session: &mut Session,
        text: &[u32],
        hidden: &[f32],
    ) -> Result<(), GenerateError>;

    /// Hears what became of a draft, even of one without tokens.
    fn learn(&mut self, _round: &Round) {}
}

/// What became of one draft.
#[derive(Clone, PartialEq, Debug)]
pub struct Round {
    /// Position of the last token that was known.
    pub position: usize,
    /// The tokens drafted, with their probabilities ([`Proposal::p`]).
    pub draft: Vec<(u32, f32)>,
    /// How many of them the trunk accepted.
    pub accepted: usize,
    /// The trunk's own token behind the accepted ones; `None` where the text ended before.
    pub next: Option<u32>,
    /// Time to draft.
    pub draft_time: Duration,
    /// Time of the trunk's run and of the choice.
    pub verify_time: Duration,
    /// Time to take back what was not accepted.
    pub rollback_time: Duration,
}
