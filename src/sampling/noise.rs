//! Random numbers by position and id.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// A random number for each id at each position. It does not matter in which order they are asked
/// for, or whether all are.
#[derive(Clone, Debug)]
pub(super) struct Noise(ChaCha12Rng);

/// Words of the generator that a number takes.
const WORDS: u128 = 2;

impl Noise {
    pub(super) fn new(seed: u64) -> Noise {
        Noise(ChaCha12Rng::seed_from_u64(seed))
    }

    /// The numbers of a position.
    pub(super) fn at(&mut self, position: usize) -> At<'_> {
        self.0.set_stream(position as u64);
        self.0.set_word_pos(0);
        At(&mut self.0)
    }
}

/// The numbers of a position.
pub(super) struct At<'n>(&'n mut ChaCha12Rng);

impl At<'_> {
    /// That of an id, in Gumbel's distribution.
    pub(super) fn gumbel(&mut self, id: u32) -> f64 {
        let at = u128::from(id) * WORDS;
        if self.0.get_word_pos() != at {
            self.0.set_word_pos(at);
        }
        // Above 0 and up to 1; the libraries of systems differ in the last bits of logarithms.
        let uniform = 1.0 - self.0.random::<f64>();
        -libm::log(-libm::log(uniform))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_belongs_to_its_position_and_id_whatever_was_asked_for_before() {
        let mut noise = Noise::new(7);
        let ascending: Vec<f64> = (0..100).map(|id| noise.at(3).gumbel(id)).collect();
        noise.at(4).gumbel(1);
        let mut at = noise.at(3);
        for id in [99, 0, 50, 51, 52, 7] {
            assert_eq!(at.gumbel(id), ascending[id as usize]);
        }
        assert_ne!(noise.at(5).gumbel(0), ascending[0]);
        assert_ne!(Noise::new(8).at(3).gumbel(0), ascending[0]);
    }

    #[test]
    fn the_numbers_have_gumbels_mean_and_variance() {
        let mut noise = Noise::new(1);
        let n = 100_000;
        let mut at = noise.at(0);
        let numbers: Vec<f64> = (0..n).map(|id| at.gumbel(id)).collect();
        let mean = numbers.iter().sum::<f64>() / f64::from(n);
        let squares = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        // Euler's constant, and π²/6.
        assert!((mean - 0.577_216).abs() < 0.02, "{mean}");
        assert!((squares / f64::from(n) - 1.644_934).abs() < 0.05);
    }
}
