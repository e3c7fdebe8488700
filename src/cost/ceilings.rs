//! What a machine can do at most.

use serde::{Deserialize, Serialize};
use sharpi_ir::plain::shorten_middle;

use super::Cost;

/// How many times more than its share of threads a count of threads may seem to do: the one thread that
/// it is held against may have been measured in a slower moment.
const BEYOND_SHARE: f64 = 1.25;

/// The rates of a machine, measured by [`hwbench`](crate::hwbench) or given.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Ceilings {
    /// Name of the processor.
    pub cpu: String,
    /// Vector instructions that were used: `scalar`, `avx2` or `avx512`.
    pub simd: String,
    /// Whether other programs kept the threads from running together, so that the rates may be too
    /// low.
    #[serde(default)]
    pub disturbed: bool,
    /// Rates by number of threads, fewest first; at least one.
    pub rates: Vec<Rates>,
    /// How fast sets of bytes are read over and over, which caches may hold in part or whole.
    #[serde(default)]
    pub sets: Vec<SetReads>,
}

/// How fast so many threads together read the same bytes over and over.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct SetReads {
    /// Threads.
    pub threads: usize,
    /// Bytes of the set.
    pub bytes: usize,
    /// Bytes read in a second.
    pub read_bytes: f64,
}

/// What so many threads do together in a second.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rates {
    /// Threads.
    pub threads: usize,
    /// Bytes read from memory.
    pub read_bytes: f64,
    /// Multiply-adds of 8-bit integers into 32-bit sums.
    pub int_macs: f64,
    /// Multiply-adds of f32.
    pub f32_macs: f64,
}

/// Ceilings that nothing can be divided by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", sharpi_ir::plain::lines(.0))]
pub struct UnusableCeilings(String);

impl Ceilings {
    /// The ceilings that a text in JSON holds.
    ///
    /// # Errors
    /// Another text, and what [`Ceilings::check`] finds.
    pub fn parse(text: &str) -> Result<Ceilings, UnusableCeilings> {
        let ceilings: Ceilings = serde_json::from_str(text).map_err(|error| {
            // It may cite any amount of the text.
            let mut message = error.to_string();
            shorten_middle(&mut message, 400);
            UnusableCeilings(message)
        })?;
        ceilings.check()?;
        Ok(ceilings)
    }

    /// Whether there are rates, all above 0, for more and more threads.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), UnusableCeilings> {
        let fail = |message: &str| Err(UnusableCeilings(message.into()));
        let usable = |rate: f64| rate.is_finite() && rate > 0.0;
        if self.rates.is_empty() {
            return fail("there are no rates, expected those of one thread or more");
        }
        for r in &self.rates {
            if ![r.read_bytes, r.int_macs, r.f32_macs]
                .into_iter()
                .all(usable)
            {
                return fail("a rate is no number above 0");
            }
        }
        if !self.sets.iter().all(|set| usable(set.read_bytes)) {
            return fail("a rate of a set is no number above 0");
        }
        let mut pairs = self.rates.windows(2);
        if self.rates[0].threads == 0 || pairs.any(|p| p[0].threads >= p[1].threads) {
            return fail("thread counts do not rise from 1 on");
        }
        Ok(())
    }

    /// The most threads that were measured; more gain nothing.
    pub fn most_threads(&self) -> usize {
        self.rates.last().map_or(1, |rates| rates.threads)
    }

    /// At most the rates of so many threads. Between two counts that were measured, they are those of
    /// the larger one, or what the smaller one would have if each thread added as much as before.
    pub fn at(&self, threads: usize) -> Rates {
        let above = self.rates.iter().position(|r| r.threads >= threads);
        match above {
            Some(0) => self.rates[0],
            Some(i) => self.rates[i].min(&self.rates[i - 1], threads),
            None => self.rates[self.rates.len() - 1],
        }
    }

    /// Bytes that so many threads read in a second at most, if they read `bytes` over and over: of
    /// the largest set that was measured and has no more bytes, since more of a smaller one may lie
    /// in a cache.
    pub fn read_rate(&self, threads: usize, bytes: f64) -> f64 {
        // Of a count between two that were measured that of the larger one.
        let counts = self.sets.iter().map(|set| set.threads);
        let count = counts.clone().filter(|n| *n >= threads).min();
        let count = count.or(counts.max());
        let of_count = || self.sets.iter().filter(|set| Some(set.threads) == count);
        let inside = of_count().filter(|set| set.bytes as f64 <= bytes);
        let set = inside.max_by_key(|set| set.bytes);
        let set = set.or(of_count().min_by_key(|set| set.bytes));
        let memory = self.at(threads).read_bytes;
        set.map_or(memory, |set| set.read_bytes.max(memory))
    }

    /// The least time that one op can take, in seconds: memory is read while the multipliers work,
    /// and whichever needs longer decides. The run that it is part of reads `bytes` in all, again
    /// in each run.
    pub fn seconds(&self, cost: &Cost, threads: usize, bytes: f64) -> f64 {
        let rates = self.at(threads);
        let computing = cost.int_macs / rates.int_macs + cost.f32_macs / rates.f32_macs;
        computing.max(cost.memory_bytes() / self.read_rate(threads, bytes))
    }

    /// The better of each rate here and there, of the same machine: what was once reached is
    /// possible.
    pub fn merge(&mut self, other: &Ceilings) {
        self.disturbed &= other.disturbed;
        for rates in &mut self.rates {
            let same = |r: &&Rates| r.threads == rates.threads;
            if let Some(other) = other.rates.iter().find(same) {
                *rates = rates.max(other);
            }
        }
        for set in &mut self.sets {
            let same = |s: &&SetReads| (s.threads, s.bytes) == (set.threads, set.bytes);
            if let Some(other) = other.sets.iter().find(same) {
                set.read_bytes = set.read_bytes.max(other.read_bytes);
            }
        }
        self.raise();
        self.lower();
    }

    /// Cuts what cannot be, and says whether there was any: so many threads do no more than so many
    /// times what one does, in caches too, of which each has its part. The clock of a virtual machine
    /// can stand still for a while after the machine did.
    pub fn lower(&mut self) -> bool {
        let Some(one) = self.rates.first().copied().filter(|r| r.threads == 1) else {
            return false;
        };
        let before = self.clone();
        for rates in &mut self.rates {
            let most = rates.threads as f64 * BEYOND_SHARE;
            rates.read_bytes = rates.read_bytes.min(one.read_bytes * most);
            rates.int_macs = rates.int_macs.min(one.int_macs * most);
            rates.f32_macs = rates.f32_macs.min(one.f32_macs * most);
        }
        let alone: Vec<SetReads> = self
            .sets
            .iter()
            .filter(|s| s.threads == 1)
            .copied()
            .collect();
        for set in &mut self.sets {
            let parts = alone.iter().filter(|s| s.bytes * set.threads <= set.bytes);
            let part = parts.max_by_key(|s| s.bytes);
            if let Some(part) = part.or(alone.iter().min_by_key(|s| s.bytes)) {
                let most = set.threads as f64 * BEYOND_SHARE;
                set.read_bytes = set.read_bytes.min(part.read_bytes * most);
            }
        }
        *self != before
    }

    /// Lifts what cannot be less: more threads do no less than fewer, and no set is read more slowly
    /// than a larger one.
    pub fn raise(&mut self) {
        for i in 1..self.rates.len() {
            let (fewer, rest) = self.rates.split_at_mut(i);
            rest[0] = rest[0].max(&fewer[i - 1]);
        }
        let known = self.sets.clone();
        for set in &mut self.sets {
            let within = |s: &&SetReads| s.threads <= set.threads && s.bytes >= set.bytes;
            let rates = known.iter().filter(within).map(|s| s.read_bytes);
            set.read_bytes = rates.fold(set.read_bytes, f64::max);
        }
    }
}

impl Rates {
    fn max(&self, other: &Rates) -> Rates {
        Rates {
            threads: self.threads,
            read_bytes: self.read_bytes.max(other.read_bytes),
            int_macs: self.int_macs.max(other.int_macs),
            f32_macs: self.f32_macs.max(other.f32_macs),
        }
    }

    /// No more than these, nor than `fewer` threads give in proportion.
    fn min(&self, fewer: &Rates, threads: usize) -> Rates {
        let times = threads as f64 / fewer.threads as f64;
        Rates {
            threads,
            read_bytes: self.read_bytes.min(fewer.read_bytes * times),
            int_macs: self.int_macs.min(fewer.int_macs * times),
            f32_macs: self.f32_macs.min(fewer.f32_macs * times),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(threads: usize, read_bytes: f64) -> Rates {
        Rates {
            threads,
            read_bytes,
            int_macs: 100.0 * threads as f64,
            f32_macs: 50.0 * threads as f64,
        }
    }

    fn set(threads: usize, bytes: usize, read_bytes: f64) -> SetReads {
        SetReads {
            threads,
            bytes,
            read_bytes,
        }
    }

    fn ceilings() -> Ceilings {
        Ceilings {
            cpu: String::new(),
            simd: String::new(),
            disturbed: true,
            rates: vec![rates(1, 10.0), rates(2, 16.0), rates(8, 20.0)],
            sets: vec![set(2, 100, 90.0), set(2, 1000, 30.0), set(2, 9000, 16.0)],
        }
    }

    #[test]
    fn bytes_that_caches_may_hold_are_read_faster() {
        let read = |bytes| ceilings().read_rate(2, bytes);
        assert_eq!(
            [50.0, 100.0, 999.0, 5e3, 1e9].map(read),
            [90.0, 90.0, 90.0, 30.0, 16.0]
        );
        let mut plain = ceilings();
        plain.sets.clear();
        assert_eq!(
            plain.read_rate(2, 50.0),
            16.0,
            "where only memory was measured"
        );
    }

    #[test]
    fn the_best_that_was_ever_measured_is_kept() {
        let mut kept = ceilings();
        let mut again = ceilings();
        again.disturbed = false;
        again.rates[0].read_bytes = 12.0;
        again.rates[1].read_bytes = 11.0;
        again.sets[1].read_bytes = 35.0;
        kept.merge(&again);
        assert!(!kept.disturbed, "one measurement was quiet");
        assert_eq!([0, 1].map(|i| kept.rates[i].read_bytes), [12.0, 16.0]);
        assert_eq!(kept.sets[1].read_bytes, 35.0);
    }

    #[test]
    fn what_no_count_of_threads_can_do_is_cut() {
        let mut found = ceilings();
        assert!(!found.clone().lower());
        (found.rates[1].int_macs, found.rates[2].read_bytes) = (2400.0, 99.0);
        found.sets = vec![
            set(1, 50, 40.0),
            set(1, 100, 30.0),
            set(2, 100, 99.0),
            set(2, 200, 99.0),
        ];
        assert!(found.lower());
        assert_eq!(
            (found.rates[1].int_macs, found.rates[2].read_bytes),
            (250.0, 99.0)
        );
        let sets: Vec<f64> = found.sets.iter().map(|s| s.read_bytes).collect();
        assert_eq!(sets, [40.0, 30.0, 99.0, 75.0]);
    }

    #[test]
    fn more_threads_do_no_less_and_smaller_sets_are_no_slower() {
        let mut found = ceilings();
        found.rates[1].int_macs = 1.0;
        found.sets[0].read_bytes = 2.0;
        found.raise();
        assert_eq!(found.rates[1].int_macs, 100.0);
        assert_eq!(found.sets[0].read_bytes, 30.0);
    }
}
