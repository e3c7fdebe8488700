//! Teacher-forced: what would be chosen after each of the reference's ids.

use sharpi_ir::{DType, Module};

use super::compare::{Case, Progress};
use super::error::ParityError;
use super::free::gap;
use super::outcome::{Compared, Difference};
use super::trunk::feed;
use sharpi_kernels::math::argmax;

/// Feeds the captured ids and judges the choice at each step whose logits were captured.
pub(super) fn compare(case: &Case<'_>, progress: Progress<'_>) -> Result<Compared, ParityError> {
    let capture = case.capture;
    let close = hesitation(case.executable.module());
    let mut session = case.session()?;
    let mut compared = Compared::default();
    let mut largest = 0f32;
    let mut logits = Vec::new();
    for piece in capture.prompt_ids.chunks(case.executable.max_tokens()) {
        case.go_on()?;
        logits = feed(&mut session, piece, &[piece.len() as i32 - 1])?;
    }
    for (step, (&expected, top)) in capture.ids.iter().zip(&capture.top5).enumerate() {
        if step > 0 {
            logits = feed(&mut session, &[capture.ids[step - 1]], &[0])?;
        }
        // Of log probabilities only the differences can be compared.
        let offset = match (capture.log_probabilities, top.first()) {
            (true, Some((id, best))) => logits[*id as usize] - best,
            _ => 0.0,
        };
        for (id, logit) in top {
            largest = worse(largest, (logits[*id as usize] - offset - logit).abs());
        }
        if capture.ignore_eos {
            let excluded = case.end_of_text.iter().map(|id| *id as usize);
            excluded.for_each(|id| logits[id] = f32::NEG_INFINITY);
        }
        let chosen = argmax(&logits).map(|i| i as u32);
        if chosen != Some(expected) {
            let gap = gap(capture, step);
            compared.differences.push(Difference {
                step,
                expected,
                chosen,
                rank: rank(&logits, expected),
                gap,
                failure: gap.is_none_or(|gap| gap >= close),
            });
        }
        compared.ids += 1;
        case.step(progress)?;
    }
    compared.largest_logit_difference = Some(largest);
    Ok(compared)
}

/// The larger one; a NaN is worse than any number.
fn worse(a: f32, b: f32) -> f32 {
    if a.is_nan() || b <= a { a } else { b }
}

/// How close the reference's two best logits may lie for another choice to mean nothing: what its
/// own paths differ by, for the coarsest type among the weights.
fn hesitation(module: &Module) -> f32 {
    let types = || module.symbols.weights().map(|(_, _, w)| w.ty.dtype);
    if types().any(|ty| ty.block_len() > 1) {
        0.25
    } else if types().any(|ty| ty == DType::F16 || ty == DType::BF16) {
        0.02
    } else {
        0.002
    }
}

/// The place of an id among the logits, 1 for the largest, the lower id first on a tie; `None` if
/// it is excluded.
fn rank(logits: &[f32], id: u32) -> Option<usize> {
    let own = logits[id as usize];
    let before = |(other, x): (u32, &f32)| *x > own || (*x == own && other < id);
    let better = (0..).zip(logits).filter(|pair| before(*pair)).count();
    (own > f32::NEG_INFINITY).then_some(better + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_id_ranks_first_on_a_tie_and_an_excluded_id_not_at_all() {
        let logits = [1.0, 3.0, f32::NEG_INFINITY, 3.0, 2.0];
        let ranks = [0, 1, 2, 3, 4].map(|id| rank(&logits, id));
        assert_eq!(ranks, [Some(4), Some(1), None, Some(2), Some(3)]);
    }

    #[test]
    fn a_difference_that_is_no_number_is_the_largest() {
        assert_eq!(worse(1.0, 2.0), 2.0);
        assert!(worse(1.0, f32::NAN).is_nan() && worse(f32::NAN, 1.0).is_nan());
    }
}
