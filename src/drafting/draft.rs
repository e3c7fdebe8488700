//! What drafts tokens, and what became of them.

use std::time::Duration;

use super::MtpDrafter;
use crate::Session;
use crate::exec::RunError;
use crate::sampling::Proposal;

sharpi_passes::option_struct! {
    /// How far to draft; llama.cpp's names and meanings.
    #[derive(Clone, Copy, PartialEq, Debug)]
    pub struct DraftOptions {
        /// Most tokens in a draft.
        pub n_max: usize = 2,
        /// Chooses the length of each draft, from none to `n_max`, by what runs take and how many
        /// drafts hold.
        pub adaptive: bool = false,
        /// Shorter drafts are dropped.
        pub n_min: usize = 0,
        /// A draft ends before a token whose drafter gives its best token less than this probability,
        /// among its ten best.
        pub p_min: f32 = 0.0,
    }
}

/// What drafts.
pub enum Drafting {
    /// The model's own head; those of several sequences run together.
    Head(MtpDrafter),
    /// Anything else.
    Own(Box<dyn Drafter + Send>),
}

impl From<MtpDrafter> for Drafting {
    fn from(head: MtpDrafter) -> Drafting {
        Drafting::Head(head)
    }
}

impl<D: Drafter + Send + 'static> From<D> for Drafting {
    fn from(drafter: D) -> Drafting {
        Drafting::Own(Box::new(drafter))
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
    ) -> Result<Vec<Proposal>, RunError>;
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
