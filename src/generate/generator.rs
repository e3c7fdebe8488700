//! The generation loop: feed what is pending, choose, and the choice is pending.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sharpi_ir::Dim;

use super::{GenerateError, Sampler, best};
use crate::{Executable, Input, Session};

/// The graph that is run.
const TRUNK: &str = "trunk";

/// When to stop, and what to tell about each token.
#[derive(Clone, Debug)]
pub struct GenerateOptions {
    /// Tokens to generate; `None` for as many as the context holds.
    pub max_tokens: Option<usize>,
    /// Most tokens fed in one run; no more than the executable takes are fed either way.
    pub batch: usize,
    /// Tokens that end a text.
    pub end_of_text: Vec<u32>,
    /// Never choose a token that ends a text.
    pub ignore_eos: bool,
    /// How many of the best logits come with each token.
    pub logits_top: usize,
    /// Stops the generator when set, from another thread too.
    pub cancel: Arc<AtomicBool>,
}

impl Default for GenerateOptions {
    fn default() -> GenerateOptions {
        GenerateOptions {
            max_tokens: None,
            batch: 512,
            end_of_text: Vec::new(),
            ignore_eos: false,
            logits_top: 0,
            cancel: Arc::default(),
        }
    }
}

/// A generated token.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// The token.
    pub id: u32,
    /// The best logits that the trunk gave, those of tokens never to be chosen left out: the best
    /// first, the lower id first on a tie.
    pub top: Vec<(u32, f32)>,
}

/// Why there are no more tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// This token, which ends a text, was chosen; it is not among the tokens yielded.
    EndOfText(u32),
    /// As many tokens as asked for.
    Length,
    /// The session's context is full.
    Context,
    /// The cancel flag is set.
    Cancelled,
    /// A run failed; the error was yielded.
    Failed,
}

/// Yields tokens until there is a reason to stop.
pub struct Generator {
    session: Session,
    sampler: Sampler,
    options: GenerateOptions,
    /// Ids that the session has not seen yet: the prompt, then the token last chosen.
    pending: Vec<u32>,
    /// Logits after the last id that the session has seen.
    logits: Vec<f32>,
    generated: usize,
    stopped: Option<StopReason>,
}

impl Generator {
    /// Continues what the session holds with `prompt`; nothing runs yet.
    ///
    /// # Errors
    /// An empty prompt, one that the context does not hold, or an id outside the vocabulary.
    pub fn new(
        session: Session,
        mut sampler: Sampler,
        prompt: &[u32],
        options: GenerateOptions,
    ) -> Result<Generator, GenerateError> {
        let vocabulary = vocabulary(session.executable()).ok_or(GenerateError::NoTrunk)?;
        let room = session.context() - session.position(TRUNK);
        check_prompt(prompt, room, vocabulary)?;
        prompt.iter().for_each(|id| sampler.accept(*id));
        Ok(Generator {
            session,
            sampler,
            options,
            pending: prompt.to_vec(),
            logits: Vec::new(),
            generated: 0,
            stopped: None,
        })
    }

    /// Runs the prompt, so that the first token is only a choice away; otherwise the first call of
    /// [`next`](Iterator::next) does. `progress` hears after each piece how many tokens are done.
    ///
    /// # Errors
    /// A run that fails. The cancel flag is no error: the rest stays pending.
    pub fn prefill(&mut self, progress: impl FnMut(usize)) -> Result<(), GenerateError> {
        self.feed(progress)
    }

    /// Why there are no more tokens; `None` while there may be more.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.stopped
    }

    /// The session, which has seen all tokens but the last.
    pub fn into_session(self) -> Session {
        self.session
    }

    fn cancelled(&self) -> bool {
        self.options.cancel.load(Ordering::Relaxed)
    }

    /// Runs what is pending piece by piece; the last row's logits are kept.
    fn feed(&mut self, mut progress: impl FnMut(usize)) -> Result<(), GenerateError> {
        let widest = self.session.executable().max_tokens();
        let batch = self.options.batch.min(widest).max(1);
        let mut done = 0;
        while !self.pending.is_empty() && !self.cancelled() {
            let piece = self.pending.len().min(batch);
            self.run(piece)?;
            self.pending.drain(..piece);
            done += piece;
            progress(done);
        }
        Ok(())
    }

    /// Runs the first `count` pending ids.
    fn run(&mut self, count: usize) -> Result<(), GenerateError> {
        let ids: Vec<i32> = self.pending[..count].iter().map(|id| *id as i32).collect();
        let first = self.session.position(TRUNK);
        let pos: Vec<i32> = (first..first + count).map(|p| p as i32).collect();
        // Inside a prompt nobody reads the logits, and they are the dearest row there is.
        let rows = match count == self.pending.len() {
            true => vec![count as i32 - 1],
            false => vec![],
        };
        let inputs = [
            ("ids", Input::I32(&ids)),
            ("pos", Input::I32(&pos)),
            ("rows", Input::I32(&rows)),
        ];
        let outputs = self.session.run(TRUNK, &inputs)?;
        let logits = outputs.get("logits").ok_or(GenerateError::NoTrunk)?;
        self.logits.clear();
        self.logits.extend_from_slice(logits);
        Ok(())
    }

    /// What forbids another token before anything is run.
    fn limit(&self) -> Option<StopReason> {
        let full = self.session.position(TRUNK) + self.pending.len() > self.session.context();
        if self.cancelled() {
            Some(StopReason::Cancelled)
        } else if self.options.max_tokens == Some(self.generated) {
            Some(StopReason::Length)
        } else {
            full.then_some(StopReason::Context)
        }
    }

    /// The next token, or why there is none.
    fn step(&mut self) -> Result<Result<Token, StopReason>, GenerateError> {
        if let Some(reason) = self.limit() {
            return Ok(Err(reason));
        }
        self.feed(|_| ())?;
        if !self.pending.is_empty() {
            return Ok(Err(StopReason::Cancelled));
        }
        if self.options.ignore_eos {
            self.exclude_end_of_text();
        }
        let top = best::top(&self.logits, self.options.logits_top);
        let position = self.session.position(TRUNK);
        let id = self.sampler.pick(&mut self.logits);
        let id = id.ok_or(GenerateError::NoChoice { position })?;
        if !self.options.ignore_eos && self.options.end_of_text.contains(&id) {
            return Ok(Err(StopReason::EndOfText(id)));
        }
        self.sampler.accept(id);
        self.pending.push(id);
        self.generated += 1;
        Ok(Ok(Token { id, top }))
    }

    /// Excludes the tokens that end a text, as the reference does: before anything is ranked.
    fn exclude_end_of_text(&mut self) {
        for id in &self.options.end_of_text {
            if let Some(x) = self.logits.get_mut(*id as usize) {
                *x = f32::NEG_INFINITY;
            }
        }
    }
}

impl Iterator for Generator {
    type Item = Result<Token, GenerateError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stopped.is_some() {
            return None;
        }
        match self.step() {
            Ok(Ok(token)) => Some(Ok(token)),
            Ok(Err(reason)) => {
                self.stopped = Some(reason);
                None
            }
            Err(error) => {
                self.stopped = Some(StopReason::Failed);
                Some(Err(error))
            }
        }
    }
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

/// Rows of the logits: the ids that the trunk can take and give.
fn vocabulary(executable: &Executable) -> Option<usize> {
    let graph = executable.module().graphs.get(TRUNK)?;
    match graph.ty(*graph.outputs().get("logits")?).last() {
        Dim::Fixed(n) => Some(n),
        Dim::Sym(_) => None,
    }
}
