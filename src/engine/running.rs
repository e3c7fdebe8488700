//! A request that runs: its sequence, and what its client hears of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_channel::Sender;

use super::output::{Output, Shown};
use super::progress::Progress;
use super::prompts::Prompts;
use super::request::{End, Event, Request, RequestStats};
use super::sequence::{Sequence, Work};
use super::{EngineOptions, GenerateError, StopReason, Token};
use crate::exec::Executor;
use crate::sampling::{Sampler, SamplerOptions};
use crate::tokenizer::Tokenizer;

/// A request that waits.
pub(super) struct Waiting {
    /// Its number among all that were handed in.
    pub(super) id: u64,
    /// Its place among those that run, once it is taken up.
    pub(super) slot: usize,
    pub(super) request: Request,
    pub(super) events: Sender<Event>,
    pub(super) since: Instant,
    /// What its sequence takes.
    pub(super) bytes: u128,
    /// Positions that its caches must hold.
    pub(super) context: usize,
}

pub(super) struct Running {
    id: u64,
    /// Its place among those that run.
    pub(super) slot: usize,
    sampler: Arc<SamplerOptions>,
    drafts: usize,
    pub(super) sequence: Sequence,
    events: Sender<Event>,
    output: Output,
    stats: RequestStats,
    /// Places in the prompt at which to remember it, the first one last.
    marks: Vec<usize>,
    /// Tokens behind which nothing is remembered yet, from the last place on.
    remembered: usize,
    remember: bool,
    /// Fewer new tokens than this are not worth remembering.
    least: usize,
    taken_up: Instant,
    prompt_done: Option<Instant>,
    deadline: Option<Instant>,
    pub(super) bytes: u128,
    /// When its client heard the end; what is left then is to remember it.
    closed: Option<Instant>,
}

/// With what requests begin.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) executor: Arc<Executor>,
    pub(super) tokenizer: Option<Arc<Tokenizer>>,
    pub(super) options: EngineOptions,
}

/// What an ended request takes before it can be let go.
pub(super) enum Closing {
    Nothing,
    /// One more step.
    Step,
    /// To be remembered.
    Keeping,
}

impl Waiting {
    /// Ends a request that never ran.
    pub(super) fn refuse(self, reason: StopReason, error: Option<GenerateError>) {
        let stats = RequestStats {
            prompt_tokens: self.request.prompt.len(),
            queue_time: self.since.elapsed(),
            ..RequestStats::default()
        };
        let end = End {
            reason,
            error,
            text: String::new(),
            logits_hash: None,
            stats,
        };
        // Nobody may be listening any more.
        self.events.try_send(Event::End(Box::new(end))).ok();
    }

    /// Whether it need not run any more, and why.
    pub(super) fn is_over(&self) -> Option<StopReason> {
        let late = |most: Duration| self.since.elapsed() >= most;
        match self.request.deadline.is_some_and(late) {
            true => Some(StopReason::Deadline),
            false => self.events.is_closed().then_some(StopReason::Cancelled),
        }
    }

    /// What is left of it to tell an end to.
    pub(super) fn stub(&self) -> Waiting {
        stub(&self.events, self.request.prompt.len(), self.since)
    }

    /// Gives it a sequence, behind as much of the prompt as is remembered. Tells the client if that
    /// fails.
    pub(super) fn begin(self, start: &Start, prompts: Option<&mut Prompts>) -> Option<Running> {
        let stub = self.stub();
        match self.try_begin(start, prompts) {
            Ok(running) => Some(running),
            Err(error) => {
                stub.refuse(StopReason::Failed, Some(error));
                None
            }
        }
    }

    fn try_begin(
        self,
        start: &Start,
        mut prompts: Option<&mut Prompts>,
    ) -> Result<Running, GenerateError> {
        let engine = &start.options;
        let Request {
            prompt,
            options,
            sampler,
            draft,
            stop,
            special,
            printed,
            deadline,
            mask,
            checkpoints,
            remember,
        } = self.request;
        let draft = draft.filter(|draft| draft.n_max > 0);
        let head = draft.is_some();
        let mut session = start.executor.session(self.context, engine.rollback())?;
        let remember = remember && prompts.is_some();
        let (mut resumed, mut common) = (None, 0);
        if let Some(prompts) = prompts.as_mut().filter(|_| remember) {
            common = prompts.known(head, &prompt).1;
            resumed = prompts.resume(head, &prompt, &mut session);
        }
        let resumed = resumed.unwrap_or_default();
        let tokens = resumed.tokens;
        let told = Arc::new(sampler.clone());
        let (sampler, options) = (Sampler::new(sampler), (options, draft));
        let mut sequence = Sequence::resumed(session, sampler, &prompt, options, mask, resumed)?;
        // With drafting the last token waits for drafts.
        let end = prompt.len() - usize::from(head);
        let marks = match remember {
            true => marks(tokens, end, common, checkpoints, engine),
            false => Vec::new(),
        };
        sequence.keep_logits(marks.first() == Some(&end) && !head);
        let stats = RequestStats {
            prompt_tokens: prompt.len(),
            remembered_tokens: tokens,
            queue_time: self.since.elapsed(),
            ..RequestStats::default()
        };
        Ok(Running {
            id: self.id,
            slot: self.slot,
            sampler: told,
            drafts: draft.map_or(0, |draft| draft.n_max),
            sequence,
            events: self.events,
            output: Output::new(start.tokenizer.clone(), stop, (special, printed)),
            stats,
            marks,
            remembered: tokens,
            remember,
            least: engine.checkpoint_min.max(1),
            taken_up: Instant::now(),
            prompt_done: None,
            deadline: deadline.map(|most| self.since + most),
            bytes: self.bytes,
            closed: None,
        })
    }
}

/// A request of which nothing is left but who listens.
fn stub(events: &Sender<Event>, prompt: usize, since: Instant) -> Waiting {
    Waiting {
        id: 0,
        slot: 0,
        request: Request::default().prompt(vec![0; prompt]),
        events: events.clone(),
        since,
        bytes: 0,
        context: 0,
    }
}

/// Places of a prompt at which to remember it, the first one last: where texts are known to part or
/// said to, in even distances, and at the end. A place too near to the one before is not worth it.
fn marks(
    known: usize,
    end: usize,
    common: usize,
    mut places: Vec<usize>,
    options: &EngineOptions,
) -> Vec<usize> {
    let step = options.checkpoint_step.max(1);
    places.extend((known / step + 1..=end / step).map(|i| i * step));
    places.extend([common, end]);
    places.retain(|place| (known + 1..=end).contains(place));
    places.sort_unstable_by(|a, b| b.cmp(a));
    let mut marks: Vec<usize> = Vec::new();
    // The end counts more than what stands just before it.
    for place in places {
        let next = marks.last().copied();
        let far = next.is_none_or(|next| next - place >= options.checkpoint_min.max(1));
        if far && place - known >= options.checkpoint_min {
            marks.push(place);
        }
    }
    marks
}

impl Running {
    /// Tokens of the prompt that may be fed next: up to the next place at which to remember.
    pub(super) fn prompt_left(&self) -> usize {
        let left = self.sequence.prompt_left();
        let seen = self.sequence.seen();
        match self.marks.last() {
            Some(mark) if *mark > seen => left.min(mark - seen),
            _ => left,
        }
    }

    /// What is left of it to tell an end to.
    pub(super) fn stub(&self) -> Waiting {
        stub(&self.events, self.stats.prompt_tokens, self.taken_up)
    }

    /// Whether its client has heard the end.
    pub(super) fn is_closing(&self) -> bool {
        self.closed.is_some()
    }

    /// Whether it had ended when this request came, which may go on from what it has seen.
    pub(super) fn ended_before(&self, waiting: &Waiting) -> bool {
        self.closed.is_some_and(|closed| closed <= waiting.since)
    }

    /// How far it has come.
    pub(super) fn progress(&self) -> Progress {
        let (sequence, stats) = (&self.sequence, &self.stats);
        Progress {
            request: self.id,
            slot: self.slot,
            context: sequence.session().context(),
            prompt_tokens: stats.prompt_tokens,
            prompt_done: sequence.seen().min(stats.prompt_tokens),
            remembered_tokens: stats.remembered_tokens,
            generated_tokens: stats.generated_tokens,
            max_tokens: sequence.text.options.max_tokens,
            drafts: self.drafts,
            sampler: self.sampler.clone(),
        }
    }

    /// Takes note of what a step has made of the sequence, and tells the client.
    pub(super) fn hear(&mut self, work: Option<Work>) {
        if self.is_closing() {
            return;
        }
        if matches!(work, Some(Work::Prompt(_))) {
            self.hear_prompt();
        }
        let mut ending = None;
        while let Some(token) = self.sequence.ready.pop_front() {
            ending = self.tell(token);
            if ending.is_some() {
                break;
            }
        }
        let ending = ending.or(self.sequence.ending).or_else(|| self.over());
        if let Some(reason) = ending {
            self.end(reason);
        }
    }

    /// Whether the prompt has been read up to a place at which to remember it.
    pub(super) fn is_at_mark(&self) -> bool {
        let is_here = |mark: &usize| *mark == self.sequence.seen();
        self.marks.last().is_some_and(is_here) && self.sequence.error.is_none()
    }

    fn hear_prompt(&mut self) {
        let done = self.sequence.seen();
        if self.sequence.prompt_left() == 0 {
            self.prompt_done.get_or_insert_with(Instant::now);
        }
        self.send(Event::Prompt {
            done,
            total: self.stats.prompt_tokens,
            remembered: self.stats.remembered_tokens,
        });
    }

    fn tell(&mut self, token: Token) -> Option<StopReason> {
        self.prompt_done.get_or_insert_with(Instant::now);
        self.stats.generated_tokens += 1;
        let (text, stop) = match self.output.push(token.id) {
            Shown::Text(text) => (text, None),
            Shown::Stop(text, i) => (text, Some(StopReason::StopString(i))),
        };
        self.send(Event::Token { token, text });
        stop
    }

    /// What forbids to go on.
    pub(super) fn over(&self) -> Option<StopReason> {
        if self.events.is_closed() {
            Some(StopReason::Cancelled)
        } else if self.deadline.is_some_and(|at| Instant::now() >= at) {
            Some(StopReason::Deadline)
        } else {
            self.sequence.limit()
        }
    }

    /// Tells the client that there is no more.
    pub(super) fn end(&mut self, reason: StopReason) {
        let now = Instant::now();
        let prompt_done = self.prompt_done.unwrap_or(now);
        let mut stats = std::mem::take(&mut self.stats);
        stats.prompt_time = prompt_done - self.taken_up;
        stats.generate_time = now - prompt_done;
        stats.rounds = std::mem::take(&mut self.sequence.rounds);
        let error = self.sequence.error.take();
        self.remember &= error.is_none();
        let end = End {
            reason,
            error,
            text: self.output.finish(),
            // A stop string or a limit may have cut the text before the end that was chosen.
            logits_hash: match reason {
                StopReason::EndOfText(_) => self.sequence.end_hash,
                _ => None,
            },
            stats,
        };
        self.send(Event::End(Box::new(end)));
        self.closed = Some(now);
    }

    /// What an ended sequence takes so that all is remembered that it has seen.
    pub(super) fn closing(&mut self) -> Closing {
        let new = self.sequence.text_end().saturating_sub(self.remembered);
        if !self.remember || new < self.least || self.sequence.prompt_left() > 0 {
            Closing::Nothing
        } else if self.sequence.is_settled() {
            Closing::Keeping
        } else if self.sequence.unsettle() {
            Closing::Step
        } else {
            Closing::Nothing
        }
    }

    /// Remembers what it has seen, where there is still a memory.
    pub(super) fn keep(&mut self, prompts: Option<&mut Prompts>) {
        if self.is_at_mark() {
            self.marks.pop();
        }
        let kept = self.sequence.take_kept_logits();
        let Some((text, session, head, hidden)) = self.sequence.to_remember() else {
            return;
        };
        if let Some(prompts) = prompts {
            prompts.remember(text, session, (head, hidden, &kept));
        }
        self.remembered = text.len();
    }

    fn send(&self, event: Event) {
        // The channel has no bound: a client gets no more events than it asked for tokens.
        self.events.try_send(event).ok();
    }
}
