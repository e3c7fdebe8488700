//! How much noise makes an MTP head err at a chosen rate.
//!
//! Before the head, `n` elements of a hidden state are those of the right row, standard deviation
//! 1, plus noise of deviation `s`. The logit of the right token is then √n + s·z, those of the
//! others √(1 + s²)·z, each with a standard normal z of its own, in units that do not matter. The
//! draft is right where the first is above all of the others.

use std::f64::consts::{PI, SQRT_2};

/// The deviation of the noise with which the right token wins with this probability, below 1.
pub(super) fn noise(acceptance: f64, elements: usize, vocabulary: usize) -> f64 {
    // The probability falls with the noise; sixty halvings leave no digit open.
    let (mut low, mut high) = (0.0, 1e3);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        match probability(middle, elements, vocabulary) > acceptance {
            true => low = middle,
            false => high = middle,
        }
    }
    high
}

/// How probably the right token wins against noise of this deviation.
fn probability(noise: f64, elements: usize, vocabulary: usize) -> f64 {
    let others = vocabulary as f64 - 1.0;
    let spread = (1.0 + noise * noise).sqrt();
    mean(|z| {
        let right = ((elements as f64).sqrt() + noise * z) / spread;
        let above = libm::erfc(right / SQRT_2) / 2.0;
        (others * (-above).ln_1p()).exp()
    })
}

/// The deviation of `silu(a) · b` for independent normal a and b of this deviation.
pub(super) fn swiglu_deviation(deviation: f64) -> f64 {
    let silu = |x: f64| x / (1.0 + (-x).exp());
    deviation * mean(|z| silu(deviation * z).powi(2)).sqrt()
}

/// The mean of `f` over the standard normal distribution.
fn mean(f: impl Fn(f64) -> f64) -> f64 {
    const STEP: f64 = 0.01;
    const REACH: i32 = 800;
    let density = |z: f64| (-z * z / 2.0).exp() / (2.0 * PI).sqrt();
    let points = (-REACH..=REACH).map(|i| f64::from(i) * STEP);
    points.map(|z| STEP * density(z) * f(z)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_of_the_strength_found_leaves_the_acceptance_asked_for() {
        for acceptance in [0.01, 0.3, 0.8, 0.99] {
            let noise = noise(acceptance, 1024, 248_320);
            let found = probability(noise, 1024, 248_320);
            assert!((found - acceptance).abs() < 1e-9, "{found}");
        }
    }

    #[test]
    fn two_tokens_under_much_noise_are_a_coin() {
        assert!((probability(1e6, 256, 2) - 0.5).abs() < 1e-3);
        assert!((probability(0.0, 256, 2) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn small_inputs_of_swiglu_are_halved_and_squared() {
        let found = swiglu_deviation(1e-3);
        assert!((found / 0.5e-6 - 1.0).abs() < 1e-3, "{found}");
    }
}
