//! Chooses a token from logits, with llama.cpp's filters in llama.cpp's order.

use std::collections::{HashSet, VecDeque};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

use super::Proposal;
use super::best::{Candidate, candidates, keep_best};
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
        /// Where the sequence of random numbers begins.
        pub seed: u64 = 0,
        /// Makes recent tokens less likely; 1 leaves them alone.
        pub repeat_penalty: f32 = 1.0,
        /// How many tokens, of the prompt too, are recent.
        pub repeat_last_n: usize = 64,
    }
}

/// Chooses tokens. The same options, tokens and logits give the same choices.
#[derive(Clone, Debug)]
pub struct Sampler {
    options: SamplerOptions,
    random: ChaCha12Rng,
    recent: VecDeque<u32>,
}

impl Sampler {
    /// A sampler that has seen no token.
    pub fn new(options: SamplerOptions) -> Sampler {
        Sampler {
            random: ChaCha12Rng::seed_from_u64(options.seed),
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

    /// Chooses an id. The penalties are applied to the logits in place; an id whose logit is
    /// minus infinity is never chosen. `None` where no id has a chance.
    pub fn pick(&mut self, logits: &mut [f32]) -> Option<u32> {
        self.verify(logits, None).map(Verdict::id)
    }

    /// [`Sampler::pick`], which a draft may anticipate: it is accepted with probability
    /// `min(1, p / q)`, p the target's and q the drafter's, and otherwise a token is drawn from
    /// what p has over q. So each token is chosen with its probability p, whatever was drafted
    /// (Leviathan et al. 2023, "Fast inference from transformers via speculative decoding").
    pub(super) fn verify(
        &mut self,
        logits: &mut [f32],
        draft: Option<&Proposal>,
    ) -> Option<Verdict> {
        self.penalise(logits);
        if self.options.temp <= 0.0 {
            let best = argmax(logits)?;
            let best = (logits[best] > f32::NEG_INFINITY).then_some(best as u32)?;
            return Some(match draft {
                Some(draft) if draft.id == best => Verdict::Accepted(best),
                _ => Verdict::Chosen(best),
            });
        }
        let mut odds = self.odds(logits);
        if let Some(draft) = draft {
            let p = odds.iter().find(|(id, _)| *id == draft.id);
            let p = p.map_or(0.0, |(_, p)| *p);
            if self.random.random::<f64>() * draft.odds_of(draft.id) < p {
                return Some(Verdict::Accepted(draft.id));
            }
            let over = |(id, p): (u32, f64)| (id, (p - draft.odds_of(id)).max(0.0));
            let rest: Vec<_> = odds.iter().copied().map(over).collect();
            // Rounding can leave nothing where p and q agree.
            if rest.iter().any(|(_, p)| *p > 0.0) {
                odds = rest;
            }
        }
        self.draw(&odds).map(Verdict::Chosen)
    }

    /// What a drafter's logits propose: the best token without temperature, else one drawn among
    /// the ten best. `None` where no id has a chance.
    pub(super) fn propose(&mut self, logits: &[f32]) -> Option<Proposal> {
        let mut left = candidates(logits);
        keep_best(&mut left, DRAFTED_AMONG);
        let best = left.first()?.0;
        let p = normalised(&left, 1.0).first().map_or(0.0, |(_, p)| *p) as f32;
        if self.options.temp <= 0.0 {
            return Some(Proposal {
                p,
                ..Proposal::certain(best)
            });
        }
        let odds = normalised(&left, self.options.temp);
        let id = self.draw(&odds)?;
        Some(Proposal { id, p, odds })
    }

    /// Probabilities at the temperature of the candidates that the filters leave, the best first.
    fn odds(&self, logits: &[f32]) -> Vec<(u32, f64)> {
        let mut left = candidates(logits);
        let k = match self.options.top_k {
            0 => left.len(),
            k => k,
        };
        keep_best(&mut left, k);
        keep_top_p(&mut left, self.options.top_p);
        keep_min_p(&mut left, self.options.min_p);
        normalised(&left, self.options.temp)
    }

    fn penalise(&self, logits: &mut [f32]) {
        let penalty = self.options.repeat_penalty;
        if penalty == 1.0 {
            return;
        }
        let recent: HashSet<u32> = self.recent.iter().copied().collect();
        for id in recent {
            if let Some(x) = logits.get_mut(id as usize) {
                // Dividing a negative logit would make its token more likely.
                *x = if *x <= 0.0 {
                    *x * penalty
                } else {
                    *x / penalty
                };
            }
        }
    }

    /// Draws one of the ids by its weight.
    fn draw(&mut self, odds: &[(u32, f64)]) -> Option<u32> {
        let mut at = self.random.random::<f64>() * odds.iter().map(|(_, p)| p).sum::<f64>();
        for (id, p) in odds {
            at -= p;
            if at < 0.0 {
                return Some(*id);
            }
        }
        // Rounding can leave a last trace of the sum; the best token takes it.
        odds.first().map(|(id, _)| *id)
    }
}

/// A draft is one of this many best tokens, as llama.cpp's is.
const DRAFTED_AMONG: usize = 10;

/// What became of the place that a draft was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The draft's token.
    Accepted(u32),
    /// The trunk's.
    Chosen(u32),
}

impl Verdict {
    pub(super) fn id(self) -> u32 {
        match self {
            Verdict::Accepted(id) | Verdict::Chosen(id) => id,
        }
    }
}

/// Probabilities of candidates in order.
fn normalised(left: &[Candidate], temp: f32) -> Vec<(u32, f64)> {
    let weights = softmax(left, temp);
    let sum: f64 = weights.iter().sum();
    let ids = left.iter().map(|(id, _)| *id);
    ids.zip(weights.into_iter().map(|w| w / sum)).collect()
}

/// Keeps the fewest candidates whose probabilities add up to `p`, at least one.
fn keep_top_p(left: &mut Vec<Candidate>, p: f32) {
    if p >= 1.0 {
        return;
    }
    let weights = softmax(left, 1.0);
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
        let least = best + p.min(1.0).ln();
        left.retain(|(_, x)| *x >= least);
    }
}

/// Probabilities of candidates in order, up to a common factor.
fn softmax(candidates: &[Candidate], temp: f32) -> Vec<f64> {
    let best = candidates.first().map_or(0.0, |c| f64::from(c.1));
    let weight = |x: f32| {
        // Two infinities differ by NaN; they are equally likely.
        let below = if f64::from(x) == best {
            0.0
        } else {
            f64::from(x) - best
        };
        (below / f64::from(temp)).exp()
    };
    candidates.iter().map(|c| weight(c.1)).collect()
}

#[cfg(test)]
mod tests;
