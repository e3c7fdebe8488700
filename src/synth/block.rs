//! Quantised blocks with given or random contents; layouts as in ggml's `block_q4_K` and so on.

use std::array;

use half::f16;
use rand::Rng;

use crate::gguf::GgmlType;

/// Weights in a block of a K-quant.
pub(super) const LEN: usize = 256;

/// Standard deviation of whole numbers equally likely from 0 to `count - 1`.
fn deviation(count: u32) -> f64 {
    ((f64::from(count).powi(2) - 1.0) / 12.0).sqrt()
}

/// Random blocks one after another, with weights of mean 0 and this standard deviation.
///
/// # Panics
/// For a type that has no place in a Q4_K_M file.
pub(super) fn random(ty: GgmlType, count: usize, std: f64, random: &mut impl Rng) -> Vec<u8> {
    let bytes = ty.block_bytes() as usize;
    let mut blocks = vec![0; count * bytes];
    random.fill_bytes(&mut blocks);
    for block in blocks.chunks_exact_mut(bytes) {
        match ty {
            GgmlType::Q4_K => scale_with_minimum(block, 16, std),
            GgmlType::Q5_K => scale_with_minimum(block, 32, std),
            GgmlType::Q6_K => {
                scale(block, std / deviation(64));
                // Quants from -32 to 31 have a mean of half a step: every other sub-block has it
                // with the other sign.
                for scale in block[192..208].iter_mut().step_by(2) {
                    *scale = 0xff;
                }
            }
            GgmlType::Q5_0 => scale_with_either_sign(block, std / deviation(32)),
            GgmlType::Q8_0 => scale_with_either_sign(block, std / deviation(256)),
            _ => unreachable!("{ty} is not filled at random"),
        }
    }
    blocks
}

/// Gives a block of Q4_K or Q5_K of `count` equally likely quants its standard deviation, and
/// mean 0.
fn scale_with_minimum(block: &mut [u8], count: u32, std: f64) {
    let d = f16::from_f64(std / deviation(count));
    let minimum = f16::from_f64(f64::from(count - 1) / 2.0 * d.to_f64());
    block[..2].copy_from_slice(&d.to_le_bytes());
    block[2..4].copy_from_slice(&minimum.to_le_bytes());
    // Scales and minimums of 1, which keeps d large enough for f16's full precision: the first
    // four of each in the low bits of bytes 0 to 7, the others in the nibbles of bytes 8 to 11.
    block[4..12].fill(1);
    block[12..16].fill(0x11);
}

/// Gives a block whose step stands first its size, with either sign: quants reach one further below
/// 0 than above, so that their mean is half a step.
fn scale_with_either_sign(block: &mut [u8], step: f64) {
    let sign = if block[0] & 1 == 0 { 1.0 } else { -1.0 };
    block[..2].copy_from_slice(&f16::from_f64(sign * step).to_le_bytes());
}

/// Gives a block of Q6_K the size of one step.
fn scale(block: &mut [u8], step: f64) {
    block[192..208].fill(1);
    block[208..].copy_from_slice(&f16::from_f64(step).to_le_bytes());
}

/// A block of Q4_K of these quants, 0 to 15: what [`q6_k`] makes of the same ones, with standard
/// deviation 1 if they are equally likely.
pub(super) fn q4_k(quants: &[u8; LEN], block: &mut [u8]) {
    scale_with_minimum(block, 16, 1.0);
    for (j, bytes) in block[16..].chunks_exact_mut(32).enumerate() {
        for (l, byte) in bytes.iter_mut().enumerate() {
            *byte = quants[64 * j + l] | quants[64 * j + 32 + l] << 4;
        }
    }
}

/// A block of Q6_K of these quants, 0 to 15, each spread to the middle of four: the same weights
/// as [`q4_k`] makes, with this standard deviation.
pub(super) fn q6_k(quants: &[u8; LEN], std: f64, block: &mut [u8]) {
    let quants: [u8; LEN] = array::from_fn(|i| 4 * quants[i] + 2);
    for h in 0..2 {
        for l in 0..32 {
            let q = |j: usize| quants[128 * h + 32 * j + l];
            block[64 * h + l] = q(0) & 15 | q(2) << 4;
            block[64 * h + 32 + l] = q(1) & 15 | q(3) << 4;
            let upper = (0..4).map(|j| q(j) >> 4 << (2 * j));
            block[128 + 32 * h + l] = upper.fold(0, |byte, pair| byte | pair);
        }
    }
    scale(block, std / (4.0 * deviation(16)));
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use sharpi_kernels::quant::{WeightType, dequantize_row};

    fn weights(ty: WeightType, bytes: &[u8]) -> Vec<f32> {
        let mut weights = vec![0.0; bytes.len() / ty.block_bytes() * ty.block_len()];
        dequantize_row(ty, bytes, &mut weights);
        weights
    }

    #[test]
    fn random_blocks_have_the_deviation_asked_for_and_no_mean() {
        let pairs = [
            (GgmlType::Q4_K, WeightType::Q4_K),
            (GgmlType::Q5_K, WeightType::Q5_K),
            (GgmlType::Q6_K, WeightType::Q6_K),
            (GgmlType::Q5_0, WeightType::Q5_0),
            (GgmlType::Q8_0, WeightType::Q8_0),
        ];
        for (ty, weight_type) in pairs {
            let count = 102_400 / ty.block_len() as usize;
            let blocks = random(ty, count, 0.02, &mut ChaCha8Rng::seed_from_u64(1));
            let weights = weights(weight_type, &blocks);
            let n = weights.len() as f32;
            let mean = weights.iter().sum::<f32>() / n;
            let square = weights.iter().map(|w| w * w).sum::<f32>() / n;
            assert!(mean.abs() < 4e-4, "{ty}: mean {mean}");
            assert!((square.sqrt() - 0.02).abs() < 2e-4, "{ty}: {square}");
        }
    }

    #[test]
    fn both_types_make_proportional_weights_of_the_same_quants() {
        let quants: [u8; LEN] = array::from_fn(|i| (i * 7 % 16) as u8);
        let (mut four, mut six) = ([0; 144], [0; 210]);
        q4_k(&quants, &mut four);
        q6_k(&quants, 0.5, &mut six);
        let pairs = weights(WeightType::Q4_K, &four)
            .into_iter()
            .zip(weights(WeightType::Q6_K, &six));
        for (i, (a, b)) in pairs.enumerate() {
            assert!((a - 2.0 * b).abs() < 2e-3 * a.abs(), "{i}: {a}, {b}");
        }
    }
}
