//! Drafting with the model's own multi-token-prediction head.

use sharpi_ir::Dim;

use super::{Acceptance, DraftOptions};
use crate::engine::GenerateError;
use crate::exec::{Batch, RunError};
use crate::lower::{MTP, TRUNK};
use crate::sampling::{Proposal, Sampler};
use crate::{Input, Session};

/// The MTP head as a drafter.
///
/// Row p of the head pairs token `x_p` with the trunk's hidden state of position p − 1 and predicts
/// `x_{p+1}`; its cache holds a row for every position. A round's accepted tokens are brought into
/// the cache by the run that also makes the next round's first draft: one run less than catching
/// up and drafting apart.
#[derive(Debug)]
pub struct MtpDrafter {
    pub(crate) options: DraftOptions,
    pub(crate) acceptance: Acceptance,
    /// The ids of the head's logits, if they are not those from 0 on.
    ids: Option<Vec<u32>>,
    /// Hidden states for the cache's next rows, from that of the position before on.
    hidden: Vec<f32>,
    /// Values of one hidden state.
    width: usize,
    /// What is drafted, and how much of it at most.
    drafts: Vec<Proposal>,
    most: usize,
    next: HeadRun,
}

/// The inputs of a run of the head.
#[derive(Debug, Default)]
pub(crate) struct HeadRun {
    ids: Vec<i32>,
    hidden: Vec<f32>,
    rows: Vec<i32>,
}

impl HeadRun {
    /// Adds it to others.
    pub(crate) fn push<'a>(
        &'a self,
        session: &'a mut Session,
        batch: &mut Batch<'a>,
    ) -> Result<(), RunError> {
        let inputs = [
            ("ids", Input::I32(&self.ids)),
            ("h", Input::F32(&self.hidden)),
            ("rows", Input::I32(&self.rows)),
        ];
        batch.push(session, &inputs)
    }
}

impl MtpDrafter {
    /// A drafter for a session that has seen no token yet.
    ///
    /// # Errors
    /// A model without an MTP head, or a session whose hidden states are gone.
    pub fn new(session: &Session, options: DraftOptions) -> Result<MtpDrafter, GenerateError> {
        let width = width(session).ok_or(GenerateError::NoHead)?;
        // Position 0 has none before it.
        MtpDrafter::resume(session, options, vec![0.0; width])
    }

    /// A drafter for a session whose head has seen as many tokens as its trunk; `hidden` is the
    /// trunk's state of the last of them.
    pub(crate) fn resume(
        session: &Session,
        options: DraftOptions,
        hidden: Vec<f32>,
    ) -> Result<MtpDrafter, GenerateError> {
        let width = width(session).ok_or(GenerateError::NoHead)?;
        let position = session.position(TRUNK);
        let fresh = hidden.iter().all(|x| *x == 0.0);
        if position != session.position(MTP) || hidden.len() != width || (position > 0 && fresh) {
            return Err(GenerateError::LateDrafter);
        }
        let ids = session.executable().logit_ids(MTP);
        let ids = ids.filter(|ids| !ids.is_prefix()).map(|ids| {
            let ids = ids.ranges().iter().cloned().flatten();
            ids.map(|id| id as u32).collect()
        });
        Ok(MtpDrafter {
            options,
            acceptance: Acceptance::new(options.n_max),
            ids,
            hidden,
            width,
            drafts: Vec::new(),
            most: 0,
            next: HeadRun::default(),
        })
    }

    /// Hidden states that wait for the head, that of the last position among them.
    pub(crate) fn waiting(&self) -> usize {
        self.hidden.len() / self.width
    }

    /// The hidden state of the last position, once the head has caught up.
    pub(crate) fn last_hidden(&self) -> Option<&[f32]> {
        (self.waiting() == 1).then_some(&self.hidden)
    }

    /// Hears the hidden states of the next tokens that the trunk has consumed, `[tokens, E]`. Of
    /// drafted tokens only the accepted ones count.
    pub(crate) fn observe(&mut self, hidden: &[f32]) {
        self.hidden.extend_from_slice(hidden);
    }

    /// Forgets the last hidden state: the trunk goes back by one token.
    pub(crate) fn unobserve(&mut self) {
        let rest = self.hidden.len().saturating_sub(self.width);
        self.hidden.truncate(rest);
    }

    /// Prepares a run over the next `count` positions of `text`, which is all tokens from position 0
    /// on, for their rows in the cache.
    pub(crate) fn catch_up(&mut self, session: &Session, text: &[u32], count: usize) {
        self.most = 0;
        self.prepare(session.position(MTP), text, count);
    }

    /// Prepares a draft of at most `most` tokens to follow `text`; the trunk has consumed all of it
    /// but the last token.
    pub(crate) fn begin(&mut self, session: &Session, text: &[u32], most: usize) {
        self.drafts.clear();
        self.most = most;
        let first = session.position(MTP);
        self.prepare(first, text, text.len() - first);
        self.next.rows.push(self.next.ids.len() as i32 - 1);
    }

    fn prepare(&mut self, first: usize, text: &[u32], count: usize) {
        let ids = text[first..first + count].iter().map(|id| *id as i32);
        self.next = HeadRun {
            ids: ids.collect(),
            hidden: self.hidden.drain(..count * self.width).collect(),
            rows: Vec::new(),
        };
    }

    /// Tokens of the next run; none where there is none.
    pub(crate) fn next_tokens(&self) -> usize {
        self.next.ids.len()
    }

    /// The next run; there is none behind it until this one has been [taken](MtpDrafter::take).
    pub(crate) fn next(&mut self) -> HeadRun {
        std::mem::take(&mut self.next)
    }

    /// Takes what a run gave: all its hidden states, then [`MtpDrafter::take`] its logits.
    pub(crate) fn keep_hidden(&mut self, hidden: &[f32]) {
        if self.drafts.len() < self.most {
            let last = &hidden[hidden.len() - self.width..];
            self.next.hidden.extend_from_slice(last);
        }
    }

    /// Whether the logits of the next run are to propose a token.
    pub(crate) fn is_drafting(&self) -> bool {
        self.most > 0
    }

    /// The tokens drafted so far.
    pub(crate) fn drafted(&self) -> impl Iterator<Item = u32> {
        self.drafts.iter().map(|draft| draft.id)
    }

    /// The ids of the head's logits, if they are not those from 0 on.
    pub(crate) fn logit_ids(&self) -> Option<&[u32]> {
        self.ids.as_deref()
    }

    /// Takes the logits that a run gave, of one row or none, and prepares the next one if the draft
    /// goes on. `position` is that of the first drafted token.
    pub(crate) fn take(&mut self, logits: &[f32], sampler: &mut Sampler, position: usize) {
        let (ids, position) = (self.ids.as_deref(), position + self.drafts.len());
        let proposal = match self.most {
            0 => None,
            _ => sampler.propose(logits, ids, position),
        };
        match proposal.filter(|proposal| proposal.p >= self.options.p_min) {
            Some(proposal) => self.drafts.push(proposal),
            None => self.most = 0,
        }
        match self.drafts.last() {
            Some(last) if self.drafts.len() < self.most => {
                self.next.ids.push(last.id as i32);
                self.next.rows.push(0);
            }
            _ => self.next = HeadRun::default(),
        }
    }

    /// Ends the draft of tokens behind the first `known`.
    pub(crate) fn finish(
        &mut self,
        session: &mut Session,
        known: usize,
    ) -> Result<Vec<Proposal>, RunError> {
        // These rows are made of guesses; the accepted ones come anew from the trunk's states.
        session.truncate(MTP, known)?;
        let drafts = std::mem::take(&mut self.drafts);
        match drafts.len() < self.options.n_min {
            true => Ok(Vec::new()),
            false => Ok(drafts),
        }
    }
}

/// Values of a hidden state.
fn width(session: &Session) -> Option<usize> {
    let graph = session.executable().module().graphs.get(MTP)?;
    match graph.ty(*graph.outputs().get("h_next")?).last() {
        Dim::Fixed(width) => Some(width),
        Dim::Sym(_) => None,
    }
}
