//! Rotary position embedding, NeoX pairing: dimension `i` turns with `i + n_rot / 2`.

use super::isa::Isa;
use super::simd::multiversion;

/// Fills `cos` and `sin`, `n_rot / 2` values each, for one position.
///
/// The angle starts at the position and is multiplied by `freq_base^(−2 / n_rot)` from pair
/// to pair, in f32 as ggml does; cos, sin and the power are those of the C library.
///
/// # Panics
/// If `cos` and `sin` differ in length.
pub fn angles(pos: u32, freq_base: f32, cos: &mut [f32], sin: &mut [f32]) {
    assert_eq!(cos.len(), sin.len(), "a cosine for every sine");
    let n_rot = 2.0 * cos.len() as f32;
    let factor = freq_base.powf(-2.0 / n_rot);
    let mut theta = pos as f32;
    for (cos, sin) in cos.iter_mut().zip(sin) {
        *cos = theta.cos();
        *sin = theta.sin();
        theta *= factor;
    }
}

multiversion! {
    /// Turns one head row in place by [`angles`]; dimensions from `2 · cos.len()` on stay.
    ///
    /// # Panics
    /// If the row is shorter than `2 · cos.len()`, or `cos` and `sin` differ in length.
    pub fn rotate(x: &mut [f32], cos: &[f32], sin: &[f32]) = rotate_body;
}

#[inline(always)]
fn rotate_body<I: Isa>(x: &mut [f32], cos: &[f32], sin: &[f32]) {
    assert_eq!(cos.len(), sin.len(), "a cosine for every sine");
    let half = cos.len();
    let (low, high) = x[..2 * half].split_at_mut(half);
    for (((low, high), cos), sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
        let (a, b) = (*low, *high);
        // The product that compilers fuse in the reference's expression.
        *low = a.mul_add(*cos, -(b * sin));
        *high = a.mul_add(*sin, b * cos);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_zero_turns_nothing() {
        let (mut cos, mut sin) = ([0.0; 4], [0.0; 4]);
        angles(0, 1e7, &mut cos, &mut sin);
        let mut x: [f32; 12] = std::array::from_fn(|i| i as f32);
        let before = x;
        rotate(&mut x, &cos, &sin);
        assert_eq!(x, before);
    }

    #[test]
    fn the_first_pair_turns_by_the_position_and_the_rest_is_copied() {
        let (mut cos, mut sin) = ([0.0; 2], [0.0; 2]);
        angles(1, 10_000.0, &mut cos, &mut sin);
        let mut x = [1.0, 0.0, 0.0, 1.0, 7.0];
        rotate(&mut x, &cos, &sin);
        assert_eq!((x[0], x[2]), (1.0f64.cos() as f32, 1.0f64.sin() as f32));
        assert_eq!((x[1], x[3]), (-(0.01f32.sin()), 0.01f32.cos()));
        assert_eq!(x[4], 7.0);
    }
}
