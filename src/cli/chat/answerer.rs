//! From a prompt to an answer on the screen.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sharpi_chat::AnswerFormat;
use sharpi_compile::conversation::ChatPrompt;
use sharpi_compile::engine::{Answer, End, Engine, Event, GenerateError, Request};
use sharpi_compile::generate::{DraftOptions, GenerateOptions, Round, StopReason};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use super::figures::Figures;
use super::params::Params;
use super::reading::Reading;
use crate::cli::answer::{AnswerPrinter, Said};
use crate::cli::failure::Failure;
use crate::cli::interrupt::{Breaks, Busy};
use crate::cli::screen::Stdout;

/// Who waits longer than this for an answer to begin is shown that something goes on.
const PATIENCE: Duration = Duration::from_millis(300);

/// How long to wait for the end of an answer that is not wanted any more: a step of a large model
/// takes longer, and ends by itself.
const GRACE: Duration = Duration::from_millis(500);

/// Asks the engine, one request at a time.
pub(super) struct Answerer {
    engine: Engine,
    draft: Option<DraftOptions>,
    /// When any answer ends.
    options: GenerateOptions,
    /// What hears of each round of drafting.
    trace: Option<fn(&Round)>,
    runtime: Runtime,
    /// Of all answers so far.
    pub(super) total: Figures,
    /// Tokens of the last prompt and its answer.
    pub(super) last_tokens: usize,
    /// Seed of the last answer, if it was drawn.
    pub(super) last_seed: Option<u64>,
}

/// What came of a prompt.
pub(super) struct Answered {
    pub(super) said: Said,
    /// Whether there was a token.
    pub(super) begun: bool,
    pub(super) reason: StopReason,
    /// What it took; unknown of an answer that was left before its end.
    pub(super) figures: Option<Figures>,
}

/// What happens first.
enum Heard {
    Event(Option<Event>),
    /// Ctrl-C.
    Stop,
    /// Nothing for a while.
    Silence,
}

impl Answerer {
    pub(super) fn new(
        engine: Engine,
        draft: Option<DraftOptions>,
        options: GenerateOptions,
        trace: Option<fn(&Round)>,
    ) -> Result<Answerer, Failure> {
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| {
            Failure::plain(
                format!("cannot wait for answers: {error}"),
                "try again; if it stays so, the system is out of resources",
            )
        })?;
        Ok(Answerer {
            engine,
            draft,
            options,
            trace,
            runtime,
            total: Figures::default(),
            last_tokens: 0,
            last_seed: None,
        })
    }

    /// Tokens that a conversation can have.
    pub(super) fn context(&self) -> usize {
        self.engine.options().context
    }

    /// Waits until all that is to be remembered is written.
    pub(super) fn close(self) {
        self.engine.drain();
    }

    /// Prints the answer to a prompt, and ends its line. Ctrl-C ends it early.
    pub(super) fn answer(
        &mut self,
        (prompt, format): (ChatPrompt, AnswerFormat),
        params: &Params,
        breaks: &Breaks,
        out: &mut Stdout,
    ) -> Result<Answered, Failure> {
        let busy = breaks.begin();
        let cancel: Arc<AtomicBool> = Arc::default();
        let tokens = prompt.ids.len();
        let request = self.request(prompt, params, cancel.clone());
        let seed = (request.sampler.temp > 0.0).then_some(request.sampler.seed);
        let mut answer = self.engine.submit(request).map_err(refused)?;
        let mut printer = AnswerPrinter::new(out, format);
        let mut reading = Some(Reading::new(tokens));
        let mut begun = false;
        let end = loop {
            let waiting = reading.as_ref().is_some_and(Reading::is_hidden);
            match self.runtime.block_on(heard(&mut answer, &busy, waiting)) {
                Heard::Silence => reading.iter_mut().for_each(Reading::show),
                Heard::Event(Some(Event::Prompt { done, .. })) => {
                    reading.iter_mut().for_each(|reading| reading.at(done));
                }
                Heard::Event(Some(Event::Token { text, .. })) => {
                    (begun, reading) = (true, None);
                    printer.push(&text)?;
                }
                Heard::Event(Some(Event::End(end))) => {
                    reading = None;
                    printer.push(&end.text)?;
                    break Some(end);
                }
                Heard::Event(Some(_)) => {}
                Heard::Event(None) => return Err(GenerateError::Stopped.into()),
                Heard::Stop => {
                    reading = None;
                    cancel.store(true, Ordering::Relaxed);
                    break self.runtime.block_on(last(&mut answer));
                }
            }
        };
        drop(reading);
        let said = printer.finish()?;
        let whole = |end: &End| end.error.is_none() && end.reason != StopReason::Cancelled;
        if begun || end.as_deref().is_some_and(whole) {
            writeln!(out)?;
            out.flush()?;
        }
        self.settle(end, seed).map(|(reason, figures)| Answered {
            said,
            begun,
            reason,
            figures,
        })
    }

    fn request(&self, prompt: ChatPrompt, params: &Params, cancel: Arc<AtomicBool>) -> Request {
        let options = self.options.clone();
        let options = options.max_tokens(params.max_tokens()).cancel(cancel);
        Request::default()
            .prompt(prompt.ids)
            .options(options)
            .sampler(params.sampler())
            .draft(self.draft)
    }

    /// Takes note of what an answer took.
    fn settle(
        &mut self,
        end: Option<Box<End>>,
        seed: Option<u64>,
    ) -> Result<(StopReason, Option<Figures>), Failure> {
        let Some(end) = end else {
            return Ok((StopReason::Cancelled, None));
        };
        if let Some(error) = end.error {
            return Err(error.into());
        }
        if let Some(trace) = self.trace {
            end.stats.rounds.iter().for_each(trace);
        }
        let figures = Figures::of(&end.stats);
        self.total.add(figures);
        self.last_tokens = figures.tokens();
        self.last_seed = seed;
        Ok((end.reason, Some(figures)))
    }
}

/// Why a prompt is not taken.
fn refused(error: GenerateError) -> Failure {
    match error {
        GenerateError::PromptTooLong { .. } => Failure::plain(
            error,
            "/clear forgets what was said; a larger -c makes room, and /save and /load take the \
             conversation there",
        ),
        error => error.into(),
    }
}

async fn heard(answer: &mut Answer, busy: &Busy<'_>, waiting: bool) -> Heard {
    tokio::select! {
        biased;
        () = busy.stopped() => Heard::Stop,
        event = answer.next_event() => Heard::Event(event),
        () = sleep(PATIENCE), if waiting => Heard::Silence,
    }
}

/// The end of an answer, if it comes soon; what else comes is too late to be shown.
async fn last(answer: &mut Answer) -> Option<Box<End>> {
    let end = async {
        loop {
            match answer.next_event().await? {
                Event::End(end) => return Some(end),
                _ => continue,
            }
        }
    };
    timeout(GRACE, end).await.ok().flatten()
}
