//! Scalar functions: a vectorisable exp, and those of the system's C library for few values.
//!
//! [`exp_f32`] is for loops over whole rows. The others call what the reference calls, so that
//! both have the same bits on one machine; another C library may round a last bit differently.

/// eˣ within 2.5 ulp, for every x: subnormal results, 0, infinity and NaN included.
///
/// Cody–Waite reduction `x = n·ln 2 + r`, `|r| ≤ ln 2 / 2`, the minimax polynomial of degree 5
/// of the Arm Optimized Routines and two exact powers of two. ggml's vector exp has the same
/// steps, so a SiLU has the same bits there and here. It has no branch, so loops over it
/// vectorise.
#[inline(always)]
pub fn exp_f32(x: f32) -> f32 {
    // Outside of these eˣ is 0 or infinite; NaN passes both comparisons.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    const MAGIC: f32 = 12_582_912.0;
    let shifted = x.mul_add(std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    // ln 2 in two parts, the first with 17 bits, so that its product with n is exact.
    let r = n.mul_add(-0.693_145_75, x);
    let r = n.mul_add(-1.428_606_8e-6, r);
    let [c1, c2, c3, c4, c5] = [
        0x3f7f_fff6,
        0x3eff_fedb,
        0x3e2a_af33,
        0x3d2b_9f17,
        0x3c07_2010,
    ]
    .map(f32::from_bits);
    let rr = r * r;
    let high = c5.mul_add(r, c4).mul_add(rr, c3.mul_add(r, c2));
    let p = high.mul_add(rr, c1.mul_add(r, 1.0));
    // 2ⁿ as a product of two powers, so that neither over- nor underflows.
    let n = shifted.to_bits().wrapping_sub(MAGIC.to_bits()) as i32;
    let half = n >> 1;
    let power = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    p * power(half) * power(n.wrapping_sub(half))
}

/// `x / (1 + e⁻ˣ)` through [`exp_f32`].
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp_f32(-x))
}

/// eˣ by the C library.
pub fn exp(x: f32) -> f32 {
    x.exp()
}

/// `1 / (1 + e⁻ˣ)`, each step rounded to f32.
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `ln(1 + eˣ)`, each step rounded to f32; x itself above 20, as in ggml.
pub fn softplus(x: f32) -> f32 {
    if x > 20.0 { x } else { (1.0 + exp(x)).ln() }
}

/// The index of the largest value: the lower of two equal ones, never a NaN's.
///
/// `None` if there is no value but NaN.
pub fn argmax(x: &[f32]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (i, &value) in x.iter().enumerate() {
        if best.map_or(!value.is_nan(), |(_, largest)| value > largest) {
            best = Some((i, value));
        }
    }
    best.map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The distance in units of the last place of the true value's f32 neighbourhood.
    fn ulps(got: f32, want: f64) -> f64 {
        let rounded = (want as f32).abs();
        let ulp = f64::from(f32::from_bits(rounded.to_bits() + 1)) - f64::from(rounded);
        (f64::from(got) - want).abs() / ulp
    }

    #[test]
    fn exp_is_within_two_and_a_half_ulp_over_the_whole_range() {
        let mut worst = (0.0, 0.0);
        for bits in (0..=u32::MAX).step_by(997) {
            let x = f32::from_bits(bits);
            let (got, want) = (exp_f32(x), libm::exp(f64::from(x)));
            if x.is_nan() {
                assert!(got.is_nan());
            } else if (want as f32).is_infinite() {
                assert_eq!(got, f32::INFINITY, "exp({x})");
            } else {
                let error = ulps(got, want);
                worst = if error > worst.0 { (error, x) } else { worst };
            }
        }
        assert!(worst.0 <= 2.5, "{} ulp at {}", worst.0, worst.1);
    }

    #[test]
    fn exp_of_zero_and_of_the_infinities_is_exact() {
        assert_eq!(exp_f32(0.0), 1.0);
        assert_eq!(exp_f32(-0.0), 1.0);
        assert_eq!(exp_f32(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp_f32(f32::NEG_INFINITY).to_bits(), 0);
    }

    #[test]
    fn softplus_is_the_identity_above_twenty() {
        assert_eq!(softplus(20.5), 20.5);
        assert_eq!(softplus(0.0), std::f32::consts::LN_2);
        assert_eq!(softplus(-200.0), 0.0);
        assert_eq!(sigmoid(0.0), 0.5);
    }

    #[test]
    fn argmax_prefers_the_lower_index_and_skips_nan() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0, 2.0]), Some(1));
        assert_eq!(argmax(&[f32::NAN, f32::NEG_INFINITY, f32::NAN]), Some(1));
        assert_eq!(argmax(&[f32::NAN]), None);
        assert_eq!(argmax(&[-0.0, 0.0]), Some(0));
    }
}
