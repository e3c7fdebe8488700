//! Residual streams that blocks read and add to in parallel (hyper-connections).

use super::elementwise::{Rhs, mul, sigmoid};
use super::isa::Isa;
use super::math;
use super::simd::multiversion;

multiversion! {
    /// The mean over S streams, each times the sigmoid of its gates: `x, gate: [S, E]`, `out: [E]`.
    /// First to last; a product and its sum are rounded once if they are `fused`, else each by
    /// itself.
    ///
    /// # Panics
    /// If the streams are not whole rows of `out`.
    pub fn mix(x: &[f32], gate: &[f32], fused: bool, out: &mut [f32]) = mix_body;
}

#[inline(always)]
fn mix_body<I: Isa>(x: &[f32], gate: &[f32], fused: bool, out: &mut [f32]) {
    let width = out.len();
    assert!(
        x.len() == gate.len() && x.len().is_multiple_of(width),
        "streams of one length"
    );
    const LEN: usize = 16;
    let count = x.len() / width;
    let mean = 1.0 / count as f32;
    for (first, out) in (0..width).step_by(LEN).zip(out.chunks_mut(LEN)) {
        let mut sums = [0.0f32; LEN];
        for s in 0..count {
            let row = s * width + first..s * width + first + out.len();
            let mut by = [0.0; LEN];
            by[..out.len()].copy_from_slice(&gate[row.clone()]);
            let by = math::sigmoids(by);
            for ((sum, x), by) in sums.iter_mut().zip(&x[row]).zip(by) {
                *sum = match fused {
                    true => x.mul_add(by, *sum),
                    false => *sum + x * by,
                };
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = mean * sum;
        }
    }
}

/// What each of S streams takes of a block's result, in place: `2 sigmoid(x / S)`.
pub fn inject_weights(x: &mut [f32]) {
    let by = 1.0 / x.len() as f32;
    mul(x, Rhs::Value(by));
    sigmoid(x);
    mul(x, Rhs::Value(2.0));
}

multiversion! {
    /// `stream += x · weight`, the product rounded too. Panics if the rows differ in length.
    pub fn add_gated(x: &[f32], weight: f32, stream: &mut [f32]) = add_gated_body;
}

#[inline(always)]
fn add_gated_body<I: Isa>(x: &[f32], weight: f32, stream: &mut [f32]) {
    assert_eq!(x.len(), stream.len(), "rows of one length");
    for (stream, x) in stream.iter_mut().zip(x) {
        *stream += x * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_gate_gives_the_mean_of_the_streams() {
        let x = [1.0, 2.0, 3.0, 5.0, 6.0, 7.0];
        let mut out = [0.0; 3];
        for fused in [true, false] {
            mix(&x, &[100.0; 6], fused, &mut out);
            assert_eq!(out, [3.0, 4.0, 5.0]);
            mix(&x, &[0.0; 6], fused, &mut out);
            assert_eq!(out, [1.5, 2.0, 2.5]);
        }
    }

    #[test]
    fn products_are_rounded_with_their_sum_or_before_it() {
        let tiny = 1.0 + f32::EPSILON;
        // Of `tiny · sigmoid(0)` squared nothing is lost, so look at 0.1, which is not exact.
        let (x, gate) = ([0.1, tiny], [0.3, 0.7]);
        let by = gate.map(math::sigmoid);
        let (mut fused, mut rounded) = ([0.0], [0.0]);
        mix(&x, &gate, true, &mut fused);
        mix(&x, &gate, false, &mut rounded);
        assert_eq!(fused, [0.5 * x[1].mul_add(by[1], x[0] * by[0])]);
        assert_eq!(rounded, [0.5 * (x[0] * by[0] + x[1] * by[1])]);
    }

    #[test]
    fn nothing_injected_is_a_plain_sum() {
        let mut weights = [0.0; 4];
        inject_weights(&mut weights);
        assert_eq!(weights, [1.0; 4]);
        let mut stream = [1.0, 2.0];
        add_gated(&[0.5, 0.25], weights[0], &mut stream);
        assert_eq!(stream, [1.5, 2.25]);
    }
}
