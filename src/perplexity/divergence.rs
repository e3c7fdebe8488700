//! How far two sets of logits over the same tokens lie apart.

use serde::Serialize;

use super::base::BaseRow;
use super::log_probs::LogSoftmax;
use super::statistics::{Mean, Perplexity, covariance, quantile};
use sharpi_kernels::math::argmax;

/// Log probabilities of the base that are no larger do not count: their share is nothing, and the
/// file does not know them exactly.
const LEAST_LOG_PROB: f32 = -16.0;

/// One judged position beside that of the base.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// Negative log likelihood of the token that follows.
    pub nll: f64,
    /// That of the base.
    pub base_nll: f64,
    /// The Kullback-Leibler divergence from the base.
    pub kl: f64,
    /// The likeliest token, and that of the base; the lower id of equal ones.
    pub best: (u32, u32),
    /// Log probability of the likeliest token, and that which the base has for its own.
    pub best_log_probs: (f64, f64),
}

/// How far from 1 rounding may take the sum of a row's probabilities.
const ROUNDED: f64 = 0.01;
/// What a log probability that does not count may add to that: a little over `exp(-16)`.
const UNCOUNTED: f64 = 1.2e-7;

impl Compared {
    /// `None` if the base's numbers are no probabilities: they do not come to 1.
    pub(super) fn of(
        logits: &[f32],
        softmax: &LogSoftmax,
        base: &BaseRow<'_>,
        next: u32,
    ) -> Option<Compared> {
        let (mut kl, mut sum) = (0f64, 0f64);
        let (mut best, mut best_log_prob) = (0, f32::NEG_INFINITY);
        for (id, (logit, base)) in (0u32..).zip(logits.iter().zip(base.log_probs())) {
            if base > best_log_prob {
                (best, best_log_prob) = (id, base);
            }
            if base > LEAST_LOG_PROB {
                let probability = f64::from(base.exp());
                kl += probability * (f64::from(base) - softmax.log_prob(*logit));
                sum += probability;
            }
        }
        if (sum - 1.0).abs() > ROUNDED + UNCOUNTED * logits.len() as f64 {
            return None;
        }
        let own = argmax(logits).unwrap_or_default();
        let next = next as usize;
        Some(Compared {
            nll: -softmax.log_prob(logits[next]),
            base_nll: -f64::from(base.log_prob(next)),
            kl,
            best: (own as u32, best),
            best_log_probs: (softmax.log_prob(logits[own]), f64::from(best_log_prob)),
        })
    }

    /// How much likelier the token that follows is than for the base.
    fn probability_gained(&self) -> f64 {
        (-self.nll).exp() - (-self.base_nll).exp()
    }
}

/// A judged position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Chunk, from 0 on.
    pub chunk: usize,
    /// Token of the chunk whose logits are judged, from 0 on.
    pub token: usize,
}

/// The divergence so far.
#[derive(Clone, Debug, Default)]
pub struct Divergence {
    nll: Mean,
    base_nll: Mean,
    products: Mean,
    kl: Mean,
    gained: Mean,
    gained_squares: Mean,
    same_best: usize,
    values: Vec<f64>,
    gains: Vec<f64>,
    largest: Option<(Place, Compared)>,
}

impl Divergence {
    /// Takes in a position.
    pub fn push(&mut self, place: Place, compared: Compared) {
        let gained = compared.probability_gained();
        self.nll.push(compared.nll);
        self.base_nll.push(compared.base_nll);
        self.products.push(compared.nll * compared.base_nll);
        self.kl.push(compared.kl);
        self.gained.push(gained);
        self.gained_squares.push(gained * gained);
        self.same_best += usize::from(compared.best.0 == compared.best.1);
        self.values.push(compared.kl);
        self.gains.push(gained);
        if self.largest.is_none_or(|(_, most)| compared.kl > most.kl) {
            self.largest = Some((place, compared));
        }
    }

    /// Positions so far.
    pub fn count(&self) -> usize {
        self.kl.count()
    }

    /// The perplexity, and that of the base.
    pub fn perplexities(&self) -> (Perplexity, Perplexity) {
        (Perplexity(self.nll), Perplexity(self.base_nll))
    }

    /// The logarithm of the ratio of the two perplexities, with its error.
    pub fn log_ratio(&self) -> (f64, f64) {
        let value = self.nll.value() - self.base_nll.value();
        let (a, b) = (self.nll.error(), self.base_nll.error());
        let variance = a * a + b * b - 2.0 * self.covariance();
        (value, variance.max(0.0).sqrt())
    }

    /// How the two negative log likelihoods go together, from -1 to 1; `None` where one is always
    /// the same.
    pub fn correlation(&self) -> Option<f64> {
        let errors = self.nll.error() * self.base_nll.error();
        (errors > 0.0).then(|| self.covariance() / errors)
    }

    fn covariance(&self) -> f64 {
        covariance(&self.nll, &self.base_nll, &self.products)
    }

    /// The mean divergence.
    pub fn mean(&self) -> &Mean {
        &self.kl
    }

    /// The divergences of all positions, the least first.
    pub fn sorted(&self) -> Vec<f64> {
        sorted(&self.values)
    }

    /// How much likelier the tokens of the text are than for the base, mean and error.
    pub fn gained(&self) -> &Mean {
        &self.gained
    }

    /// The root mean square of that, and its error.
    pub fn gained_rms(&self) -> (f64, f64) {
        let rms = self.gained_squares.value().sqrt();
        let error = match rms > 0.0 {
            true => 0.5 / rms * self.gained_squares.error(),
            false => 0.0,
        };
        (rms, error)
    }

    /// How much likelier each token of the text is than for the base, the least first.
    pub fn sorted_gains(&self) -> Vec<f64> {
        sorted(&self.gains)
    }

    /// The part of the positions at which both hold the same token for the likeliest, and its error.
    pub fn same_best(&self) -> (f64, f64) {
        let part = self.same_best as f64 / self.count() as f64;
        let others = self.count().saturating_sub(1).max(1) as f64;
        (part, (part * (1.0 - part) / others).sqrt())
    }

    /// The position that diverges most.
    pub fn largest(&self) -> Option<(Place, Compared)> {
        self.largest
    }

    /// The middle divergence.
    pub fn median(&self) -> Option<f64> {
        quantile(&self.sorted(), 0.5)
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::super::log_probs::encode;
    use super::*;

    fn compare(logits: &[f32], base: &[f32], next: u32) -> Compared {
        let row = encode(base, &LogSoftmax::of(base));
        let base = BaseRow::of(&row, base.len()).unwrap();
        Compared::of(logits, &LogSoftmax::of(logits), &base, next).unwrap()
    }

    #[test]
    fn a_divergence_is_the_one_worked_out_by_hand() {
        // Base (1/2, 1/4, 1/4), here (1/4, 1/4, 1/2): ½ ln 2 − ¼ ln 2.
        let base = [2f32.ln(), 0.0, 0.0];
        let own = [0.0, 0.0, 2f32.ln()];
        let found = compare(&own, &base, 2);
        let ln2 = 2f64.ln();
        assert!((found.kl - ln2 / 4.0).abs() < 1e-5, "{found:?}");
        assert!((found.nll - ln2).abs() < 1e-6 && (found.base_nll - 2.0 * ln2).abs() < 1e-5);
        assert_eq!(found.best, (2, 0));
        assert!((found.probability_gained() - 0.25).abs() < 1e-5);
    }

    #[test]
    fn the_same_logits_do_not_diverge() {
        let logits = [1.0, -3.0, 2.5, 0.0];
        let found = compare(&logits, &logits, 1);
        assert!(found.kl.abs() < 1e-4, "{found:?}");
        assert_eq!(found.best, (2, 2));
    }

    #[test]
    fn the_position_that_differs_most_is_named() {
        let base = [2.0, 0.0, 0.0];
        let mut divergence = Divergence::default();
        for (token, own) in [[2.0, 0.1, 0.0], [0.0, 3.0, 0.0], [1.5, 0.0, 0.0]]
            .iter()
            .enumerate()
        {
            divergence.push(Place { chunk: 1, token }, compare(own, &base, 0));
        }
        let (place, compared) = divergence.largest().unwrap();
        assert_eq!(place, Place { chunk: 1, token: 1 });
        assert_eq!(compared.best, (1, 0));
        assert!((divergence.same_best().0 - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(divergence.sorted()[2], compared.kl);
    }

    #[test]
    fn likelihoods_that_are_the_same_have_a_ratio_of_one_without_an_error() {
        let mut divergence = Divergence::default();
        for (token, logit) in [0.5f32, 1.0, 2.0, 4.0].into_iter().enumerate() {
            let logits = [logit, 0.0, -1.0];
            divergence.push(Place { chunk: 0, token }, compare(&logits, &logits, 0));
        }
        let (ratio, error) = divergence.log_ratio();
        assert!(ratio.abs() < 1e-4 && error < 1e-3, "{ratio} {error}");
        assert!(divergence.correlation().unwrap() > 0.9999);
    }
}
