//! What runs of a graph take, by their width, as it was measured.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Samples of a time that are remembered: enough for a median, few enough to follow a context that
/// grows or a machine that gets busy.
const SAMPLES: usize = 9;

/// Seconds of runs by their number of tokens.
#[derive(Clone, Default, Debug)]
pub(super) struct Costs(BTreeMap<usize, Samples>);

#[derive(Clone, Default, Debug)]
struct Samples {
    latest: VecDeque<f64>,
    median: f64,
}

impl Costs {
    /// Takes in what a run of so many tokens took.
    pub(super) fn learn(&mut self, tokens: usize, time: Duration) {
        let samples = self.0.entry(tokens).or_default();
        samples.latest.truncate(SAMPLES - 1);
        samples.latest.push_front(time.as_secs_f64());
        let mut sorted: Vec<f64> = samples.latest.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        samples.median = sorted[sorted.len() / 2];
    }

    /// Whether nothing was measured.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Seconds of a run of so many tokens: on lines through what was measured. Beyond it a time does
    /// not fall; where a single width is known, twice as many tokens take twice as long.
    pub(super) fn at(&self, tokens: usize) -> f64 {
        let mut below = self.0.range(..=tokens).rev();
        let above = self.0.range(tokens..).next();
        match (below.next(), above) {
            (Some((&a, low)), Some((&b, high))) => match b == a {
                true => low.median,
                false => line((a, low.median), (b, high.median), tokens),
            },
            (None, Some((_, first))) => first.median,
            (Some((&last, most)), None) => match below.next() {
                Some((&before, less)) => {
                    line((before, less.median), (last, most.median), tokens).max(most.median)
                }
                None => most.median * tokens as f64 / last.max(1) as f64,
            },
            (None, None) => 0.0,
        }
    }

    /// The most tokens, up to `most`, that can be added to `tokens` so that a run takes no longer
    /// than `limit` seconds.
    pub(super) fn room(&self, tokens: usize, limit: f64, most: usize) -> usize {
        // Times grow, if not at every step; of two places where they cross either will do.
        let (mut fits, mut beyond) = (0, most + 1);
        while beyond - fits > 1 {
            let middle = fits + (beyond - fits) / 2;
            match self.at(tokens + middle) <= limit {
                true => fits = middle,
                false => beyond = middle,
            }
        }
        fits
    }
}

fn line((a, low): (usize, f64), (b, high): (usize, f64), at: usize) -> f64 {
    low + (high - low) * (at as f64 - a as f64) / (b as f64 - a as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(known: &[(usize, u64)]) -> Costs {
        let mut costs = Costs::default();
        for (tokens, ms) in known {
            costs.learn(*tokens, Duration::from_millis(*ms));
        }
        costs
    }

    #[test]
    fn what_was_not_measured_lies_on_lines_through_what_was() {
        let known = costs(&[(1, 10), (3, 14), (4, 13)]);
        let ms = |costs: &Costs, tokens| (costs.at(tokens) * 1e6).round() / 1e3;
        let found: Vec<f64> = (0..=5).map(|tokens| ms(&known, tokens)).collect();
        assert_eq!(found, [10.0, 10.0, 12.0, 14.0, 13.0, 13.0]);
        assert_eq!(ms(&costs(&[(1, 10), (3, 14)]), 5), 18.0);
        assert_eq!(ms(&costs(&[(2, 10)]), 8), 40.0);
        assert_eq!(ms(&Costs::default(), 8), 0.0);
    }

    #[test]
    fn there_is_room_up_to_a_limit() {
        let known = costs(&[(1, 10), (11, 20)]);
        assert_eq!(known.room(1, 0.0145, 100), 4);
        assert_eq!(known.room(1, 0.005, 100), 0);
        assert_eq!(known.room(1, 9.0, 100), 100);
    }

    #[test]
    fn the_median_of_the_latest_runs_counts() {
        let mut costs = costs(&[(1, 900)]);
        for _ in 0..5 {
            costs.learn(1, Duration::from_millis(10));
        }
        assert_eq!(costs.at(1), 0.01);
    }
}
