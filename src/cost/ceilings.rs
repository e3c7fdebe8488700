//! What a machine can do at most.

use serde::{Deserialize, Serialize};

use super::Cost;

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
#[error("{0}")]
pub struct UnusableCeilings(String);

impl Ceilings {
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
        let mut pairs = self.rates.windows(2);
        if self.rates[0].threads == 0 || pairs.any(|p| p[0].threads >= p[1].threads) {
            return fail("thread counts do not rise from 1 on");
        }
        Ok(())
    }

    /// Rates of so many threads; between two that were measured they lie on a line, beyond the
    /// last there is nothing to gain.
    pub fn at(&self, threads: usize) -> Rates {
        let above = self.rates.iter().position(|r| r.threads >= threads);
        match above {
            Some(0) => self.rates[0],
            Some(i) => between(&self.rates[i - 1], &self.rates[i], threads),
            None => self.rates[self.rates.len() - 1],
        }
    }

    /// The least time that one op can take, in seconds: memory is read while the multipliers work,
    /// and whichever needs longer decides.
    pub fn seconds(&self, cost: &Cost, threads: usize) -> f64 {
        let rates = self.at(threads);
        let computing = cost.int_macs / rates.int_macs + cost.f32_macs / rates.f32_macs;
        computing.max(cost.memory_bytes() / rates.read_bytes)
    }
}

fn between(low: &Rates, high: &Rates, threads: usize) -> Rates {
    let part = (threads - low.threads) as f64 / (high.threads - low.threads) as f64;
    let at = |low: f64, high: f64| low + (high - low) * part;
    Rates {
        threads,
        read_bytes: at(low.read_bytes, high.read_bytes),
        int_macs: at(low.int_macs, high.int_macs),
        f32_macs: at(low.f32_macs, high.f32_macs),
    }
}
