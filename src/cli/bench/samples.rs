//! What repetitions of a test have in common.

use std::time::Duration;

/// Times of the repetitions of a test, at least one.
pub(super) struct Samples {
    times: Vec<Duration>,
    /// Tokens of each.
    tokens: usize,
}

/// The middle of some numbers and how far they spread.
#[derive(Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) mean: f64,
    /// Of a sample: over n − 1; 0 for a single number.
    pub(super) stddev: f64,
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Samples {
    /// `None` if there is no time.
    pub(super) fn new(times: Vec<Duration>, tokens: usize) -> Option<Samples> {
        (!times.is_empty()).then_some(Samples { times, tokens })
    }

    pub(super) fn nanoseconds(&self) -> Vec<f64> {
        self.times.iter().map(|t| t.as_nanos() as f64).collect()
    }

    /// Tokens per second of each repetition.
    pub(super) fn speeds(&self) -> Vec<f64> {
        let tokens = self.tokens as f64;
        let speed = |t: &Duration| tokens / t.as_secs_f64().max(1e-9);
        self.times.iter().map(speed).collect()
    }
}

impl Spread {
    /// Of at least one number.
    pub(super) fn of(numbers: &[f64]) -> Spread {
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let squares: f64 = numbers.iter().map(|x| (x - mean).powi(2)).sum();
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = ((sorted.len() - 1) / 2, sorted.len() / 2);
        Spread {
            mean,
            stddev: (squares / (count - 1.0).max(1.0)).sqrt(),
            median: (sorted[low] + sorted[high]) / 2.0,
            min: sorted[0],
            max: sorted[sorted.len() - 1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_a_few_numbers_is_what_a_textbook_says() {
        let spread = Spread::of(&[2.0, 4.0, 4.0, 6.0]);
        let stddev = (8.0f64 / 3.0).sqrt();
        let expected = (4.0, stddev, 4.0, 2.0, 6.0);
        let Spread {
            mean,
            stddev,
            median,
            min,
            max,
        } = spread;
        assert_eq!((mean, stddev, median, min, max), expected);
        assert_eq!(Spread::of(&[3.0, 1.0, 100.0]).median, 3.0);
        assert_eq!(Spread::of(&[7.0]).stddev, 0.0);
    }

    #[test]
    fn a_speed_is_tokens_over_seconds() {
        let times = vec![Duration::from_millis(500), Duration::from_secs(2)];
        let samples = Samples::new(times, 10).unwrap();
        assert_eq!(samples.speeds(), [20.0, 5.0]);
        assert!(Samples::new(Vec::new(), 10).is_none());
    }
}
