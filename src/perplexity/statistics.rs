//! Sums over judged tokens.

/// The mean of some numbers, and how far it is to be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    sum: f64,
    squares: f64,
    count: usize,
}

impl Mean {
    /// Takes in one number.
    pub fn push(&mut self, x: f64) {
        self.sum += x;
        self.squares += x * x;
        self.count += 1;
    }

    /// How many numbers there were.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The mean; not a number if there were none.
    pub fn value(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// The standard error of the mean; 0 of fewer than two numbers.
    pub fn error(&self) -> f64 {
        let mean = self.value();
        let variance = self.squares / self.count as f64 - mean * mean;
        match self.count > 1 && variance > 0.0 {
            true => (variance / (self.count - 1) as f64).sqrt(),
            false => 0.0,
        }
    }
}

/// The covariance of two means over the same positions, from the mean of the products.
pub fn covariance(a: &Mean, b: &Mean, products: &Mean) -> f64 {
    let count = products.count;
    match count > 1 {
        true => (products.value() - a.value() * b.value()) / (count - 1) as f64,
        false => 0.0,
    }
}

/// The value below which that part of `sorted` lies, on a line between neighbours; `None` of
/// nothing.
pub fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = part.clamp(0.0, 1.0) * last as f64;
    let below = place as usize;
    let above = (below + 1).min(last);
    let rest = place - below as f64;
    Some((1.0 - rest) * sorted[below] + rest * sorted[above])
}

/// The perplexity so far: e to the mean of the negative log likelihoods.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Perplexity(pub Mean);

impl Perplexity {
    /// Takes in the negative log likelihood of a token.
    pub fn push(&mut self, nll: f64) {
        self.0.push(nll);
    }

    /// The perplexity.
    pub fn value(&self) -> f64 {
        self.0.value().exp()
    }

    /// Its error, to first order.
    pub fn error(&self) -> f64 {
        self.0.error() * self.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(numbers: &[f64]) -> Mean {
        let mut mean = Mean::default();
        numbers.iter().for_each(|x| mean.push(*x));
        mean
    }

    #[test]
    fn a_perplexity_is_the_inverse_geometric_mean_of_the_probabilities() {
        let mut perplexity = Perplexity::default();
        for probability in [0.5f64, 0.125] {
            perplexity.push(-probability.ln());
        }
        // √(2 · 8) = 4.
        assert!((perplexity.value() - 4.0).abs() < 1e-12);
        // Values ln 2 and 3 ln 2 around 2 ln 2: variance (ln 2)², over 2 - 1.
        assert!((perplexity.error() - 4.0 * 2f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn a_mean_of_equal_numbers_has_no_error_and_one_number_none_either() {
        assert_eq!(mean(&[0.1, 0.1, 0.1]).error(), 0.0);
        assert_eq!(mean(&[5.0]).error(), 0.0);
    }

    #[test]
    fn numbers_that_go_together_have_a_covariance_of_their_variance() {
        let (a, products) = (mean(&[1.0, 2.0, 4.0]), mean(&[1.0, 4.0, 16.0]));
        let found = covariance(&a, &a, &products);
        assert!((found - a.error().powi(2)).abs() < 1e-12);
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let sorted = [1.0, 2.0, 4.0];
        let found = [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| quantile(&sorted, part));
        assert_eq!(found, [1.0, 1.5, 2.0, 3.0, 4.0].map(Some));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
