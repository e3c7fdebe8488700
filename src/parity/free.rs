//! Free-running: the ids that the generation loop emits.

use std::sync::Arc;

use super::compare::{Case, Progress};
use super::error::ParityError;
use super::golden::Capture;
use super::outcome::{Compared, Difference};
use super::rounds;
use crate::generate::{
    DraftOptions, GenerateOptions, Generator, MtpDrafter, Sampler, SamplerOptions, StopReason,
};

/// Generates as many ids as were captured, up to the first that differs.
pub(super) fn compare(case: &Case<'_>, progress: Progress<'_>) -> Result<Compared, ParityError> {
    let capture = case.capture;
    let sampler = Sampler::new(SamplerOptions::default());
    let options = GenerateOptions::default()
        .max_tokens(Some(capture.ids.len()))
        .end_of_text(case.end_of_text.to_vec())
        .ignore_eos(capture.ignore_eos)
        // All, so that the reference's id has a rank wherever it lies.
        .logits_top(usize::MAX)
        .cancel(Arc::clone(&case.options.cancel));
    let session = case.session()?;
    let prompt = &capture.prompt_ids;
    let mut generator = match capture.n_draft_max {
        0 => Generator::new(session, sampler, prompt, options)?,
        n_max => {
            let draft = DraftOptions::default().n_max(n_max);
            let drafter = MtpDrafter::new(&session, draft)?;
            Generator::with_drafting(session, sampler, drafter, prompt, options)?
        }
    };
    let mut compared = Compared::default();
    for (step, &expected) in capture.ids.iter().enumerate() {
        let token = generator.next().transpose()?;
        case.go_on()?;
        let (chosen, rank) = match &token {
            Some(token) => (Some(token.id), rank(&token.top, expected)),
            None => (ending(&generator), None),
        };
        compared.ids += 1;
        if chosen != Some(expected) {
            compared.differences.push(Difference {
                step,
                expected,
                chosen,
                rank,
                gap: gap(capture, step),
                failure: capture.stable,
            });
            break;
        }
        case.step(progress)?;
    }
    if !capture.rounds.is_empty() {
        let module = case.executable.module();
        compared.rounds = Some(rounds::compare(capture, module, generator.rounds()));
    }
    Ok(compared)
}

/// The place of an id among the logits.
fn rank(top: &[(u32, f32)], id: u32) -> Option<usize> {
    top.iter()
        .position(|(other, _)| *other == id)
        .map(|i| i + 1)
}

/// The id that ended the text, which the generator keeps to itself.
fn ending(generator: &Generator) -> Option<u32> {
    match generator.stop_reason() {
        Some(StopReason::EndOfText(id)) => Some(id),
        _ => None,
    }
}

/// How far apart the reference's two best logits are at a step, if captured.
pub(super) fn gap(capture: &Capture, step: usize) -> Option<f32> {
    match capture.top5.get(step)?[..] {
        [(_, best), (_, second), ..] => Some(best - second),
        _ => None,
    }
}
