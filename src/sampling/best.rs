//! The largest logits, in one order wherever they are ranked.

use std::cmp::Ordering;

/// An id and its logit.
pub(crate) type Candidate = (u32, f32);

/// The larger logit first; the lower id first on a tie.
fn rank(a: &Candidate, b: &Candidate) -> Ordering {
    let by_logit = b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal);
    by_logit.then(a.0.cmp(&b.0))
}

/// All ids that have a chance: neither NaN nor excluded with minus infinity.
pub(super) fn candidates(logits: &[f32]) -> Vec<Candidate> {
    let all = (0u32..).zip(logits.iter().copied());
    all.filter(|(_, x)| *x > f32::NEG_INFINITY).collect()
}

/// Keeps the `k` best and puts them in order.
pub(super) fn keep_best(candidates: &mut Vec<Candidate>, k: usize) {
    if k == 0 {
        candidates.clear();
    } else if k < candidates.len() {
        // A vocabulary has a quarter million entries; only the few that stay are sorted.
        candidates.select_nth_unstable_by(k - 1, rank);
        candidates.truncate(k);
    }
    candidates.sort_unstable_by(rank);
}

/// The `k` best logits with their ids, the best first.
pub(crate) fn top(logits: &[f32], k: usize) -> Vec<Candidate> {
    if k == 0 {
        return Vec::new();
    }
    let mut best = candidates(logits);
    keep_best(&mut best, k);
    best
}

/// The logarithm of the sum of the logits' exponentials: what a logit exceeds the logarithm of its
/// probability by.
pub(crate) fn log_sum(logits: &[f32]) -> f32 {
    let finite = || logits.iter().copied().filter(|x| *x > f32::NEG_INFINITY);
    let most = finite().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = finite().map(|x| libm::exp(f64::from(x - most))).sum();
    most + libm::log(sum) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_come_in_order_and_the_lower_id_first_on_a_tie() {
        let logits = [1.0, 3.0, f32::NAN, 3.0, f32::NEG_INFINITY, 2.0];
        assert_eq!(top(&logits, 3), [(1, 3.0), (3, 3.0), (5, 2.0)]);
        assert_eq!(top(&logits, 99).len(), 4);
        assert!(top(&logits, 0).is_empty());
    }

    #[test]
    fn probabilities_of_all_logits_add_up_to_one() {
        let logits = [1.0, 3.0, f32::NEG_INFINITY, 2.5];
        let sum: f32 = logits.map(|x| (x - log_sum(&logits)).exp()).iter().sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    }
}
