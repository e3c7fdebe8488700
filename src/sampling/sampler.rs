//! Chooses a token from logits, with llama.cpp's filters in llama.cpp's order.

use std::collections::{HashMap, VecDeque};

use super::best::{Candidate, candidates, keep_best};
use super::noise::Noise;
use sharpi_kernels::math::argmax;

sharpi_passes::option_struct! {
    /// How tokens are chosen; the names and defaults are llama.cpp's, but for the temperature.
    #[derive(Clone, Debug, PartialEq)]
    pub struct SamplerOptions {
        /// Logits are divided by it; 0 or less takes the best token without drawing. Default 0.
        pub temp: f32 = 0.0,
        /// Draw among this many best tokens; 0 for all of them.
        pub top_k: usize = 40,
        /// Draw among the fewest best tokens that have this probability together; 1 for all of them.
        pub top_p: f32 = 0.95,
        /// Drop tokens less likely than this fraction of the best one's probability; 0 for none.
        pub min_p: f32 = 0.05,
        /// Of the random numbers: there is one for each position and id.
        pub seed: u64 = 0,
        /// Makes recent tokens less likely; 1 leaves them alone.
        pub repeat_penalty: f32 = 1.0,
        /// How many tokens, of the prompt too, are recent.
        pub repeat_last_n: usize = 64,
        /// Taken from the logit of each recent token.
        pub presence_penalty: f32 = 0.0,
        /// Taken from the logit of a recent token as often as it occurs.
        pub frequency_penalty: f32 = 0.0,
        /// Added to the logits of these ids; minus infinity excludes one.
        pub logit_bias: Vec<(u32, f32)> = Vec::new(),
    }
}

/// A drafted token.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Proposal {
    /// The token.
    pub id: u32,
    /// Probability of the drafter's best token among its ten best.
    pub p: f32,
}

/// Chooses tokens.
///
/// The choice at a position is a function of the options, the tokens before it and its logits: each
/// id has a random number of its own at each position. So a text does not depend on what was drafted
/// or on who else is served, and a drafter that sees about the same logits mostly draws the same.
#[derive(Clone, Debug)]
pub struct Sampler {
    options: SamplerOptions,
    noise: Noise,
    recent: VecDeque<u32>,
}

impl Sampler {
    /// A sampler that has seen no token.
    pub fn new(options: SamplerOptions) -> Sampler {
        Sampler {
            noise: Noise::new(options.seed),
            recent: VecDeque::new(),
            options,
        }
    }

    /// Takes note of a token of the prompt or of the text, for the repeat penalty.
    pub fn accept(&mut self, id: u32) {
        self.recent.push_back(id);
        if self.recent.len() > self.options.repeat_last_n {
            self.recent.pop_front();
        }
    }

    /// Chooses the id of a position. The penalties are applied to the logits in place; an id whose
    /// logit is minus infinity is never chosen. `None` where no id has a chance.
    pub fn pick(&mut self, logits: &mut [f32], position: usize) -> Option<u32> {
        self.penalise(logits);
        if self.options.temp <= 0.0 {
            let best = argmax(logits)?;
            return (logits[best] > f32::NEG_INFINITY).then_some(best as u32);
        }
        let left = self.filtered(candidates(logits), usize::MAX);
        self.draw(left, position)
    }

    /// What a drafter's logits propose for a position, among the ten best, and the probability of the
    /// best of them; `ids` are those of the logits, if not those from 0 on. `None` where no id has a
    /// chance.
    pub(crate) fn propose(
        &mut self,
        logits: &[f32],
        ids: Option<&[u32]>,
        position: usize,
    ) -> Option<Proposal> {
        let mut left = candidates(logits);
        keep_best(&mut left, DRAFTED_AMONG);
        if let Some(ids) = ids {
            left.iter_mut().for_each(|(id, _)| *id = ids[*id as usize]);
        }
        let best = left.first()?.0;
        let p = probability_of_best(&left) as f32;
        let id = match self.options.temp <= 0.0 {
            true => best,
            false => {
                let left = self.filtered(left, DRAFTED_AMONG);
                self.draw(left, position)?
            }
        };
        Some(Proposal { id, p })
    }

    /// The candidates that the filters leave, `most` at most, the best first.
    fn filtered(&self, mut left: Vec<Candidate>, most: usize) -> Vec<Candidate> {
        let k = match self.options.top_k {
            0 => left.len(),
            k => k,
        };
        keep_best(&mut left, k.min(most));
        keep_top_p(&mut left, self.options.top_p);
        keep_min_p(&mut left, self.options.min_p);
        left
    }

    /// Draws a candidate with its probability at the temperature: the one whose logit and random
    /// number have the largest sum, if the numbers have Gumbel's distribution (Gumbel 1954,
    /// "Statistical theory of extreme values").
    fn draw(&mut self, mut left: Vec<Candidate>, position: usize) -> Option<u32> {
        // The order in which the random numbers come; on a tie the lower id is taken.
        left.sort_unstable_by_key(|(id, _)| *id);
        let mut noise = self.noise.at(position);
        let mut best: Option<(u32, f64)> = None;
        for (id, x) in left {
            let score = f64::from(x) / f64::from(self.options.temp) + noise.gumbel(id);
            if best.is_none_or(|(_, most)| score > most) {
                best = Some((id, score));
            }
        }
        best.map(|(id, _)| id)
    }

    fn penalise(&self, logits: &mut [f32]) {
        let SamplerOptions {
            repeat_penalty,
            presence_penalty,
            frequency_penalty,
            ..
        } = self.options;
        for (id, bias) in &self.options.logit_bias {
            if let Some(x) = logits.get_mut(*id as usize) {
                *x += bias;
            }
        }
        if (repeat_penalty, presence_penalty, frequency_penalty) == (1.0, 0.0, 0.0) {
            return;
        }
        let mut counts: HashMap<u32, u32> = HashMap::new();
        self.recent
            .iter()
            .for_each(|id| *counts.entry(*id).or_default() += 1);
        for (id, count) in counts {
            if let Some(x) = logits.get_mut(id as usize) {
                // Dividing a negative logit would make its token more likely.
                *x = if *x <= 0.0 {
                    *x * repeat_penalty
                } else {
                    *x / repeat_penalty
                };
                *x -= frequency_penalty * count as f32 + presence_penalty;
            }
        }
    }
}

/// A draft is one of this many best tokens, as llama.cpp's is.
const DRAFTED_AMONG: usize = 10;

/// Probability of the first candidate among these.
fn probability_of_best(left: &[Candidate]) -> f64 {
    let weights = softmax(left);
    weights
        .first()
        .map_or(0.0, |w| w / weights.iter().sum::<f64>())
}

/// Keeps the fewest candidates whose probabilities add up to `p`, at least one.
fn keep_top_p(left: &mut Vec<Candidate>, p: f32) {
    if p >= 1.0 {
        return;
    }
    let weights = softmax(left);
    let wanted = f64::from(p) * weights.iter().sum::<f64>();
    let mut sum = 0.0;
    let enough = weights.iter().position(|w| {
        sum += w;
        sum >= wanted
    });
    left.truncate(enough.map_or(left.len(), |i| i + 1));
}

/// Drops candidates less likely than the best by more than the factor `p`.
fn keep_min_p(left: &mut Vec<Candidate>, p: f32) {
    if let Some(&(_, best)) = left.first()
        && p > 0.0
    {
        let least = best + libm::logf(p.min(1.0));
        left.retain(|(_, x)| *x >= least);
    }
}

/// Probabilities of candidates in order, up to a common factor.
fn softmax(candidates: &[Candidate]) -> Vec<f64> {
    let best = candidates.first().map_or(0.0, |c| f64::from(c.1));
    let weight = |x: f32| {
        // Two infinities differ by NaN; they are equally likely.
        let below = if f64::from(x) == best {
            0.0
        } else {
            f64::from(x) - best
        };
        // Not the system's, which is not the same everywhere.
        libm::exp(below)
    };
    candidates.iter().map(|c| weight(c.1)).collect()
}

#[cfg(test)]
mod tests;
