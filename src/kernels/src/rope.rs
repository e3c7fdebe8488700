//! Rotary position embedding: element `i` of a head turns with `i + n_rot / 2`, or with its
//! neighbour.

use super::isa::Isa;
use super::simd::multiversion;

/// Which elements of a head turn, and by which angles.
#[derive(Clone, PartialEq, Debug)]
pub struct Rotation {
    /// Elements that turn, the first of a head: an even number.
    pub n_rot: usize,
    /// Base of the powers that the angles go down by.
    pub freq_base: f32,
    /// How the angles are stretched beyond the context that the model was trained on.
    pub scaling: Scaling,
    /// Whether a pair is two neighbours, and not an element of each half.
    pub neighbours: bool,
}

/// Stretched positions, by YaRN (Peng et al. 2023) or the same for all pairs.
#[derive(Clone, PartialEq, Debug)]
pub struct Scaling {
    /// Factor of an angle that is interpolated.
    pub freq_scale: f32,
    /// How much of the plain angle the pairs before the ramp keep; 0 for no ramp at all.
    pub ext_factor: f32,
    /// Pair up to which the plain angle is kept.
    pub low: f32,
    /// Pair from which on the angle is interpolated.
    pub high: f32,
    /// Factor of what has turned.
    pub magnitude: f32,
    /// Pairs that keep the angle 0 whatever the position.
    pub still: Vec<u32>,
    /// What the plain angle of each pair is divided by; none for 1.
    pub factors: Vec<f32>,
}

impl Default for Scaling {
    fn default() -> Scaling {
        Scaling {
            freq_scale: 1.0,
            ext_factor: 0.0,
            low: 0.0,
            high: 0.0,
            magnitude: 1.0,
            still: Vec::new(),
            factors: Vec::new(),
        }
    }
}

impl Scaling {
    /// The angle of a pair whose plain angle is given.
    fn angle(&self, plain: f32, pair: usize) -> f32 {
        let plain = match self.factors.get(pair) {
            Some(factor) => plain / factor,
            None => plain,
        };
        let scaled = self.freq_scale * plain;
        if self.ext_factor == 0.0 {
            return scaled;
        }
        // ggml's least width of a ramp keeps its quotient finite.
        let along = (pair as f32 - self.low) / (self.high - self.low).max(0.001);
        let kept = (1.0 - along.clamp(0.0, 1.0)) * self.ext_factor;
        // The product that compilers fuse in the reference's expression.
        (1.0 - kept).mul_add(scaled, plain * kept)
    }
}

impl Rotation {
    /// Fills `cos` and `sin`, `n_rot / 2` values each, for one position, each times the magnitude.
    ///
    /// The plain angle starts at the position and is multiplied by `freq_base^(−2 / n_rot)` from
    /// pair to pair, in f32 as ggml does; cos, sin and the power are those of the C library.
    ///
    /// # Panics
    /// If `cos` or `sin` are not of `n_rot / 2` values.
    pub fn angles(&self, pos: u32, cos: &mut [f32], sin: &mut [f32]) {
        assert_eq!(cos.len(), self.n_rot / 2, "a cosine for every pair");
        assert_eq!(sin.len(), self.n_rot / 2, "a sine for every pair");
        let factor = self.freq_base.powf(-2.0 / self.n_rot as f32);
        let Scaling {
            magnitude, still, ..
        } = &self.scaling;
        let mut plain = pos as f32;
        for (pair, (cos, sin)) in cos.iter_mut().zip(sin).enumerate() {
            let theta = match still.contains(&(pair as u32)) {
                true => 0.0,
                false => self.scaling.angle(plain, pair),
            };
            *cos = theta.cos() * magnitude;
            *sin = theta.sin() * magnitude;
            plain *= factor;
        }
    }

    /// Turns one head in place by its [`angles`](Rotation::angles); what is behind the first
    /// `n_rot` elements stays.
    ///
    /// # Panics
    /// If the head is shorter than `2 · cos.len()`, or `cos` and `sin` differ in length.
    pub fn turn(&self, head: &mut [f32], cos: &[f32], sin: &[f32]) {
        match self.neighbours {
            true => rotate_neighbours(head, cos, sin),
            false => rotate_halves(head, cos, sin),
        }
    }
}

multiversion! {
    /// Turns the pairs `(i, i + cos.len())`.
    fn rotate_halves(x: &mut [f32], cos: &[f32], sin: &[f32]) = halves;
}

multiversion! {
    /// Turns the pairs `(2i, 2i + 1)`.
    fn rotate_neighbours(x: &mut [f32], cos: &[f32], sin: &[f32]) = neighbours;
}

#[inline(always)]
fn neighbours<I: Isa>(x: &mut [f32], cos: &[f32], sin: &[f32]) {
    assert_eq!(cos.len(), sin.len(), "a cosine for every sine");
    let (pairs, _) = x[..2 * cos.len()].as_chunks_mut();
    for (([first, second], cos), sin) in pairs.iter_mut().zip(cos).zip(sin) {
        (*first, *second) = turned((*first, *second), *cos, *sin);
    }
}

/// A pair turned by an angle.
#[inline(always)]
fn turned((a, b): (f32, f32), cos: f32, sin: f32) -> (f32, f32) {
    // The product that compilers fuse in the reference's expression.
    (a.mul_add(cos, -(b * sin)), a.mul_add(sin, b * cos))
}

#[inline(always)]
fn halves<I: Isa>(x: &mut [f32], cos: &[f32], sin: &[f32]) {
    assert_eq!(cos.len(), sin.len(), "a cosine for every sine");
    let half = cos.len();
    let (low, high) = x[..2 * half].split_at_mut(half);
    for (((low, high), cos), sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
        (*low, *high) = turned((*low, *high), *cos, *sin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn angles(scaling: Scaling, pos: u32, freq_base: f32, n_rot: usize) -> (Vec<f32>, Vec<f32>) {
        let rotation = Rotation {
            n_rot,
            freq_base,
            scaling,
            neighbours: false,
        };
        let (mut cos, mut sin) = (vec![0.0; n_rot / 2], vec![0.0; n_rot / 2]);
        rotation.angles(pos, &mut cos, &mut sin);
        (cos, sin)
    }

    #[test]
    fn position_zero_turns_nothing() {
        let (cos, sin) = angles(Scaling::default(), 0, 1e7, 8);
        let mut x: [f32; 12] = std::array::from_fn(|i| i as f32);
        let before = x;
        rotate_halves(&mut x, &cos, &sin);
        assert_eq!(x, before);
    }

    #[test]
    fn the_first_pair_turns_by_the_position_and_the_rest_is_copied() {
        let (cos, sin) = angles(Scaling::default(), 1, 10_000.0, 4);
        let mut x = [1.0, 0.0, 0.0, 1.0, 7.0];
        rotate_halves(&mut x, &cos, &sin);
        assert_eq!((x[0], x[2]), (1.0f64.cos() as f32, 1.0f64.sin() as f32));
        assert_eq!((x[1], x[3]), (-(0.01f32.sin()), 0.01f32.cos()));
        assert_eq!(x[4], 7.0);
    }

    #[test]
    fn neighbours_turn_as_the_halves_do() {
        let (cos, sin) = angles(Scaling::default(), 5, 10_000.0, 6);
        let mut halves = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        let mut pairs = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0, 7.0];
        rotate_halves(&mut halves, &cos, &sin);
        rotate_neighbours(&mut pairs, &cos, &sin);
        assert_eq!(pairs, [0, 3, 1, 4, 2, 5, 6].map(|i: usize| halves[i]));
    }

    #[test]
    fn a_factor_divides_the_angle_of_its_pair() {
        let scaling = Scaling {
            factors: vec![1.0, 4.0],
            ..Scaling::default()
        };
        let plain = |pos| angles(Scaling::default(), pos, 10_000.0, 4);
        let (found, (of_twelve, of_three)) =
            (angles(scaling, 12, 10_000.0, 4), (plain(12), plain(3)));
        assert_eq!(found.0, [of_twelve.0[0], of_three.0[1]]);
    }

    #[test]
    fn a_scaled_position_turns_as_a_smaller_one() {
        let scaling = Scaling {
            freq_scale: 0.25,
            ..Scaling::default()
        };
        let (scaled, plain) = (angles(scaling, 12, 1e4, 8), Scaling::default());
        assert_eq!(scaled, angles(plain, 3, 1e4, 8));
    }

    #[test]
    fn a_ramp_keeps_the_angles_before_it_and_scales_those_behind_it() {
        let scaling = Scaling {
            freq_scale: 0.5,
            ext_factor: 1.0,
            low: 1.0,
            high: 3.0,
            magnitude: 2.0,
            still: vec![4],
            ..Scaling::default()
        };
        let (cos, _) = angles(scaling, 6, 100.0, 10);
        let theta = |pair: i32| 6.0 * 100f64.powf(-f64::from(pair) / 5.0);
        let parts = [1.0, 1.0, 0.75, 0.5, 0.0];
        for (pair, (cos, part)) in cos.iter().zip(parts).enumerate() {
            let expected = 2.0 * (theta(pair as i32) * part).cos();
            assert!((f64::from(*cos) - expected).abs() < 1e-5, "pair {pair}");
        }
    }
}
