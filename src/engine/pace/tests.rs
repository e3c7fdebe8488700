use super::*;
use crate::drafting::Acceptance;

const MOST: usize = 7;

/// A machine and texts, as a clock that is not looked at would tell of them.
struct World {
    /// Milliseconds of a run of so many drafts and known tokens.
    verify: fn(usize) -> f64,
    /// Of a step of the head.
    step: f64,
    /// That a draft holds, of each text.
    acceptance: Vec<f64>,
    seen: Vec<Acceptance>,
    pace: Pace,
    draws: usize,
}

fn world(verify: fn(usize) -> f64, step: f64, acceptance: &[f64]) -> World {
    World {
        verify,
        step,
        acceptance: acceptance.to_vec(),
        seen: vec![Acceptance::new(MOST); acceptance.len()],
        pace: Pace::default(),
        draws: 0,
    }
}

impl World {
    fn wishes(&self, least: usize) -> Vec<Wish> {
        let wish = |seen: &Acceptance| Wish {
            holds: reach(seen.by_place()),
            least,
        };
        self.seen.iter().map(wish).collect()
    }

    /// Lets a number of rounds be, in which evenly spread drafts hold. The depths of the last.
    fn run(&mut self, least: usize, rounds: usize) -> Vec<usize> {
        let mut last = Vec::new();
        for _ in 0..rounds {
            let texts = self.acceptance.len();
            let drafted = self.pace.choose(&self.wishes(least), texts);
            for (i, depth) in drafted.iter().enumerate() {
                let holds = |_: &usize| {
                    self.draws += 1;
                    (self.draws as f64 * 0.618_034).fract() < self.acceptance[i]
                };
                let accepted = (0..*depth).take_while(holds).count();
                self.seen[i].learn(*depth, accepted);
            }
            let time = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
            let tokens = texts + drafted.iter().sum::<usize>();
            let level = |level: usize| drafted.iter().filter(|d| **d > level).count();
            let levels = (0..MOST).map(level).filter(|n| *n > 0);
            self.pace.learn(&Measured {
                trunk: Some((tokens, time((self.verify)(tokens)))),
                head: levels.map(|n| (n, time(self.step))).collect(),
                drafted: drafted.clone(),
                ..Measured::default()
            });
            // The two that only find out what a neighbour costs do not count.
            if self.pace.rounds % PROBE >= 2 {
                last = drafted;
            }
        }
        last
    }

    /// Tokens a second where all texts draft as deep.
    fn rate(&self, depth: usize) -> f64 {
        let tokens = |a: &f64| (0..=depth).map(|i| a.powi(i as i32)).sum::<f64>();
        let all: f64 = self.acceptance.iter().map(tokens).sum();
        let width = self.acceptance.len() * (1 + depth);
        all / ((self.verify)(width) + self.step * depth as f64)
    }

    fn best(&self) -> usize {
        let by_rate = |a: &usize, b: &usize| self.rate(*a).total_cmp(&self.rate(*b));
        (0..=MOST).max_by(by_rate).unwrap()
    }
}

fn flat(tokens: usize) -> f64 {
    100.0 + tokens as f64
}

fn steps(tokens: usize) -> f64 {
    if tokens > 4 { 180.0 } else { 100.0 }
}

fn linear(tokens: usize) -> f64 {
    100.0 * tokens as f64
}

/// As many tokens for the price of one as memory takes to bring the weights.
fn bound(tokens: usize) -> f64 {
    100.0 * (tokens as f64 / 8.0).max(1.0)
}

#[test]
fn the_depth_that_is_best_on_a_machine_is_found_and_kept() {
    for mut world in [
        world(flat, 8.0, &[0.8]),
        world(flat, 8.0, &[0.5]),
        world(flat, 30.0, &[0.3]),
        world(steps, 3.0, &[0.9]),
        world(linear, 8.0, &[0.8]),
        world(linear, 8.0, &[0.02]),
    ] {
        let found = world.run(1, 300)[0];
        let (rate, best) = (world.rate(found), world.rate(world.best()));
        let short = format!("{found} in place of {}", world.best());
        assert!(rate > 0.95 * best, "{short}: {rate} of {best}");
    }
}

#[test]
fn the_more_texts_there_are_the_less_is_drafted() {
    let depths = |texts: usize| {
        let mut world = world(bound, 3.0, &vec![0.85; texts]);
        world.run(1, 400)
    };
    let mean = |depths: &[usize]| depths.iter().sum::<usize>() as f64 / depths.len() as f64;
    let means = [1, 2, 4, 8].map(|texts| mean(&depths(texts)));
    assert!(
        means[0] >= 4.0 && means.is_sorted_by(|a, b| a >= b),
        "{means:?}"
    );
    assert!(means[3] < 0.5, "{means:?}");
}

#[test]
fn a_text_that_is_easy_gets_more_drafts_than_a_hard_one() {
    let mut world = world(bound, 3.0, &[0.95, 0.2]);
    let depths = world.run(1, 400);
    assert!(depths[0] > depths[1] + 1, "{depths:?}");
}

#[test]
fn a_text_that_gets_hard_and_easy_again_is_followed() {
    let mut world = world(flat, 25.0, &[0.9]);
    let deep = world.run(1, 200)[0];
    world.acceptance = vec![0.05];
    assert_eq!(world.run(1, 400), [0]);
    world.acceptance = vec![0.9];
    let again = world.run(1, 1500)[0];
    assert!(deep > 2 && again >= deep - 1, "{deep}, {again}");
}

#[test]
fn depths_that_would_be_dropped_are_never_chosen() {
    let mut world = world(|_| 100.0, 60.0, &[0.6]);
    for _ in 0..200 {
        let depths = world.pace.choose(&world.wishes(3), 1);
        assert!(![1, 2].contains(&depths[0]), "{depths:?}");
        world.run(3, 1);
    }
}
