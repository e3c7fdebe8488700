//! Captures against a model, one after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use sharpi_ir::DType;

use sharpi_passes::Options;

use super::error::ParityError;
use super::golden::Capture;
use super::outcome::{Compared, Outcome, Skip};
use super::trunk::{check_ids, compile};
use super::{forced, free, widths};
use crate::generate::GenerateError;
use crate::lower::CACHE_TYPES;
use crate::{Executable, Model, Session, SessionOptions};

/// What is fed after the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The model's own ids. A capture that is not stable may differ.
    Free,
    /// The reference's ids. A choice may differ where the reference's two best logits lie so close
    /// that its own paths disagree.
    Forced,
}

/// How captures are compared.
#[derive(Clone, Debug)]
pub struct ParityOptions {
    /// What is fed after the prompt.
    pub mode: Mode,
    /// Compare captures with this cache type only; `None` each with its own.
    pub cache_type: Option<DType>,
    /// Compare, bit for bit, the logits of runs of these widths with those of single tokens.
    pub widths: Vec<usize>,
    /// Worker threads. The results do not depend on it.
    pub threads: usize,
    /// Stops the comparison when set, from another thread too.
    pub cancel: Arc<AtomicBool>,
}

/// Hears of each step of [`work`] that is done.
pub type Progress<'a> = &'a mut dyn FnMut();

/// One capture with what it is compared with.
pub(super) struct Case<'a> {
    pub(super) capture: &'a Capture,
    pub(super) executable: &'a Arc<Executable>,
    pub(super) options: &'a ParityOptions,
    /// Ids that end a text.
    pub(super) end_of_text: &'a [u32],
}

impl Case<'_> {
    /// A session that holds the prompt and the ids.
    pub(super) fn session(&self) -> Result<Session, ParityError> {
        let options = SessionOptions::default()
            .context(self.capture.prompt_ids.len() + self.capture.ids.len())
            .threads(self.options.threads)
            .rollback(1 + self.capture.n_draft_max);
        Ok(Session::new(self.executable.clone(), &options)?)
    }

    /// One step is done.
    pub(super) fn step(&self, progress: Progress<'_>) -> Result<(), ParityError> {
        progress();
        self.go_on()
    }

    /// That nobody has cancelled the comparison.
    pub(super) fn go_on(&self) -> Result<(), ParityError> {
        match self.options.cancel.load(Ordering::Relaxed) {
            true => Err(ParityError::Cancelled),
            false => Ok(()),
        }
    }

    fn compare(&self, progress: Progress<'_>) -> Result<Compared, ParityError> {
        self.go_on()?;
        let mut compared = match self.options.mode {
            Mode::Free => free::compare(self, progress)?,
            Mode::Forced => forced::compare(self, progress)?,
        };
        if !self.options.widths.is_empty() {
            compared.widths = Some(widths::compare(self, progress)?);
        }
        Ok(compared)
    }
}

/// Why a capture is not to be compared.
fn skip(capture: &Capture, options: &ParityOptions) -> Option<Skip> {
    if options
        .cache_type
        .is_some_and(|ty| ty != capture.cache_type)
    {
        Some(Skip::CacheType)
    } else if options.mode == Mode::Forced && capture.top5.is_empty() {
        Some(Skip::NoLogits)
    } else {
        None
    }
}

/// Steps that comparing these captures takes: fewer where a difference ends one early.
pub fn work(captures: &[Capture], options: &ParityOptions) -> usize {
    let steps = |capture: &Capture| {
        let ids = match options.mode {
            Mode::Free => capture.ids.len(),
            Mode::Forced => capture.top5.len(),
        };
        match options.widths[..] {
            [] => ids,
            _ => ids + capture.prompt_ids.len() + capture.ids.len(),
        }
    };
    let compared = captures.iter().filter(|c| skip(c, options).is_none());
    compared.map(steps).sum()
}

/// Compares every capture with the model; an outcome for each, in order.
///
/// # Errors
/// A model that cannot be compiled, captures that use ids which the model does not have, a run
/// that fails. Cancelling is no error: what was not compared is skipped.
pub fn compare(
    model: &Model,
    captures: &[Capture],
    options: &ParityOptions,
    progress: Progress<'_>,
) -> Result<Vec<Outcome>, ParityError> {
    check(model, captures)?;
    let tokenizer = model.tokenizer()?;
    let skipped = |skipped| Outcome::Skipped { skipped };
    let first = |c| skipped(skip(c, options).unwrap_or(Skip::Cancelled));
    let mut outcomes: Vec<Outcome> = captures.iter().map(first).collect();
    let drafts = captures.iter().map(|c| 1 + c.n_draft_max);
    let widest = options.widths.iter().copied().chain(drafts).max();
    let widest = widest.unwrap_or(1);
    // One cache type after another, so that the weights are packed once for each, and one packing
    // is held at a time.
    for cache in CACHE_TYPES {
        let to_do = |c: &Capture| c.cache_type == cache && skip(c, options).is_none();
        if !captures.iter().any(to_do) {
            continue;
        }
        let executable = Arc::new(compile(model, cache, widest, Options::default())?);
        for (capture, outcome) in captures.iter().zip(&mut outcomes) {
            if !to_do(capture) {
                continue;
            }
            let case = Case {
                capture,
                executable: &executable,
                options,
                end_of_text: tokenizer.end_of_text_ids(),
            };
            match case.compare(progress) {
                Err(ParityError::Generate(GenerateError::NoHead)) => {
                    *outcome = skipped(Skip::NoHead);
                }
                Ok(compared) => *outcome = Outcome::Compared(Box::new(compared)),
                Err(ParityError::Cancelled) => return Ok(outcomes),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(outcomes)
}

/// That the model has every id of the captures.
fn check(model: &Model, captures: &[Capture]) -> Result<(), ParityError> {
    let vocabulary = model.hparams()?.vocabulary;
    for (i, capture) in captures.iter().enumerate() {
        let ranked = capture.top5.iter().flatten().map(|(id, _)| id);
        let ids = capture.prompt_ids.iter().chain(&capture.ids).chain(ranked);
        check_ids(vocabulary, &format!("[{i}]"), ids)?;
    }
    Ok(())
}
