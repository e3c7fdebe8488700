//! How many tokens to draft: what promises the most tokens a second, from the times that runs took
//! and from how many drafts held.

use std::collections::VecDeque;

use super::Round;

/// Samples of a time that are remembered: enough for a median, few enough to follow a context that
/// grows or a machine that gets busy.
const SAMPLES: usize = 9;
/// Another depth must promise more by this factor: noise shall not move it to and fro.
const HYSTERESIS: f64 = 1.03;
/// Every so many rounds, two go to a neighbouring depth, to know what it costs and brings by now.
const PROBE: usize = 24;
/// How fast old drafts are forgotten.
const DECAY: f64 = 0.98;
/// Acceptance of the first place before anything is known, and how many drafts that weighs.
const PRIOR: f64 = 0.7;
const PRIOR_WEIGHT: f64 = 2.0;
/// Depths of the first rounds.
const START: [usize; 5] = [1, 1, 0, 2, 2];

/// Times by depth: depth and seconds, ascending.
type Costs<'c> = &'c [(usize, f64)];

/// The depth from 0 to `most` that promises the most tokens a second; `current` unless another one
/// promises clearly more. There are no depths between 0 and `least`.
///
/// `verify` are times of the trunk's run over the known token and so many drafts, `draft` times to
/// draft so many; what was not measured is taken to lie on lines through what was. `acceptance[i]`
/// is the part of the drafts at place i that hold if those before them do.
fn best_depth(
    verify: Costs,
    draft: Costs,
    acceptance: &[f64],
    current: usize,
    (least, most): (usize, usize),
) -> usize {
    let rate = |depth: usize| {
        let holds = acceptance[..depth].iter().scan(1.0, |all, a| {
            *all *= a;
            Some(*all)
        });
        (1.0 + holds.sum::<f64>()) / (at(verify, depth) + at(draft, depth))
    };
    let allowed = |depth: usize| depth == 0 || (least..=most).contains(&depth);
    let depths = (0..=most).rev().filter(|depth| allowed(*depth));
    let best = depths.max_by(|a, b| rate(*a).total_cmp(&rate(*b)));
    let best = best.unwrap_or(0);
    match allowed(current) && rate(best) <= HYSTERESIS * rate(current) {
        true => current,
        false => best,
    }
}

/// The time at a depth, on the lines through what is known. Beyond it a time does not fall.
fn at(costs: Costs, depth: usize) -> f64 {
    let line = |(a, low): (usize, f64), (b, high): (usize, f64)| {
        low + (high - low) * (depth as f64 - a as f64) / (b as f64 - a as f64)
    };
    let after = costs.partition_point(|(known, _)| *known < depth);
    match (costs[..after].last(), costs.get(after)) {
        (_, Some(&(known, seconds))) if known == depth => seconds,
        (Some(&a), Some(&b)) => line(a, b),
        (None, Some(&(_, seconds))) => seconds,
        (Some(&last), None) => match costs[..after - 1].last() {
            Some(&before) => line(before, last).max(last.1),
            None => last.1,
        },
        (None, None) => 0.0,
    }
}

/// Chooses the depth of each round from the rounds before.
#[derive(Debug)]
pub(super) struct Depth {
    least: usize,
    most: usize,
    current: usize,
    rounds: usize,
    /// Whether the last round drafted anything, so that the head had little to catch up with.
    caught_up: bool,
    /// Seconds by depth.
    verify: Vec<VecDeque<f64>>,
    draft: Vec<VecDeque<f64>>,
    /// Drafts that held and that were looked at, by place.
    held: Vec<(f64, f64)>,
}

impl Depth {
    /// Depths of 0 and from `least` to `most`.
    pub(super) fn new(least: usize, most: usize) -> Depth {
        Depth {
            least: least.max(1),
            most,
            current: START[0],
            rounds: 0,
            caught_up: false,
            verify: vec![VecDeque::new(); most + 1],
            draft: vec![VecDeque::new(); most + 1],
            held: vec![(0.0, 0.0); most],
        }
    }

    /// The depth of the next round.
    pub(super) fn next(&self) -> usize {
        let depth = match START.get(self.rounds) {
            Some(depth) => *depth,
            None => match (self.rounds % PROBE, self.rounds / PROBE % 2) {
                (0 | 1, 0) if self.current > self.least => self.current - 1,
                (0 | 1, 0) => 0,
                (0 | 1, _) => self.current + 1,
                _ => self.current,
            },
        };
        match depth {
            0 => 0,
            depth => depth.max(self.least).min(self.most),
        }
    }

    /// Takes in what became of a round.
    pub(super) fn learn(&mut self, round: &Round) {
        let drafted = round.draft.len().min(self.most);
        remember(&mut self.verify[drafted], round.verify_time.as_secs_f64());
        if drafted > 0 && self.caught_up {
            remember(&mut self.draft[drafted], round.draft_time.as_secs_f64());
        }
        self.caught_up = drafted > 0;
        for (place, (held, seen)) in self.held[..drafted].iter_mut().enumerate() {
            if place <= round.accepted {
                let holds = f64::from(u8::from(place < round.accepted));
                (*held, *seen) = (DECAY * *held + holds, DECAY * *seen + 1.0);
            }
        }
        self.rounds += 1;
        if self.rounds >= START.len() {
            let verify = medians(&self.verify);
            let draft = [vec![(0, 0.0)], medians(&self.draft)].concat();
            let range = (self.least, self.most);
            self.current = best_depth(&verify, &draft, &self.acceptance(), self.current, range);
        }
    }

    /// By place. A place of which little is known is taken to be like the one before.
    fn acceptance(&self) -> Vec<f64> {
        let places = self.held.iter().scan(PRIOR, |before, (held, seen)| {
            *before = (held + PRIOR_WEIGHT * *before) / (seen + PRIOR_WEIGHT);
            Some(*before)
        });
        places.collect()
    }
}

fn remember(samples: &mut VecDeque<f64>, seconds: f64) {
    samples.truncate(SAMPLES - 1);
    samples.push_front(seconds);
}

/// The median of each depth that has samples.
fn medians(samples: &[VecDeque<f64>]) -> Vec<(usize, f64)> {
    let median = |samples: &VecDeque<f64>| {
        let mut sorted: Vec<f64> = samples.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    };
    let medians = samples.iter().enumerate();
    medians
        .filter_map(|(depth, samples)| Some((depth, median(samples)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MOST: usize = 7;

    /// A machine and a text, as a clock that is not looked at would tell of them.
    struct World {
        /// Milliseconds of a run of so many drafts and the known token.
        verify: fn(usize) -> f64,
        /// Of a step of the head.
        step: f64,
        acceptance: f64,
        rounds: usize,
    }

    impl World {
        /// Tokens a second at a depth.
        fn rate(&self, depth: usize) -> f64 {
            let tokens: f64 = (0..=depth).map(|i| self.acceptance.powi(i as i32)).sum();
            tokens / ((self.verify)(depth) + self.step * depth as f64)
        }

        fn best(&self) -> usize {
            let depths = 0..=MOST;
            depths
                .max_by(|a, b| self.rate(*a).total_cmp(&self.rate(*b)))
                .unwrap()
        }

        /// Lets a number of rounds be, in which evenly spread drafts hold.
        fn run(&mut self, depth: &mut Depth, rounds: usize) {
            for _ in 0..rounds {
                let drafted = depth.next();
                let mut holds = || {
                    self.rounds += 1;
                    (self.rounds as f64 * 0.618_034).fract() < self.acceptance
                };
                let accepted = (0..drafted).take_while(|_| holds()).count();
                let time = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
                depth.learn(&Round {
                    position: 0,
                    draft: vec![(0, 1.0); drafted],
                    accepted,
                    next: None,
                    draft_time: time(self.step * drafted as f64),
                    verify_time: time((self.verify)(drafted)),
                    rollback_time: Duration::ZERO,
                });
            }
        }
    }

    fn world(verify: fn(usize) -> f64, step: f64, acceptance: f64) -> World {
        World {
            verify,
            step,
            acceptance,
            rounds: 0,
        }
    }

    #[test]
    fn the_depth_that_is_best_on_a_machine_is_found_and_kept() {
        let flat = |drafts: usize| 100.0 + drafts as f64;
        let steps = |drafts: usize| if drafts > 3 { 180.0 } else { 100.0 };
        let linear = |drafts: usize| 100.0 * (1 + drafts) as f64;
        for world in [
            world(flat, 8.0, 0.8),
            world(flat, 8.0, 0.5),
            world(flat, 30.0, 0.3),
            world(steps, 3.0, 0.9),
            world(linear, 8.0, 0.8),
            world(linear, 8.0, 0.02),
        ] {
            let mut world = world;
            let mut depth = Depth::new(0, MOST);
            world.run(&mut depth, 300);
            let (found, best) = (world.rate(depth.current), world.rate(world.best()));
            let short = format!("{} in place of {}", depth.current, world.best());
            assert!(found > 0.95 * best, "{short}: {found} of {best}");
        }
    }

    #[test]
    fn a_text_that_gets_hard_and_easy_again_is_followed() {
        let mut world = world(|drafts| 100.0 + drafts as f64, 25.0, 0.9);
        let mut depth = Depth::new(0, MOST);
        world.run(&mut depth, 200);
        let deep = depth.current;
        world.acceptance = 0.05;
        world.run(&mut depth, 400);
        assert_eq!(depth.current, 0);
        world.acceptance = 0.9;
        world.run(&mut depth, 1500);
        assert!(
            deep > 2 && depth.current >= deep - 1,
            "{deep}, {}",
            depth.current
        );
    }

    #[test]
    fn rates_that_are_nearly_the_same_change_nothing() {
        let verify: Vec<(usize, f64)> = (0..=2).map(|d| (d, 1.0 + d as f64)).collect();
        let best = |acceptance: f64, current| {
            let acceptance = [acceptance; 2];
            best_depth(&verify, &[(0, 0.0)], &acceptance, current, (1, 2))
        };
        for current in 0..=2 {
            assert_eq!(best(0.99, current), current);
        }
        assert_eq!(best(0.9, 2), 0);
    }

    #[test]
    fn depths_that_would_be_dropped_are_never_chosen() {
        let mut world = world(|_| 100.0, 60.0, 0.6);
        let mut depth = Depth::new(3, MOST);
        for _ in 0..200 {
            assert!(![1, 2].contains(&depth.next()), "{}", depth.next());
            world.run(&mut depth, 1);
        }
    }

    #[test]
    fn what_was_not_measured_lies_on_lines_through_what_was() {
        let costs = [(1, 10.0), (3, 14.0), (4, 13.0)];
        let found: Vec<f64> = (0..=5).map(|depth| at(&costs, depth)).collect();
        assert_eq!(found, [10.0, 10.0, 12.0, 14.0, 13.0, 13.0]);
        assert_eq!(at(&costs[..2], 5), 18.0);
    }
}
