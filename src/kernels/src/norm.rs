//! Normalisation of rows.

use super::isa::Isa;
use super::simd::multiversion;

/// `Σ x²`: squares in f32, summed in f64.
///
/// Element `j` goes to lane `j % 8` in order; lanes are added pairwise (`j` with `j + 4`,
/// `j + 2`, `j + 1`).
#[inline(always)]
fn sum_of_squares(x: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let chunks = x.chunks_exact(8);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(x * x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += f64::from(x * x);
    }
    add_lanes(lanes)
}

/// The sum of eight lanes, as a tree.
#[inline(always)]
fn add_lanes(mut lanes: [f64; 8]) -> f64 {
    for half in [4, 2, 1] {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
    }
    lanes[0]
}

/// `1 / √(mean(x²) + eps)`, the mean rounded to f32.
#[inline(always)]
fn scale(x: &[f32], eps: f32) -> f32 {
    let mean = (sum_of_squares(x) / x.len() as f64) as f32;
    1.0 / (mean + eps).sqrt()
}

multiversion! {
    /// RMS norm of a row: `out = (x · 1/√(mean(x²) + eps)) · w`.
    ///
    /// # Panics
    /// If the three rows differ in length.
    pub fn rmsnorm(x: &[f32], w: &[f32], eps: f32, out: &mut [f32]) = rmsnorm_body;
}

#[inline(always)]
fn rmsnorm_body<I: Isa>(x: &[f32], w: &[f32], eps: f32, out: &mut [f32]) {
    assert!(
        x.len() == w.len() && x.len() == out.len(),
        "rows of one length"
    );
    let scale = scale(x, eps);
    for ((out, x), w) in out.iter_mut().zip(x).zip(w) {
        *out = x * scale * w;
    }
}

multiversion! {
    /// L2 norm of a row of D values, in place, as the reference composes it: an RMS norm with
    /// `eps / D`, then times `1/√D`.
    pub fn l2norm(x: &mut [f32], eps: f32) = l2norm_body;
}

#[inline(always)]
fn l2norm_body<I: Isa>(x: &mut [f32], eps: f32) {
    let scale = scale(x, eps / x.len() as f32);
    let root = 1.0 / (x.len() as f32).sqrt();
    for x in x {
        *x = *x * scale * root;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_row_normalises_to_its_weights() {
        let mut out = [0.0; 19];
        rmsnorm(&[3.0; 19], &[2.0; 19], 0.0, &mut out);
        assert!(out.iter().all(|v| (v - 2.0).abs() < 1e-6), "{out:?}");
    }

    #[test]
    fn an_l2_normalised_row_has_length_one() {
        let mut x: [f32; 128] = std::array::from_fn(|i| (i as f32 * 0.7).sin());
        l2norm(&mut x, 1e-6);
        let length: f32 = x.iter().map(|v| v * v).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
}
