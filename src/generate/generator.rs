//! The generation loop: feed what is pending, choose, and the choice is pending.
//!
//! With a drafter, a round feeds the pending token and the drafted ones at once; the trunk's own
//! choices say how many of them hold, and the rest is taken back.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sharpi_ir::Dim;

use super::sampler::Verdict;
use super::{
    Drafter, GenerateError, GenerateOptions, Proposal, Round, Sampler, StopReason, TRUNK, Token,
    best,
};
use crate::{Executable, Input, Session};

/// Yields tokens until there is a reason to stop.
pub struct Generator {
    session: Session,
    sampler: Sampler,
    drafter: Option<Box<dyn Drafter + Send>>,
    options: GenerateOptions,
    /// Tokens from position `base` on. The session has not seen the last ones: the prompt, then
    /// the token last chosen.
    text: Vec<u32>,
    base: usize,
    /// Of the text's last token, where no draft goes with it.
    outcome: Option<Outcome>,
    /// Tokens that a round has made and nobody has taken.
    ready: VecDeque<Token>,
    rounds: Vec<Round>,
    generated: usize,
    /// Why there will be no round after the tokens that are ready.
    ending: Option<StopReason>,
    stopped: Option<StopReason>,
}

/// What the trunk gave for the rows asked for.
struct Outcome {
    logits: Vec<f32>,
    /// Hidden states of all tokens, if there is a drafter to see them.
    hidden: Vec<f32>,
}

/// What was chosen behind the pending token.
struct Choice {
    tokens: Vec<Token>,
    accepted: usize,
    ending: Option<StopReason>,
}

impl Generator {
    /// Continues what the session holds with `prompt`; nothing runs yet.
    ///
    /// # Errors
    /// An empty prompt, one that the context does not hold, or an id outside the vocabulary; a trunk
    /// without states, which cannot go on with a text.
    pub fn new(
        session: Session,
        mut sampler: Sampler,
        prompt: &[u32],
        options: GenerateOptions,
    ) -> Result<Generator, GenerateError> {
        let vocabulary = vocabulary(session.executable()).ok_or(GenerateError::NoTrunk)?;
        if !keeps_state(session.executable()) {
            return Err(GenerateError::NoState);
        }
        let base = session.position(TRUNK);
        check_prompt(prompt, session.context() - base, vocabulary)?;
        prompt.iter().for_each(|id| sampler.accept(*id));
        Ok(Generator {
            session,
            sampler,
            drafter: None,
            options,
            text: prompt.to_vec(),
            base,
            outcome: None,
            ready: VecDeque::new(),
            rounds: Vec::new(),
            generated: 0,
            ending: None,
            stopped: None,
        })
    }

    /// [`Generator::new`], of a session without tokens, with drafting. Without temperature the
    /// text is the same; with it, tokens have the same probabilities.
    ///
    /// Drafts are no longer than the session's `rollback` less one.
    ///
    /// # Errors
    /// As [`Generator::new`]; besides, a session that holds tokens already.
    pub fn with_drafter(
        session: Session,
        sampler: Sampler,
        drafter: Box<dyn Drafter + Send>,
        prompt: &[u32],
        options: GenerateOptions,
    ) -> Result<Generator, GenerateError> {
        let mut generator = Generator::new(session, sampler, prompt, options)?;
        if generator.base > 0 {
            return Err(GenerateError::LateDrafter);
        }
        generator.drafter = Some(drafter);
        Ok(generator)
    }

    /// Runs the prompt, so that the first token is only a choice (with a drafter, a round) away;
    /// otherwise the first call of [`next`](Iterator::next) does. `progress` hears after each piece
    /// how many tokens are done.
    ///
    /// # Errors
    /// A run that fails. The cancel flag is no error: the rest stays pending.
    pub fn prefill(&mut self, progress: impl FnMut(usize)) -> Result<(), GenerateError> {
        self.prefill_to(self.text.len(), progress)
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
        let widest = self.session.executable().max_tokens();
        let batch = self.options.batch.min(widest).max(1);
        let end = tokens.min(self.text.len() - self.held_back());
        let mut done = 0;
        while self.seen() < end && !self.cancelled() {
            let piece = (end - self.seen()).min(batch);
            // Inside a prompt nobody reads the logits, and they are the dearest row there is.
            let rows = match piece == self.pending() {
                true => vec![piece as i32 - 1],
                false => vec![],
            };
            let outcome = self.feed(piece, &[], &rows)?;
            self.observe(&outcome.hidden)?;
            self.outcome = (!rows.is_empty()).then_some(outcome);
            done += piece;
            progress(done);
        }
        Ok(())
    }

    /// Tokens that wait for drafts to go with them.
    fn held_back(&self) -> usize {
        usize::from(self.drafter.is_some())
    }

    /// Why there are no more tokens; `None` while there may be more.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.stopped
    }

    /// The rounds so far, those of tokens not yet yielded included; none without a drafter.
    pub fn rounds(&self) -> &[Round] {
        &self.rounds
    }

    /// The session as it is now.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The session. It has seen all tokens but the last of the last round.
    pub fn into_session(self) -> Session {
        self.session
    }

    fn cancelled(&self) -> bool {
        self.options.cancel.load(Ordering::Relaxed)
    }

    /// How many of the text's tokens the session has seen.
    fn seen(&self) -> usize {
        self.session.position(TRUNK) - self.base
    }

    fn pending(&self) -> usize {
        self.text.len() - self.seen()
    }

    /// Runs the next `count` tokens of the text and the drafts behind them.
    fn feed(
        &mut self,
        count: usize,
        drafts: &[Proposal],
        rows: &[i32],
    ) -> Result<Outcome, GenerateError> {
        let seen = self.seen();
        let known = self.text[seen..seen + count].iter().copied();
        let ids = known.chain(drafts.iter().map(|d| d.id));
        let ids: Vec<i32> = ids.map(|id| id as i32).collect();
        let first = self.session.position(TRUNK);
        let pos: Vec<i32> = (first..first + ids.len()).map(|p| p as i32).collect();
        let inputs = [
            ("ids", Input::I32(&ids)),
            ("pos", Input::I32(&pos)),
            ("rows", Input::I32(rows)),
        ];
        let mut outputs = match drafts {
            [] => self.session.run(TRUNK, &inputs)?,
            _ => self.session.run_tentative(TRUNK, &inputs)?,
        };
        let logits = outputs.take("logits").ok_or(GenerateError::NoTrunk)?;
        let hidden = match self.drafter {
            Some(_) => outputs.take("h").ok_or(GenerateError::NoTrunk)?,
            None => Vec::new(),
        };
        Ok(Outcome { logits, hidden })
    }

    /// Tells the drafter of the tokens that the session has just seen.
    fn observe(&mut self, hidden: &[f32]) -> Result<(), GenerateError> {
        match &mut self.drafter {
            Some(drafter) => drafter.observe(&mut self.session, &self.text, hidden),
            None => Ok(()),
        }
    }

    /// What forbids another token before anything is run.
    fn limit(&self) -> Option<StopReason> {
        let full = self.session.position(TRUNK) + self.pending() > self.session.context();
        if self.cancelled() {
            Some(StopReason::Cancelled)
        } else if self.options.max_tokens == Some(self.generated) {
            Some(StopReason::Length)
        } else {
            full.then_some(StopReason::Context)
        }
    }

    /// Most tokens that may be drafted now: the round adds one of its own.
    fn room(&self) -> usize {
        let budget = self.options.max_tokens.map(|most| most - self.generated);
        let executable = self.session.executable();
        let width = (self.session.rollback().min(executable.max_tokens()))
            .min(executable.max_rows())
            .min(self.session.context() - self.session.position(TRUNK));
        width.min(budget.unwrap_or(usize::MAX)).saturating_sub(1)
    }

    /// One round: at least one token becomes ready, or there is a reason why not.
    fn round(&mut self) -> Result<(), GenerateError> {
        self.ending = self.limit();
        if self.ending.is_some() {
            return Ok(());
        }
        self.prefill(|_| ())?;
        if self.pending() > self.held_back() {
            self.ending = Some(StopReason::Cancelled);
            return Ok(());
        }
        let position = self.session.position(TRUNK);
        let (draft_time, drafts) = timed(|| self.draft())?;
        let (verify_time, (choice, outcome)) = timed(|| {
            let rows: Vec<i32> = (0..=drafts.len() as i32).collect();
            let mut outcome = match self.outcome.take() {
                Some(outcome) => outcome,
                None => self.feed(1, &drafts, &rows)?,
            };
            let choice = self.choose(&mut outcome.logits, &drafts)?;
            Ok((choice, outcome))
        })?;
        let kept = self.session.position(TRUNK) - (drafts.len() - choice.accepted);
        let (rollback_time, ()) = timed(|| Ok(self.session.truncate(TRUNK, kept)?))?;
        self.text.extend(choice.tokens.iter().map(|t| t.id));
        if self.drafter.is_some() {
            let width = outcome.hidden.len() / (1 + drafts.len());
            self.observe(&outcome.hidden[..(1 + choice.accepted) * width])?;
            let round = Round {
                position,
                draft: drafts.iter().map(|d| (d.id, d.p)).collect(),
                accepted: choice.accepted,
                next: choice.tokens.get(choice.accepted).map(|t| t.id),
                draft_time,
                verify_time,
                rollback_time,
            };
            if let Some(drafter) = &mut self.drafter {
                drafter.learn(&round);
            }
            self.rounds.push(round);
        }
        self.generated += choice.tokens.len();
        self.ready.extend(choice.tokens);
        self.ending = choice.ending;
        Ok(())
    }

    fn draft(&mut self) -> Result<Vec<Proposal>, GenerateError> {
        let most = self.room();
        let Some(drafter) = self.drafter.as_mut().filter(|_| most > 0) else {
            return Ok(Vec::new());
        };
        let mut drafts = drafter.draft(&mut self.session, &self.text, most, &mut self.sampler)?;
        drafts.truncate(most);
        Ok(drafts)
    }

    /// Chooses a token for each row of logits as long as the drafts hold.
    fn choose(&mut self, logits: &mut [f32], drafts: &[Proposal]) -> Result<Choice, GenerateError> {
        let mut choice = Choice {
            tokens: Vec::new(),
            accepted: 0,
            ending: None,
        };
        let next = self.session.position(TRUNK) - drafts.len();
        let width = logits.len() / (1 + drafts.len());
        for (i, logits) in logits.chunks_exact_mut(width).enumerate() {
            if self.options.ignore_eos {
                exclude(logits, &self.options.end_of_text);
            }
            let top = best::top(logits, self.options.logits_top);
            let verdict = self.sampler.verify(logits, drafts.get(i));
            let verdict = verdict.ok_or(GenerateError::NoChoice { position: next + i })?;
            let id = verdict.id();
            if !self.options.ignore_eos && self.options.end_of_text.contains(&id) {
                choice.ending = Some(StopReason::EndOfText(id));
                break;
            }
            self.sampler.accept(id);
            choice.tokens.push(Token { id, top });
            match verdict {
                Verdict::Accepted(_) => choice.accepted += 1,
                Verdict::Chosen(_) => break,
            }
        }
        Ok(choice)
    }
}

impl Iterator for Generator {
    type Item = Result<Token, GenerateError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(token) = self.ready.pop_front() {
                return Some(Ok(token));
            }
            self.stopped = self.stopped.or(self.ending);
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

/// Excludes tokens, as the reference does: before anything is ranked.
fn exclude(logits: &mut [f32], ids: &[u32]) {
    for id in ids {
        if let Some(x) = logits.get_mut(*id as usize) {
            *x = f32::NEG_INFINITY;
        }
    }
}

fn timed<T>(
    work: impl FnOnce() -> Result<T, GenerateError>,
) -> Result<(Duration, T), GenerateError> {
    let start = Instant::now();
    let done = work()?;
    Ok((start.elapsed(), done))
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
fn keeps_state(executable: &Executable) -> bool {
    let graph = executable.module().graphs.get(TRUNK);
    graph.is_some_and(|graph| graph.nodes().any(|node| graph.state(node).is_some()))
}

/// Rows of the logits: the ids that the trunk can take and give.
fn vocabulary(executable: &Executable) -> Option<usize> {
    let graph = executable.module().graphs.get(TRUNK)?;
    match graph.ty(*graph.outputs().get("logits")?).last() {
        Dim::Fixed(n) => Some(n),
        Dim::Sym(_) => None,
    }
}
