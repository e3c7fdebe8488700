//! Blocks of 32 with one f16 step: `d · q`, or `d · q + m`.

use half::f16;

use super::{extreme, inverse};

/// Q8_0: `d: f16, q: [i8; 32]`.
pub(super) fn symmetric_8(values: &[f32], out: &mut Vec<u8>) {
    for x in values.chunks_exact(32) {
        let d = extreme(x).abs() / 127.0;
        let per_step = inverse(d);
        out.extend(f16::from_f32(d).to_le_bytes());
        out.extend(x.iter().map(|x| (x * per_step).round() as i8 as u8));
    }
}

/// Q4_0 and Q5_0, quants of so many bits: the number of the largest size is the lowest quant, of
/// which there is one more than of those on the other side.
pub(super) fn symmetric(bits: u32, values: &[f32], out: &mut Vec<u8>) {
    let middle = (1 << (bits - 1)) as f32;
    for x in values.chunks_exact(32) {
        let d = extreme(x) / -middle;
        let per_step = inverse(d);
        let quant = |x: &f32| {
            (x * per_step + middle + 0.5)
                .trunc()
                .min(2.0 * middle - 1.0) as u8
        };
        out.extend(f16::from_f32(d).to_le_bytes());
        pack(bits, x.iter().map(quant), out);
    }
}

/// Q4_1 and Q5_1, quants of so many bits from the block's minimum on.
pub(super) fn with_minimum(bits: u32, values: &[f32], out: &mut Vec<u8>) {
    let most = ((1 << bits) - 1) as f32;
    for x in values.chunks_exact(32) {
        let least = x.iter().copied().fold(f32::MAX, f32::min);
        let d = (x.iter().copied().fold(f32::MIN, f32::max) - least) / most;
        let per_step = inverse(d);
        let quant = |x: &f32| ((x - least) * per_step + 0.5).trunc().min(most) as u8;
        out.extend(f16::from_f32(d).to_le_bytes());
        out.extend(f16::from_f32(least).to_le_bytes());
        pack(bits, x.iter().map(quant), out);
    }
}

/// Fifth bits as one little-endian word where there are any, then pairs of low nibbles: quant i
/// beside quant i + 16.
fn pack(bits: u32, quants: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    let mut all = [0; 32];
    all.iter_mut()
        .zip(quants)
        .for_each(|(to, quant)| *to = quant);
    if bits == 5 {
        let fifth = (0..32).fold(0u32, |word, i| word | u32::from(all[i] >> 4) << i);
        out.extend(fifth.to_le_bytes());
    }
    out.extend((0..16).map(|i| all[i] & 15 | (all[i + 16] & 15) << 4));
}
