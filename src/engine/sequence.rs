//! One sequence: its states, its text, and what it has to do next.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sharpi_ir::Dim;

use super::prompts::Resumed;
use super::text::{Choice, Text, guarded};
use super::{GenerateError, GenerateOptions, LogitsHash, Mask, StopReason, Token};
use crate::drafting::{DraftOptions, Drafting, MtpDrafter, Round};
use crate::exec::{Batch, RunError};
use crate::lower::TRUNK;
use crate::sampling::{Proposal, Sampler};
use crate::{Executable, Input, Session};

/// A text in the making on a session.
///
/// The session has seen a part of the text: first the prompt has to be fed, then each round feeds the
/// last token and the drafts behind it, and chooses what comes next.
pub(crate) struct Sequence {
    pub(super) session: Session,
    pub(super) text: Text,
    pub(super) drafting: Option<Drafting>,
    /// Drafts of the round that is going on.
    pub(super) drafts: Vec<Proposal>,
    feed: Feed,
    /// Hidden states that the trunk's last run gave, for the head.
    pub(super) hidden: Vec<f32>,
    /// Tokens that a round has made and nobody has taken.
    pub(crate) ready: VecDeque<Token>,
    pub(crate) rounds: Vec<Round>,
    /// Why there will be no round after the tokens that are ready.
    pub(crate) ending: Option<StopReason>,
    /// The hash of the logits from which the end of the text was chosen.
    pub(crate) end_hash: Option<LogitsHash>,
    pub(crate) error: Option<GenerateError>,
}

/// Inputs of the trunk.
#[derive(Default)]
struct Feed {
    ids: Vec<i32>,
    rows: Vec<i32>,
}

/// What a sequence does in a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// Feeds so many tokens of the prompt.
    Prompt(usize),
    /// Feeds the last token and up to so many drafts.
    Round(usize),
    /// Feeds the last token, with nothing to be chosen: so that the states have taken in all.
    Close,
}

/// What a sequence has besides its session, while that is in a run.
pub(super) struct Rest<'s> {
    pub(super) text: &'s mut Text,
    pub(super) drafts: &'s [Proposal],
    /// Hidden states that the run gives, if they are wanted.
    pub(super) hidden: Option<&'s mut Vec<f32>>,
}

impl Sequence {
    /// Continues what the session holds with `prompt`; nothing runs yet.
    pub(crate) fn new(
        session: Session,
        sampler: Sampler,
        prompt: &[u32],
        options: GenerateOptions,
    ) -> Result<Sequence, GenerateError> {
        let base = session.position(TRUNK);
        Sequence::from(base, session, sampler, prompt, options)
    }

    /// [`Sequence::new`] of a session that was brought behind the first tokens of the prompt, and
    /// drafts with the model's head if that is wanted.
    pub(crate) fn resumed(
        session: Session,
        sampler: Sampler,
        prompt: &[u32],
        (options, draft): (GenerateOptions, Option<DraftOptions>),
        mask: Option<Box<dyn Mask + Send>>,
        mut resumed: Resumed,
    ) -> Result<Sequence, GenerateError> {
        let mut sequence = Sequence::from(0, session, sampler, prompt, options)?;
        sequence.text.mask = mask;
        if let Some(draft) = draft {
            let head = match resumed.tokens {
                0 => MtpDrafter::new(&sequence.session, draft)?,
                _ => MtpDrafter::resume(&sequence.session, draft, resumed.hidden)?,
            };
            sequence = sequence.with_drafting(Drafting::Head(head))?;
        } else if resumed.tokens == prompt.len() {
            sequence.choose_from(&mut resumed.logits);
        }
        Ok(sequence)
    }

    fn from(
        base: usize,
        session: Session,
        mut sampler: Sampler,
        prompt: &[u32],
        options: GenerateOptions,
    ) -> Result<Sequence, GenerateError> {
        let vocabulary = vocabulary(session.executable()).ok_or(GenerateError::NoTrunk)?;
        if !keeps_state(session.executable()) {
            return Err(GenerateError::NoState);
        }
        check_prompt(prompt, session.context() - base, vocabulary)?;
        prompt.iter().for_each(|id| sampler.accept(*id));
        Ok(Sequence {
            session,
            text: Text {
                sampler,
                options,
                mask: None,
                ids: prompt.to_vec(),
                base,
                generated: 0,
                keep: false,
                kept: None,
            },
            drafting: None,
            drafts: Vec::new(),
            feed: Feed::default(),
            hidden: Vec::new(),
            ready: VecDeque::new(),
            rounds: Vec::new(),
            ending: None,
            end_hash: None,
            error: None,
        })
    }

    /// Drafts with this. The text is the same.
    pub(crate) fn with_drafting(mut self, drafting: Drafting) -> Result<Sequence, GenerateError> {
        if self.text.base > 0 {
            return Err(GenerateError::LateDrafter);
        }
        self.drafting = Some(drafting);
        Ok(self)
    }

    /// The session as it is now.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The session. It has seen all tokens but the last of the last round.
    pub(crate) fn into_session(self) -> Session {
        self.session
    }

    /// Whether the cancel flag is set.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.text.cancelled()
    }

    /// Whether the session had seen tokens that are no part of the text.
    pub(crate) fn has_earlier(&self) -> bool {
        self.text.base > 0
    }

    /// How many of the text's tokens the session has seen.
    pub(crate) fn seen(&self) -> usize {
        self.session.position(TRUNK) - self.text.base
    }

    /// Tokens of the text that the session has not seen.
    pub(crate) fn pending(&self) -> usize {
        self.text.ids.len() - self.seen()
    }

    /// Tokens of the prompt that are still to be fed; the last one waits for drafts to go with it.
    pub(crate) fn prompt_left(&self) -> usize {
        match (&self.drafting, self.text.generated) {
            (Some(_), _) => self.pending().saturating_sub(1),
            (None, 0) => self.pending(),
            (None, _) => 0,
        }
    }

    /// Position behind the last token of the text.
    pub(super) fn text_end(&self) -> usize {
        self.text.end()
    }

    /// Chooses from logits that are known without a run.
    fn choose_from(&mut self, logits: &mut [f32]) {
        self.text.kept = Some((self.text.end(), logits.to_vec()));
        if self.limit().is_some() {
            return;
        }
        match guarded(|| self.text.choose(logits, &[])) {
            Ok(choice) => {
                self.ready.extend(choice.tokens);
                (self.ending, self.end_hash) = (choice.ending, choice.end_hash);
            }
            Err(error) => self.fail(error),
        }
    }

    /// Keeps the first logits that are chosen from, as they were before.
    pub(crate) fn keep_logits(&mut self, keep: bool) {
        self.text.keep = keep;
    }

    /// The logits kept, if the session stands where they were given.
    pub(crate) fn take_kept_logits(&mut self) -> Vec<f32> {
        let here = self.session.position(TRUNK);
        let kept = self.text.kept.take().filter(|(at, _)| *at == here);
        kept.map_or(Vec::new(), |(_, logits)| logits)
    }

    /// Whether the states have taken in all that they have seen, the head's too.
    pub(crate) fn is_settled(&self) -> bool {
        let waits = match &self.drafting {
            Some(Drafting::Head(head)) => head.waiting() > 1,
            _ => false,
        };
        !waits && !self.session.is_tentative()
    }

    /// Sees to it that feeding one more token settles the states. `false` where that cannot be.
    pub(crate) fn unsettle(&mut self) -> bool {
        if self.pending() == 0 {
            let end = self.session.position(TRUNK);
            if let Err(error) = self.session.truncate(TRUNK, end - 1) {
                self.fail(error);
                return false;
            }
            if let Some(Drafting::Head(head)) = &mut self.drafting {
                head.unobserve();
            }
        }
        self.pending() == 1 && self.text.end() <= self.session.context()
    }

    /// What the session has seen, for the store of prompts; whether the head has seen it too, and
    /// the trunk's last hidden state for it. `None` where the head has not caught up.
    pub(crate) fn to_remember(&self) -> Option<(&[u32], &Session, bool, &[f32])> {
        let text = &self.text.ids[..self.seen()];
        match &self.drafting {
            Some(Drafting::Head(head)) => Some((text, &self.session, true, head.last_hidden()?)),
            _ => Some((text, &self.session, false, &[])),
        }
    }

    /// What forbids another token before anything is run.
    pub(crate) fn limit(&self) -> Option<StopReason> {
        let full = self.text.end() > self.session.context();
        if self.text.cancelled() {
            Some(StopReason::Cancelled)
        } else if self.text.budget() == Some(0) {
            Some(StopReason::Length)
        } else {
            full.then_some(StopReason::Context)
        }
    }

    /// Most tokens that may be drafted in the next round: the round adds one of its own.
    pub(crate) fn most_drafts(&self) -> usize {
        let most = match &self.drafting {
            None => return 0,
            Some(Drafting::Head(head)) => head.options.n_max,
            Some(Drafting::Own(_)) => usize::MAX,
        };
        let executable = self.session.executable();
        let width = (self.session.rollback().min(executable.max_tokens()))
            .min(executable.max_rows())
            .min(self.session.context().saturating_sub(self.text.end() - 1))
            .min(self.text.budget().unwrap_or(usize::MAX));
        most.min(width.saturating_sub(1))
    }

    /// Adds the tokens of a piece of work to a run of the trunk.
    pub(super) fn push<'a>(
        &'a mut self,
        work: Work,
        batch: &mut Batch<'a>,
    ) -> Result<Rest<'a>, RunError> {
        let seen = self.seen();
        let count = match work {
            Work::Prompt(count) => count,
            Work::Round(_) | Work::Close => 1,
        };
        let known = self.text.ids[seen..seen + count].iter().copied();
        let drafted = self.drafts.iter().map(|d| d.id);
        let Feed { ids, rows } = &mut self.feed;
        ids.clear();
        ids.extend(known.chain(drafted).map(|id| id as i32));
        rows.clear();
        // Inside a prompt nobody reads the logits, and they are the dearest row there is.
        if seen + count == self.text.ids.len() && work != Work::Close {
            rows.extend(count as i32 - 1..ids.len() as i32);
        }
        let inputs = [("ids", Input::I32(&*ids)), ("rows", Input::I32(&*rows))];
        match self.drafts.is_empty() {
            true => batch.push(&mut self.session, &inputs)?,
            false => batch.push_tentative(&mut self.session, &inputs)?,
        }
        self.hidden.clear();
        let wants = matches!(self.drafting, Some(Drafting::Head(_)));
        Ok(Rest {
            text: &mut self.text,
            drafts: &self.drafts,
            hidden: wants.then_some(&mut self.hidden),
        })
    }

    /// Takes what was chosen, and goes back to where drafts ceased to hold.
    pub(super) fn take(&mut self, choice: Choice, times: &Times) -> Result<(), RunError> {
        let drafted = std::mem::take(&mut self.drafts);
        let end = self.session.position(TRUNK);
        let kept = end - (drafted.len() - choice.accepted);
        let clock = Instant::now();
        if kept < end {
            self.session.truncate(TRUNK, kept)?;
        }
        let rollback_time = clock.elapsed();
        if self.drafting.is_some() {
            if let Some(Drafting::Head(head)) = &mut self.drafting {
                let width = self.hidden.len() / (1 + drafted.len());
                head.observe(&self.hidden[..(1 + choice.accepted) * width]);
                head.acceptance.learn(drafted.len(), choice.accepted);
            }
            self.rounds.push(Round {
                position: kept - choice.accepted - 1,
                draft: drafted.iter().map(|d| (d.id, d.p)).collect(),
                accepted: choice.accepted,
                next: choice.tokens.get(choice.accepted).map(|t| t.id),
                draft_time: times.draft,
                verify_time: times.verify,
                rollback_time,
            });
        }
        self.ready.extend(choice.tokens);
        (self.ending, self.end_hash) = (choice.ending, choice.end_hash);
        Ok(())
    }

    /// Ends the sequence: what is ready can still be taken.
    pub(super) fn fail(&mut self, error: impl Into<GenerateError>) {
        self.error.get_or_insert(error.into());
        self.ending = Some(StopReason::Failed);
        self.drafts.clear();
    }
}

/// What the parts of a step took.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Times {
    /// All runs of the head.
    pub(super) draft: Duration,
    /// The run of the trunk, and choosing.
    pub(super) verify: Duration,
}

/// Checks a prompt before anything expensive is done for it.
///
/// # Errors
/// An empty prompt, one longer than the `room` left in the context, or an id outside the
/// vocabulary.
pub fn check_prompt(prompt: &[u32], room: usize, vocabulary: usize) -> Result<(), GenerateError> {
    if prompt.is_empty() {
        return Err(GenerateError::EmptyPrompt);
    }
    if let Some(&id) = prompt.iter().find(|id| **id as usize >= vocabulary) {
        return Err(GenerateError::UnknownId { id, vocabulary });
    }
    let tokens = prompt.len();
    match tokens > room {
        true => Err(GenerateError::PromptTooLong { tokens, room }),
        false => Ok(()),
    }
}

/// Whether the trunk remembers what it has seen.
pub(super) fn keeps_state(executable: &Executable) -> bool {
    let graph = executable.module().graphs.get(TRUNK);
    graph.is_some_and(|graph| graph.nodes().any(|node| graph.state(node).is_some()))
}

/// Rows of the logits: the ids that the trunk can take and give.
pub(crate) fn vocabulary(executable: &Executable) -> Option<usize> {
    let graph = executable.module().graphs.get(TRUNK)?;
    match graph.ty(*graph.outputs().get("logits")?).last() {
        Dim::Fixed(n) => Some(n),
        Dim::Sym(_) => None,
    }
}
