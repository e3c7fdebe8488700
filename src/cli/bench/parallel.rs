//! Several sequences at once, through the engine, as llama-batched-bench has them.

use std::time::Duration;

use sharpi_compile::engine::{Engine, EngineOptions, Event, Request, RequestStats, StopReason};
use sharpi_compile::generate::{DraftOptions, GenerateOptions};

use super::super::failure::Failure;
use super::super::progress::Progress;
use super::samples::Spread;
use super::test::{Bench, Measured, Test};

/// What a test of several sequences has besides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Together {
    /// Tokens a second of each sequence, the median.
    pub(super) sequence_ts: f64,
    /// Tokens a second of all prompts together.
    pub(super) prompt_ts: Option<f64>,
    /// Milliseconds until the first token is there, the median and the most.
    pub(super) first_token_ms: f64,
    pub(super) last_first_token_ms: f64,
    /// The part of the time that went neither into runs nor into choosing.
    pub(super) scheduler_share: f64,
}

impl Bench<'_> {
    /// Repeats a test of `parallel` sequences, after a first run that does not count.
    pub(super) fn run_together(
        &self,
        test: &Test,
        parallel: usize,
        progress: &Progress,
    ) -> Result<Measured, Failure> {
        let options = EngineOptions::default()
            .threads(self.threads)
            .parallel(parallel)
            .queue(parallel)
            .context(test.context())
            .drafts(test.drafting.n_max);
        let engine = Engine::start(self.executable.clone(), None, options)?;
        if self.warmup {
            progress.says(format!("{test}: warming up"));
            let short = Test {
                prompt: test.prompt.min(32),
                generate: test.generate.min(8),
                ..*test
            };
            self.answers(&engine, &short, parallel)?;
        }
        let mut measured = Measured::default();
        let mut together: Vec<Together> = Vec::new();
        for i in 1..=self.repetitions {
            progress.says(format!("{test}: {i} of {}", self.repetitions));
            let before = engine.stats();
            let answers = self.answers(&engine, test, parallel)?;
            if self.cancelled() {
                break;
            }
            let after = engine.stats();
            let own = after.own_seconds - before.own_seconds;
            let share = own / (after.step_seconds - before.step_seconds).max(1e-9);
            let (speed, one) = summary(&answers, test, share);
            let tokens = (test.generate * parallel) as f64;
            measured
                .times
                .push(Duration::from_secs_f64(tokens / speed.max(1e-9)));
            measured.rounds = answers.into_iter().flat_map(|a| a.rounds).collect();
            together.push(one);
            progress.step();
        }
        measured.together = middle(&together);
        Ok(measured)
    }

    /// Has all sequences answered at once.
    fn answers(
        &self,
        engine: &Engine,
        test: &Test,
        parallel: usize,
    ) -> Result<Vec<RequestStats>, Failure> {
        let submit = |i: usize| {
            // Each another text, or one would be the draft of the other.
            let prompt = self.ids.iter().cycle().skip(i * 17);
            let prompt = prompt.take(test.prompt.max(1)).copied().collect();
            let draft = DraftOptions::default()
                .n_max(test.drafting.n_max)
                .adaptive(test.drafting.adaptive);
            let options = GenerateOptions::default()
                .max_tokens(Some(test.generate))
                .cancel(self.cancel.clone());
            let request = Request::default()
                .prompt(prompt)
                .options(options)
                .draft(test.drafts().then_some(draft));
            engine.submit(request)
        };
        let answers: Result<Vec<_>, _> = (0..parallel).map(submit).collect();
        let mut all = Vec::new();
        for answer in answers? {
            for event in answer {
                if let Event::End(end) = event {
                    if let (StopReason::Failed, Some(error)) = (end.reason, end.error) {
                        return Err(error.into());
                    }
                    all.push(end.stats);
                }
            }
        }
        Ok(all)
    }
}

/// Tokens a second of all sequences together while they generate, and the rest.
fn summary(answers: &[RequestStats], test: &Test, scheduler_share: f64) -> (f64, Together) {
    // Without drafts the first token comes with the end of the prompt.
    let first = usize::from(!test.drafts());
    let speed = |a: &RequestStats| {
        let tokens = a.generated_tokens.saturating_sub(first) as f64;
        tokens / a.generate_time.as_secs_f64().max(1e-9)
    };
    let speeds: Vec<f64> = answers.iter().map(speed).collect();
    let firsts = answers
        .iter()
        .map(|a| (a.queue_time + a.prompt_time).as_secs_f64());
    let firsts: Vec<f64> = firsts.map(|s| 1e3 * s).collect();
    let first = Spread::of(&firsts);
    let prompts: usize = answers.iter().map(|a| a.prompt_tokens).sum();
    let together = Together {
        sequence_ts: Spread::of(&speeds).median,
        prompt_ts: (test.prompt > 1).then(|| 1e3 * prompts as f64 / first.max),
        first_token_ms: first.median,
        last_first_token_ms: first.max,
        scheduler_share,
    };
    (speeds.iter().sum(), together)
}

/// Medians of repetitions.
fn middle(all: &[Together]) -> Option<Together> {
    if all.is_empty() {
        return None;
    }
    let median = |of: fn(&Together) -> f64| {
        let numbers: Vec<f64> = all.iter().map(of).collect();
        Spread::of(&numbers).median
    };
    let prompts: Option<Vec<f64>> = all.iter().map(|t| t.prompt_ts).collect();
    Some(Together {
        sequence_ts: median(|t| t.sequence_ts),
        prompt_ts: prompts.map(|numbers| Spread::of(&numbers).median),
        first_token_ms: median(|t| t.first_token_ms),
        last_first_token_ms: median(|t| t.last_first_token_ms),
        scheduler_share: median(|t| t.scheduler_share),
    })
}
