//! Scalar functions without branches, so that loops over them vectorise.
//!
//! [`exp_f32`] has the steps of ggml's vector exp, [`exp`] those of the C library's, so each has
//! the reference's bits where the reference calls it.

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

/// eˣ within 0.502 ulp, for every x.
///
/// `x · 32 / ln 2 = n + r`, `|r| ≤ 1/2`; then 2^(n/32) from a table times a polynomial of degree 3
/// for 2^(r/32), all in f64: the exp of the Arm Optimized Routines, and glibc's from 2.27 on, where
/// the machine has fused multiply-adds with the same bits for all x.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let [exp] = exps([x]);
    exp
}

/// [`exp`] of each value, in loops that vectorise but for the look-up.
#[inline(always)]
pub fn exps<const N: usize>(x: [f32; N]) -> [f32; N] {
    let (mut n, mut p) = ([0; N], [0.0; N]);
    for j in 0..N {
        (n[j], p[j]) = reduced(x[j]);
    }
    let mut power = [0; N];
    for j in 0..N {
        power[j] = POWERS[n[j] as usize % 32];
    }
    let mut exps = [0.0; N];
    for j in 0..N {
        let octaves = (n[j] >> 5) << 52;
        exps[j] = (p[j] * f64::from_bits(power[j].wrapping_add(octaves))) as f32;
    }
    exps
}

/// `n` in the low bits, and `2^(r/32)`.
#[inline(always)]
fn reduced(x: f32) -> (u64, f64) {
    // Outside of these eˣ is 0 or infinite; NaN passes both comparisons.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    const PER_OCTAVE: f64 = 32.0;
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    const C1: f64 = f64::from_bits(0x3fe6_2e42_ff0c_52d6);
    const C2: f64 = f64::from_bits(0x3fce_bfce_50fa_c4f3);
    const C3: f64 = f64::from_bits(0x3fac_6af8_4b91_2394);
    let (x, scale) = (f64::from(x), std::f64::consts::LOG2_E * PER_OCTAVE);
    let shifted = x.mul_add(scale, MAGIC);
    let r = x.mul_add(scale, MAGIC - shifted) / PER_OCTAVE;
    let high = C3.mul_add(r, C2);
    let p = high.mul_add(r * r, C1.mul_add(r, 1.0));
    (shifted.to_bits(), p)
}

/// The bits of `2^(i/32)`.
const POWERS: [u64; 32] = [
    0x3ff0_0000_0000_0000,
    0x3ff0_59b0_d315_8574,
    0x3ff0_b558_6cf9_890f,
    0x3ff1_1301_d012_5b51,
    0x3ff1_72b8_3c7d_517b,
    0x3ff1_d487_3168_b9aa,
    0x3ff2_387a_6e75_6238,
    0x3ff2_9e9d_f51f_dee1,
    0x3ff3_06fe_0a31_b715,
    0x3ff3_71a7_373a_a9cb,
    0x3ff3_dea6_4c12_3422,
    0x3ff4_4e08_6061_892d,
    0x3ff4_bfda_d536_2a27,
    0x3ff5_342b_569d_4f82,
    0x3ff5_ab07_dd48_5429,
    0x3ff6_247e_b03a_5585,
    0x3ff6_a09e_667f_3bcd,
    0x3ff7_1f75_e8ec_5f74,
    0x3ff7_a114_73eb_0187,
    0x3ff8_2589_994c_ce13,
    0x3ff8_ace5_422a_a0db,
    0x3ff9_3737_b0cd_c5e5,
    0x3ff9_c491_82a3_f090,
    0x3ffa_5503_b23e_255d,
    0x3ffa_e89f_995a_d3ad,
    0x3ffb_7f76_f2fb_5e47,
    0x3ffc_199b_dd85_529c,
    0x3ffc_b720_dcef_9069,
    0x3ffd_5818_dcfb_a487,
    0x3ffd_fc97_337b_9b5f,
    0x3ffe_a4af_a2a4_90da,
    0x3fff_5076_5b6e_4540,
];

/// `1 / (1 + e⁻ˣ)`, each step rounded to f32.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let [sigmoid] = sigmoids([x]);
    sigmoid
}

/// [`sigmoid`] of each value.
#[inline(always)]
pub fn sigmoids<const N: usize>(mut x: [f32; N]) -> [f32; N] {
    for x in &mut x {
        *x = -*x;
    }
    let mut x = exps(x);
    for x in &mut x {
        *x = 1.0 / (1.0 + *x);
    }
    x
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
    fn both_exps_are_as_near_as_they_say_over_the_whole_range() {
        near(exp_f32, 2.5);
        near(exp, 0.502);
    }

    fn near(exp: fn(f32) -> f32, most: f64) {
        let mut worst = (0.0, 0.0);
        for bits in (0..=u32::MAX).step_by(997) {
            let x = f32::from_bits(bits);
            let (got, want) = (exp(x), libm::exp(f64::from(x)));
            if x.is_nan() {
                assert!(got.is_nan());
            } else if (want as f32).is_infinite() {
                assert_eq!(got, f32::INFINITY, "exp({x})");
            } else {
                let error = ulps(got, want);
                worst = if error > worst.0 { (error, x) } else { worst };
            }
        }
        assert!(worst.0 <= most, "{} ulp at {}", worst.0, worst.1);
    }

    #[test]
    fn exp_of_zero_and_of_the_infinities_is_exact() {
        for exp in [exp_f32, exp] {
            assert_eq!(exp(0.0), 1.0);
            assert_eq!(exp(-0.0), 1.0);
            assert_eq!(exp(f32::INFINITY), f32::INFINITY);
            assert_eq!(exp(f32::NEG_INFINITY).to_bits(), 0);
        }
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
