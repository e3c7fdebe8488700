//! One sequence as an iterator.

use std::sync::Arc;

use super::{
    DraftOptions, Drafting, GenerateError, GenerateOptions, Round, Sampler, StopReason, Token,
};
use crate::Session;
use crate::engine::{Item, LogitsHash, Mask, Pace, RememberedPrompt, Sequence, Work, step};
use crate::exec::Executor;
use crate::lower::TRUNK;

/// Yields tokens until there is a reason to stop.
pub struct Generator {
    executor: Arc<Executor>,
    sequence: Sequence,
    pace: Pace,
    batch: usize,
    stopped: Option<StopReason>,
}

impl Generator {
    /// Continues what the session holds with `prompt`; nothing runs yet.
    ///
    /// # Errors
    /// An empty prompt, one that the context does not hold, or an id outside the vocabulary; a trunk
    /// without states, which cannot go on with a text.
    pub fn new(
        session: Session,
        sampler: Sampler,
        prompt: &[u32],
        options: GenerateOptions,
    ) -> Result<Generator, GenerateError> {
        let batch = options.batch;
        let sequence = Sequence::new(session, sampler, prompt, options)?;
        Ok(Generator::of(sequence, batch))
    }

    fn of(sequence: Sequence, batch: usize) -> Generator {
        let executor = sequence.session().executor().clone();
        let widest = executor.executable().max_tokens();
        Generator {
            executor,
            batch: batch.min(widest).max(1),
            sequence,
            pace: Pace::default(),
            stopped: None,
        }
    }

    /// [`Generator::new`], of a session without tokens, with drafting. The text is the same.
    ///
    /// Drafts are no longer than the session's `rollback` less one.
    ///
    /// # Errors
    /// As [`Generator::new`]; besides, a session that holds tokens already.
    pub fn with_drafting(
        session: Session,
        sampler: Sampler,
        drafting: impl Into<Drafting>,
        prompt: &[u32],
        options: GenerateOptions,
    ) -> Result<Generator, GenerateError> {
        let mut generator = Generator::new(session, sampler, prompt, options)?;
        generator.sequence = generator.sequence.with_drafting(drafting.into())?;
        Ok(generator)
    }

    /// [`Generator::new`], of a session without tokens, behind as much of the prompt as is remembered;
    /// drafting with the model's head, if that is wanted, and with a mask. Tells too how many tokens
    /// need not be read.
    ///
    /// # Errors
    /// As [`Generator::new`]; besides, a session that holds tokens already, what is remembered of
    /// another model, or of more tokens than the context holds.
    pub fn resume(
        mut session: Session,
        sampler: Sampler,
        prompt: &[u32],
        (options, draft): (GenerateOptions, Option<DraftOptions>),
        mask: Option<Box<dyn Mask + Send>>,
        remembered: Option<&RememberedPrompt>,
    ) -> Result<(Generator, usize), GenerateError> {
        if session.position(TRUNK) > 0 {
            return Err(GenerateError::UsedSession);
        }
        let resumed = match remembered {
            Some(remembered) => remembered.resume(&mut session, prompt, draft.is_some())?,
            None => None,
        };
        let resumed = resumed.unwrap_or_default();
        let tokens = resumed.tokens;
        let batch = options.batch;
        let options = (options, draft);
        let mut sequence = Sequence::resumed(session, sampler, prompt, options, mask, resumed)?;
        sequence.keep_logits(tokens < prompt.len());
        Ok((Generator::of(sequence, batch), tokens))
    }

    /// What the session has seen so far, to go on from in another one; one more token of the text is
    /// fed if that is needed. `None` for a session that had seen tokens before, or where there is no
    /// room.
    ///
    /// # Errors
    /// A run that fails.
    pub fn remember(&mut self) -> Result<Option<RememberedPrompt>, GenerateError> {
        if self.sequence.has_earlier() || self.sequence.seen() == 0 {
            return Ok(None);
        }
        if !self.sequence.is_settled() {
            if !self.sequence.unsettle() {
                return Ok(None);
            }
            self.step(Work::Close)?;
        }
        let logits = self.sequence.take_kept_logits();
        let seen = self.sequence.to_remember();
        Ok(seen.map(|(text, session, head, hidden)| {
            RememberedPrompt::of(text, session, (head, hidden, logits))
        }))
    }

    /// Runs the prompt, so that the first token is there (with drafting, a round away); otherwise the
    /// first call of [`next`](Iterator::next) does. `progress` hears after each piece how many tokens
    /// are done.
    ///
    /// # Errors
    /// A run that fails. The cancel flag is no error: the rest stays pending.
    pub fn prefill(&mut self, progress: impl FnMut(usize)) -> Result<(), GenerateError> {
        self.prefill_to(usize::MAX, progress)
    }

    /// [`Generator::prefill`] of no more than the prompt's first `tokens`.
    ///
    /// # Errors
    /// A run that fails.
    pub fn prefill_to(
        &mut self,
        tokens: usize,
        mut progress: impl FnMut(usize),
    ) -> Result<(), GenerateError> {
        let mut done = 0;
        loop {
            let left = self.sequence.prompt_left();
            let piece = left.min(tokens - self.seen().min(tokens)).min(self.batch);
            if piece == 0 || self.sequence.is_cancelled() {
                return Ok(());
            }
            self.step(Work::Prompt(piece))?;
            done += piece;
            progress(done);
        }
    }

    /// How many of the prompt's and the text's tokens the session has seen.
    fn seen(&self) -> usize {
        self.sequence.seen()
    }

    fn step(&mut self, work: Work) -> Result<(), GenerateError> {
        let sequence = &mut self.sequence;
        let measured = step(&self.executor, &mut [Item { sequence, work }]);
        self.pace.learn(&measured);
        match self.sequence.error.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Why there are no more tokens; `None` while there may be more.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.stopped
    }

    /// The hash of the logits from which the end of the text was chosen, if it was and hashes were
    /// asked for.
    pub fn end_hash(&self) -> Option<LogitsHash> {
        let ended = matches!(self.stopped, Some(StopReason::EndOfText(_)));
        self.sequence.end_hash.filter(|_| ended)
    }

    /// The rounds so far, those of tokens not yet yielded included; none without drafting.
    pub fn rounds(&self) -> &[Round] {
        &self.sequence.rounds
    }

    /// The session as it is now.
    pub fn session(&self) -> &Session {
        self.sequence.session()
    }

    /// The session. It has seen all tokens but the last of the last round.
    pub fn into_session(self) -> Session {
        self.sequence.into_session()
    }

    /// One round: at least one token becomes ready, or there is a reason why not.
    fn round(&mut self) -> Result<(), GenerateError> {
        self.sequence.ending = self.sequence.limit();
        if self.sequence.ending.is_some() {
            return Ok(());
        }
        if self.sequence.prompt_left() > 0 {
            self.prefill(|_| ())?;
            if self.sequence.prompt_left() > 0 {
                self.sequence.ending = Some(StopReason::Cancelled);
            }
            // Without drafting the first token is there.
            return Ok(());
        }
        let depth = self.pace.depths(&[&self.sequence], 0);
        self.step(Work::Round(depth[0]))
    }
}

impl Iterator for Generator {
    type Item = Result<Token, GenerateError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(token) = self.sequence.ready.pop_front() {
                return Some(Ok(token));
            }
            self.stopped = self.stopped.or(self.sequence.ending);
            if self.stopped.is_some() {
                return None;
            }
            if let Err(error) = self.round() {
                self.stopped = Some(StopReason::Failed);
                return Some(Err(error));
            }
        }
    }
}
