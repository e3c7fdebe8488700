//! How far each sequence drafts: what promises the most tokens a second, from the times that runs
//! took and from how many drafts held.

use std::time::Duration;

use super::costs::Costs;
use super::sequence::Sequence;
use super::step::Measured;
use crate::drafting::Drafting;

/// Another depth must promise more by this factor: noise shall not move it to and fro.
const HYSTERESIS: f64 = 1.03;
/// Every so many rounds, two go to a neighbouring depth, to know what it costs and brings by now.
const PROBE: usize = 24;
/// Depths of the first rounds.
const START: [usize; 5] = [1, 1, 0, 2, 2];

/// What steps cost on this machine, and how far to draft in the next one.
#[derive(Default, Debug)]
pub(crate) struct Pace {
    pub(super) trunk: Costs,
    head: Costs,
    /// Drafts that each sequence made of its own accord, on average, in the last rounds.
    current: f64,
    rounds: usize,
}

/// What a sequence could draft.
struct Wish {
    /// Of the first place, and of each further one if those before it hold: the probability that
    /// the draft reaches so far and holds.
    holds: Vec<f64>,
    /// Shorter drafts than this are dropped.
    least: usize,
}

impl Pace {
    /// How many tokens each of the sequences that have a round in the next step had better draft,
    /// beside so many other tokens.
    pub(crate) fn depths(&self, sequences: &[&Sequence], others: usize) -> Vec<usize> {
        let mut depths = vec![0; sequences.len()];
        let (mut wishes, mut free) = (Vec::new(), Vec::new());
        for (i, sequence) in sequences.iter().enumerate() {
            let most = sequence.most_drafts();
            match &sequence.drafting {
                Some(Drafting::Head(head)) if head.options.adaptive => {
                    free.push(i);
                    wishes.push(Wish {
                        holds: reach(head.acceptance.by_place().take(most)),
                        least: head.options.n_min.max(1),
                    });
                }
                Some(Drafting::Head(head)) if most < head.options.n_min => {}
                _ => depths[i] = most,
            }
        }
        let others = others + sequences.len() + depths.iter().sum::<usize>();
        for (i, depth) in free.into_iter().zip(self.choose(&wishes, others)) {
            depths[i] = depth;
        }
        depths
    }

    /// Takes in what a step took.
    pub(crate) fn learn(&mut self, measured: &Measured) {
        if let Some((tokens, time)) = measured.trunk {
            self.trunk.learn(tokens, time);
        }
        for (tokens, time) in &measured.head {
            self.head.learn(*tokens, *time);
        }
        let free = &measured.drafted;
        if !free.is_empty() {
            self.rounds += 1;
            self.current = free.iter().sum::<usize>() as f64 / free.len() as f64;
        }
    }

    /// The depth of each wish in the next round, beside so many tokens of the trunk.
    fn choose(&self, wishes: &[Wish], others: usize) -> Vec<usize> {
        let mut depths = vec![0; wishes.len()];
        if let Some(depth) = START.get(self.rounds) {
            // One finds out for all.
            depths.iter_mut().take(1).for_each(|d| *d = *depth);
        } else {
            let places = by_probability(wishes);
            let best = self.best(wishes, &places, others);
            let probing = self.rounds % PROBE < 2;
            let count = match (probing, self.rounds / PROBE % 2) {
                (true, 0) => best.saturating_sub(1),
                (true, _) => best + 1,
                (false, _) => best,
            };
            for (i, _) in places.iter().take(count) {
                depths[*i] += 1;
            }
        }
        let each = depths.into_iter().zip(wishes);
        each.map(|(depth, wish)| allowed(depth, wish)).collect()
    }

    /// How many of the places that hold most probably promise the most tokens a second; as many as
    /// now unless another number promises clearly more.
    fn best(&self, wishes: &[Wish], places: &[(usize, f64)], others: usize) -> usize {
        let mut depths = vec![0; wishes.len()];
        // Runs of the head by how many sequences draft in them.
        let mut levels: Vec<usize> = Vec::new();
        let (mut tokens, mut head_time) = (wishes.len() as f64, 0.0);
        let mut rates = vec![tokens / self.trunk.at(others)];
        for (n, (i, holds)) in places.iter().enumerate() {
            if depths[*i] == levels.len() {
                levels.push(0);
            }
            let level = &mut levels[depths[*i]];
            let before = if *level == 0 {
                0.0
            } else {
                self.head.at(*level)
            };
            *level += 1;
            head_time += self.head.at(*level) - before;
            depths[*i] += 1;
            tokens += holds;
            rates.push(tokens / (self.trunk.at(others + n + 1) + head_time));
        }
        let best = (0..rates.len())
            .rev()
            .max_by(|a, b| rates[*a].total_cmp(&rates[*b]));
        let best = best.unwrap_or(0);
        let now = (self.current * wishes.len() as f64).round() as usize;
        match rates.get(now) {
            Some(rate) if rates[best] <= HYSTERESIS * rate => now,
            _ => best,
        }
    }
}

/// That a draft holds up to each place, from how often each place holds.
fn reach(by_place: impl Iterator<Item = f64>) -> Vec<f64> {
    let reach = by_place.scan(1.0, |all, holds| {
        *all *= holds;
        Some(*all)
    });
    reach.collect()
}

/// All places of all drafts with their sequence, those that hold most probably first. Those of one
/// draft stay in their order: no place is more probable than the one before.
fn by_probability(wishes: &[Wish]) -> Vec<(usize, f64)> {
    let places = wishes.iter().enumerate();
    let places = places.flat_map(|(i, wish)| wish.holds.iter().map(move |holds| (i, *holds)));
    let mut places: Vec<(usize, f64)> = places.collect();
    places.sort_by(|a, b| b.1.total_cmp(&a.1));
    places
}

/// A depth that is not dropped: what is wished for, or what the draft has at least.
fn allowed(depth: usize, wish: &Wish) -> usize {
    let most = wish.holds.len();
    match depth {
        0 => 0,
        _ if wish.least > most => 0,
        depth => depth.clamp(wish.least, most),
    }
}

/// A deadline for steps in which somebody waits for text.
pub(super) fn default_limit(trunk: &Costs, tokens: usize) -> Duration {
    /// A reader notices a pause of this length.
    const NOTICED: f64 = 0.1;
    /// So many times the step that would be without a prompt.
    const TIMES: f64 = 4.0;
    Duration::from_secs_f64((TIMES * trunk.at(tokens)).max(NOTICED))
}

#[cfg(test)]
mod tests;
