//! Rounding of activation rows to the format in which they meet the weights.
//!
//! Block layouts and formulas follow ggml's `quantize_row_q8_K` and its x86
//! `quantize_row_q8_0` and `quantize_row_q8_1`; rounding is to nearest, ties to even.

use super::isa::Isa;
use super::simd::multiversion;
use half::slice::HalfFloatSliceExt;

/// A format of activation rows.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActivationType {
    /// Left alone.
    F32,
    /// Rounded to half precision.
    F16,
    /// Rounded to the upper half of single precision.
    BF16,
    /// Blocks of 32: `d: f16, q: [i8; 32]`.
    Q8_0,
    /// Blocks of 32: `d: f16, s: f16, q: [i8; 32]` with `s = d · Σq`.
    Q8_1,
    /// Blocks of 256: `d: f32, q: [i8; 256], sums of 16 quants each: [i16; 16]`.
    Q8_K,
}

impl ActivationType {
    /// Values in a block.
    pub fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Q8_0 | Self::Q8_1 => 32,
            Self::Q8_K => 256,
        }
    }

    /// Bytes in a block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Q8_0 => 34,
            Self::Q8_1 => 36,
            Self::Q8_K => 292,
        }
    }

    /// Bytes in a row of `n` values.
    ///
    /// # Panics
    /// If `n` is not a whole number of blocks.
    pub fn row_bytes(self, n: usize) -> usize {
        let len = self.block_len();
        assert!(
            n.is_multiple_of(len),
            "{n} is not a multiple of {self:?}'s block of {len}"
        );
        n / len * self.block_bytes()
    }
}

/// Rounds the row `x` into `out`.
///
/// NaN and infinity make their block's values meaningless, no more.
///
/// # Panics
/// If `out` is not exactly [`ActivationType::row_bytes`] long.
pub fn quantize_row(ty: ActivationType, x: &[f32], out: &mut [u8]) {
    assert_eq!(out.len(), ty.row_bytes(x.len()), "bytes of a {ty:?} row");
    match ty {
        ActivationType::F32 => {
            for (out, x) in out.chunks_exact_mut(4).zip(x) {
                out.copy_from_slice(&x.to_le_bytes());
            }
        }
        ActivationType::F16 => round_f16(x, out),
        ActivationType::BF16 => round_bf16(x, out),
        ActivationType::Q8_0 => quantize_q8_0(x, out),
        ActivationType::Q8_1 => quantize_q8_1(x, out),
        ActivationType::Q8_K => quantize_q8_k(x, out),
    }
}

/// Rounds to half precision, little endian.
pub(crate) fn round_f16(x: &[f32], out: &mut [u8]) {
    let mut rounded = [half::f16::ZERO; 64];
    for (x, out) in x.chunks(64).zip(out.chunks_mut(128)) {
        let rounded = &mut rounded[..x.len()];
        rounded.convert_from_f32_slice(x);
        for (out, value) in out.chunks_exact_mut(2).zip(rounded) {
            out.copy_from_slice(&value.to_le_bytes());
        }
    }
}

multiversion! {
    /// Rounds to the upper half of single precision, little endian.
    pub(crate) fn round_bf16(x: &[f32], out: &mut [u8]) = bf16;
}
multiversion! { fn quantize_q8_0(x: &[f32], out: &mut [u8]) = q8_0; }
multiversion! { fn quantize_q8_1(x: &[f32], out: &mut [u8]) = q8_1; }
multiversion! { fn quantize_q8_k(x: &[f32], out: &mut [u8]) = q8_k; }

#[inline(always)]
fn bf16<I: Isa>(x: &[f32], out: &mut [u8]) {
    let (out, _) = out.as_chunks_mut::<2>();
    for (out, x) in out.iter_mut().zip(x) {
        let bits = x.to_bits();
        // Half a step less one, and one more where the last bit kept is odd: ties go to even.
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        let quiet = bits >> 16 | 0x40;
        *out = (if x.is_nan() { quiet } else { rounded } as u16).to_le_bytes();
    }
}

#[inline(always)]
fn q8_0<I: Isa>(x: &[f32], out: &mut [u8]) {
    let (x, out) = (x.as_chunks::<32>().0, out.as_chunks_mut::<34>().0);
    for (x, out) in x.iter().zip(out) {
        let (d, inverse) = scale_to_127(x);
        let [d0, d1, quants @ ..] = out;
        [*d0, *d1] = half::f16::from_f32(d).to_le_bytes();
        narrow(&round_scaled(x, inverse), quants);
    }
}

#[inline(always)]
fn q8_1<I: Isa>(x: &[f32], out: &mut [u8]) {
    let (x, out) = (x.as_chunks::<32>().0, out.as_chunks_mut::<36>().0);
    for (x, out) in x.iter().zip(out) {
        let (d, inverse) = scale_to_127(x);
        let rounded = round_scaled(x, inverse);
        let sum: i32 = rounded.iter().sum();
        let [d0, d1, s0, s1, quants @ ..] = out;
        [*d0, *d1] = half::f16::from_f32(d).to_le_bytes();
        [*s0, *s1] = half::f16::from_f32(d * sum as f32).to_le_bytes();
        narrow(&rounded, quants);
    }
}

#[inline(always)]
fn q8_k<I: Isa>(x: &[f32], out: &mut [u8]) {
    let (x, out) = (x.as_chunks::<256>().0, out.as_chunks_mut::<292>().0);
    for (x, out) in x.iter().zip(out) {
        let largest = largest_magnitude(x);
        if largest == 0.0 {
            out.fill(0);
            continue;
        }
        let inverse = -127.0 / first_of_magnitude(x, largest);
        let (d, rest) = out.split_at_mut(4);
        let (quants, sums) = rest.split_at_mut(256);
        d.copy_from_slice(&(1.0 / inverse).to_le_bytes());
        let rounded = round_scaled(x, inverse);
        narrow(&rounded, quants.try_into().expect("256 quants"));
        let totals: [i32; 16] = pair_sums(&pair_sums::<32>(&pair_sums::<64>(&pair_sums::<128>(
            &rounded,
        ))));
        for (sum, total) in sums.chunks_exact_mut(2).zip(totals) {
            sum.copy_from_slice(&(total as i16).to_le_bytes());
        }
    }
}

/// The sum of each two neighbours, of which there are `N` pairs.
#[inline(always)]
fn pair_sums<const N: usize>(x: &[i32]) -> [i32; N] {
    let (pairs, _) = x.as_chunks::<2>();
    let mut sums = [0; N];
    for (sum, [a, b]) in sums.iter_mut().zip(pairs) {
        *sum = a + b;
    }
    sums
}

/// `amax / 127` and `127 / amax`, both 0 for a block of zeros.
///
/// The reference multiplies by `127 / amax`, not by the reciprocal of the first.
#[inline(always)]
fn scale_to_127(x: &[f32; 32]) -> (f32, f32) {
    let largest = largest_magnitude(x);
    (
        largest / 127.0,
        if largest == 0.0 { 0.0 } else { 127.0 / largest },
    )
}

/// The largest |x|; a NaN never wins. Sixteen running maxima, then a tree: the order cannot matter.
#[inline(always)]
fn largest_magnitude(x: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    for x in x.as_chunks::<16>().0 {
        for j in 0..16 {
            lanes[j] = larger(lanes[j], x[j].abs());
        }
    }
    let [largest] = halves(&halves::<2>(&halves::<4>(&halves::<8>(&lanes))));
    largest
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The larger ones of the first `N` values and those behind them.
#[inline(always)]
fn halves<const N: usize>(x: &[f32]) -> [f32; N] {
    let mut half = [0.0; N];
    for j in 0..N {
        half[j] = larger(x[j], x[N + j]);
    }
    half
}

/// The first value whose magnitude is `largest`, or that itself.
#[inline(always)]
fn first_of_magnitude(x: &[f32; 256], largest: f32) -> f32 {
    let (sixteens, _) = x.as_chunks::<16>();
    let hit = |x: &&[f32; 16]| x.iter().fold(false, |hit, x| hit | (x.abs() == largest));
    let found = sixteens.iter().find(hit);
    let first = found.and_then(|x| x.iter().find(|x| x.abs() == largest));
    *first.unwrap_or(&largest)
}

/// `round(x · factor)` within the range of i8.
///
/// Adding 1.5 · 2²³ leaves the integer nearest to a small value, ties to even, in the low
/// mantissa bits.
#[inline(always)]
fn round_scaled<const N: usize>(x: &[f32; N], factor: f32) -> [i32; N] {
    const MAGIC: f32 = 12_582_912.0;
    let mut rounded = [0; N];
    for (rounded, x) in rounded.iter_mut().zip(x) {
        let bits = (x * factor + MAGIC).to_bits();
        *rounded = (bits.wrapping_sub(MAGIC.to_bits()) as i32).clamp(-128, 127);
    }
    rounded
}

#[inline(always)]
fn narrow<const N: usize>(rounded: &[i32; N], quants: &mut [u8; N]) {
    for (quant, rounded) in quants.iter_mut().zip(rounded) {
        *quant = *rounded as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantized(ty: ActivationType, x: &[f32]) -> Vec<u8> {
        let mut out = vec![0xaa; ty.row_bytes(x.len())];
        quantize_row(ty, x, &mut out);
        out
    }

    #[test]
    fn q8_k_takes_the_first_of_two_equal_magnitudes() {
        let mut x = [0.0; 256];
        (x[3], x[9], x[20]) = (-2.0, 2.0, 1.0);
        let out = quantized(ActivationType::Q8_K, &x);
        let d = f32::from_le_bytes(out[..4].try_into().unwrap());
        assert_eq!(d, 1.0 / (-127.0 / -2.0));
        let q = |i: usize| out[4 + i] as i8;
        assert_eq!(
            (q(3), q(9), q(20)),
            (-127, 127, 64),
            "63.5 rounds to the even 64"
        );
        let sum = |i: usize| i16::from_le_bytes([out[260 + 2 * i], out[261 + 2 * i]]);
        assert_eq!((sum(0), sum(1), sum(2)), (0, 64, 0));
    }

    #[test]
    fn q8_1_keeps_the_scaled_sum_of_its_quants() {
        let x: [f32; 32] = std::array::from_fn(|i| i as f32 * 0.25);
        let out = quantized(ActivationType::Q8_1, &x);
        let d = 7.75f32 / 127.0;
        let id = 127.0 / 7.75f32;
        let q: Vec<i32> = x
            .iter()
            .map(|x| (x * id).round_ties_even() as i32)
            .collect();
        assert!(
            out[4..]
                .iter()
                .zip(&q)
                .all(|(byte, q)| i32::from(*byte as i8) == *q)
        );
        let s = half::f16::from_f32(d * q.iter().sum::<i32>() as f32);
        assert_eq!(out[..2], half::f16::from_f32(d).to_le_bytes());
        assert_eq!(out[2..4], s.to_le_bytes());
    }

    #[test]
    fn a_block_of_zeros_is_all_zero_bytes() {
        for ty in [
            ActivationType::Q8_0,
            ActivationType::Q8_1,
            ActivationType::Q8_K,
        ] {
            assert!(
                quantized(ty, &[0.0; 256]).iter().all(|byte| *byte == 0),
                "{ty:?}"
            );
        }
    }

    #[test]
    fn nan_and_infinity_do_not_panic() {
        for bad in [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
            f32::MIN_POSITIVE / 8.0,
        ] {
            let mut x = [1.0; 256];
            x[77] = bad;
            for ty in [
                ActivationType::Q8_0,
                ActivationType::Q8_1,
                ActivationType::Q8_K,
            ] {
                quantized(ty, &x);
            }
            quantized(ActivationType::Q8_K, &[bad; 256]);
        }
    }
}
