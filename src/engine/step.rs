//! One step: the runs that take any number of sequences on together.
//!
//! The heads draft, in as many runs as the longest draft has tokens; the trunk takes pieces of
//! prompts, last tokens and drafts in one run; what comes next is chosen for each sequence by
//! itself; and the heads follow what the trunk has seen. This is the one loop by which text is made.

use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::GenerateError;
use super::sequence::{Rest, Sequence, Times, Work};
use super::text::{Choice, Text, guarded};
use crate::drafting::{Drafting, HeadRun, MtpDrafter};
use crate::exec::{Executor, RunError, Views};
use crate::lower::{MTP, TRUNK};

/// Logits from which on choosing is shared out to threads: below, waking them takes longer.
const SHARED_LOGITS: usize = 1 << 18;

/// A sequence and what it does in a step.
pub(crate) struct Item<'s> {
    pub(crate) sequence: &'s mut Sequence,
    pub(crate) work: Work,
}

/// What runs took, with their tokens.
#[derive(Default, Debug)]
pub(crate) struct Measured {
    pub(crate) trunk: Option<(usize, Duration)>,
    /// One after another.
    pub(crate) head: Vec<(usize, Duration)>,
    /// Choosing after the trunk's run.
    pub(crate) choosing: Duration,
    /// Drafts of each sequence whose depth is chosen.
    pub(crate) drafted: Vec<usize>,
}

/// Takes all sequences one step on. What fails, fails for its own sequence.
pub(crate) fn step(executor: &Executor, items: &mut [Item<'_>]) -> Measured {
    let mut measured = Measured::default();
    let clock = Instant::now();
    draft(executor, items, &mut measured);
    let mut times = Times {
        draft: clock.elapsed(),
        ..Times::default()
    };
    measured.drafted = items.iter().filter_map(chosen_depth).collect();
    let clock = Instant::now();
    let choices = match run_trunk(executor, items, &mut measured) {
        Ok(choices) => choices,
        Err(error) => {
            let all = items.iter_mut();
            all.for_each(|item| item.sequence.fail(error.clone()));
            return measured;
        }
    };
    times.verify = clock.elapsed();
    for (item, choice) in items.iter_mut().zip(choices) {
        settle(item, choice, &times);
    }
    run_heads(executor, items, &mut measured);
    measured
}

/// Drafts of a sequence that has a round and whose depth is chosen.
fn chosen_depth(item: &Item<'_>) -> Option<usize> {
    match (item.work, &item.sequence.drafting) {
        (Work::Round(_), Some(Drafting::Head(head))) if head.options.adaptive => {
            Some(item.sequence.drafts.len())
        }
        _ => None,
    }
}

/// Lets all that are to draft do so.
fn draft(executor: &Executor, items: &mut [Item<'_>], measured: &mut Measured) {
    for Item { sequence, work } in &mut *items {
        let Work::Round(most @ 1..) = *work else {
            continue;
        };
        let Sequence {
            session,
            text,
            drafting,
            ..
        } = &mut **sequence;
        match drafting {
            None => {}
            Some(Drafting::Head(head)) => head.begin(session, &text.ids, most),
            Some(Drafting::Own(own)) => match own.draft(session, &text.ids, most) {
                Ok(mut drafts) => {
                    drafts.truncate(most);
                    sequence.drafts = drafts;
                }
                Err(error) => sequence.fail(error),
            },
        }
    }
    run_heads(executor, items, measured);
    for Item { sequence, work } in items {
        if let (Work::Round(1..), Some(Drafting::Head(head))) = (*work, &mut sequence.drafting) {
            let known = sequence.text.ids.len();
            match head.finish(&mut sequence.session, known) {
                Ok(drafts) => sequence.drafts = drafts,
                Err(error) => sequence.fail(error),
            }
        }
    }
}

/// Runs the heads until none has another run prepared.
fn run_heads(executor: &Executor, items: &mut [Item<'_>], measured: &mut Measured) {
    loop {
        let runs = next_runs(executor, items);
        if runs.iter().all(Option::is_none) {
            return;
        }
        let clock = Instant::now();
        match run_some_heads(executor, items, &runs) {
            Ok(tokens) => measured.head.push((tokens, clock.elapsed())),
            Err(error) => {
                let running = items.iter_mut().zip(&runs).filter(|(_, run)| run.is_some());
                running.for_each(|(item, _)| item.sequence.fail(error.clone()));
            }
        }
    }
}

/// The next runs of the heads, as many as fit into one.
fn next_runs(executor: &Executor, items: &mut [Item<'_>]) -> Vec<Option<HeadRun>> {
    let executable = executor.executable();
    let (mut tokens, mut rows) = (executable.max_tokens(), executable.max_rows());
    let runs = items.iter_mut().map(|item| {
        let Some(Drafting::Head(head)) = &mut item.sequence.drafting else {
            return None;
        };
        let count = head.next_tokens();
        if count == 0 || count > tokens || rows == 0 {
            return None;
        }
        (tokens, rows) = (tokens - count, rows - 1);
        Some(head.next())
    });
    runs.collect()
}

fn run_some_heads(
    executor: &Executor,
    items: &mut [Item<'_>],
    runs: &[Option<HeadRun>],
) -> Result<usize, RunError> {
    let mut batch = executor.batch(MTP)?;
    let mut heads: Vec<(&mut MtpDrafter, &mut Text)> = Vec::new();
    for (item, run) in items.iter_mut().zip(runs) {
        let Sequence {
            session,
            text,
            drafting,
            ..
        } = &mut *item.sequence;
        if let (Some(Drafting::Head(head)), Some(run)) = (drafting, run) {
            run.push(session, &mut batch)?;
            heads.push((head, text));
        }
    }
    let tokens = batch.tokens();
    batch.run_then(|views| {
        let hidden = views.of_each("h_next").unwrap_or_default();
        for ((head, _), hidden) in heads.iter_mut().zip(hidden) {
            head.keep_hidden(hidden);
        }
        let logits = views.of_each("logits").unwrap_or_default();
        for ((head, text), logits) in heads.iter_mut().zip(logits) {
            let end = text.end();
            if head.is_drafting() {
                text.mask_drafts(head.drafted(), head.logit_ids(), logits);
            }
            head.take(logits, &mut text.sampler, end);
        }
    })?;
    Ok(tokens)
}

/// Runs the trunk, and chooses. Of a sequence of which no token was to be chosen there is no choice.
fn run_trunk(
    executor: &Executor,
    items: &mut [Item<'_>],
    measured: &mut Measured,
) -> Result<Vec<Option<Result<Choice, GenerateError>>>, RunError> {
    let mut choices: Vec<Option<Result<Choice, GenerateError>>> = Vec::new();
    choices.resize_with(items.len(), || None);
    let mut batch = executor.batch(TRUNK)?;
    let mut running: Vec<(Rest<'_>, &mut Option<_>)> = Vec::with_capacity(items.len());
    for (item, choice) in items.iter_mut().zip(&mut choices) {
        if item.sequence.error.is_some() {
            continue;
        }
        match item.sequence.push(item.work, &mut batch) {
            Ok(rest) => running.push((rest, choice)),
            Err(error) => *choice = Some(Err(error.into())),
        }
    }
    if !batch.is_empty() {
        let clock = Instant::now();
        let tokens = batch.tokens();
        batch.run_then(|views| {
            measured.trunk = Some((tokens, clock.elapsed()));
            choose_all(&mut running, views);
            measured.choosing = clock.elapsed() - measured.trunk.map_or(Duration::ZERO, |t| t.1);
        })?;
    }
    drop(running);
    Ok(choices)
}

/// Chooses for every sequence that has rows of logits.
fn choose_all(
    running: &mut [(Rest<'_>, &mut Option<Result<Choice, GenerateError>>)],
    views: &mut Views<'_>,
) {
    if running.iter().any(|(rest, _)| rest.hidden.is_some()) {
        let each = views.of_each("h").unwrap_or_default();
        for ((rest, _), given) in running.iter_mut().zip(each) {
            if let Some(hidden) = &mut rest.hidden {
                hidden.extend_from_slice(given);
            }
        }
    }
    let logits = views.of_each("logits").unwrap_or_default();
    let all: usize = logits.iter().map(|logits| logits.len()).sum();
    let each = running.iter_mut().zip(logits);
    let each =
        each.filter(|((rest, _), logits)| !logits.is_empty() && rest.text.budget() != Some(0));
    let choose_one = |((rest, choice), logits): (&mut (Rest<'_>, &mut Option<_>), &mut [f32])| {
        **choice = Some(guarded(|| rest.text.choose(logits, rest.drafts)));
    };
    match all < SHARED_LOGITS {
        true => each.for_each(choose_one),
        false => each
            .collect::<Vec<_>>()
            .into_par_iter()
            .for_each(choose_one),
    }
}

/// Takes in what became of a sequence's part of a run.
fn settle(item: &mut Item<'_>, choice: Option<Result<Choice, GenerateError>>, times: &Times) {
    let Item { sequence, work } = item;
    if sequence.error.is_some() {
        return;
    }
    let taken = match (choice, *work) {
        (Some(Ok(choice)), _) => sequence.take(choice, times).map_err(GenerateError::from),
        (Some(Err(error)), _) => Err(error),
        (None, _) => Ok(()),
    };
    if let Err(error) = taken {
        return sequence.fail(error);
    }
    let Sequence {
        session,
        text,
        drafting: Some(Drafting::Head(head)),
        hidden,
        ..
    } = &mut **sequence
    else {
        return;
    };
    let most = session.executable().max_tokens();
    match work {
        Work::Prompt(_) | Work::Close => {
            head.observe(hidden);
            head.catch_up(session, &text.ids, (head.waiting() - 1).min(most));
        }
        // The next draft takes in what is left, in one run.
        Work::Round(_) if head.waiting() > most => head.catch_up(session, &text.ids, most),
        Work::Round(_) => {}
    }
}
