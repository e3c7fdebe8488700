//! Blocks of 256 with integer scales of their parts; layouts as in ggml's `block_q4_K`,
//! `block_q5_K` and `block_q6_K`.

use std::array;

use half::f16;

use super::{extreme, inverse};

const LEN: usize = 256;

/// Q4_K and Q5_K, quants of so many bits: eight parts of 32, each `d · scale · q − dmin · min` with
/// a scale and a minimum of 6 bits.
pub(super) fn with_minima(bits: u32, values: &[f32], out: &mut Vec<u8>) {
    let most = ((1 << bits) - 1) as f32;
    for x in values.chunks_exact(LEN) {
        let parts: [&[f32]; 8] = array::from_fn(|j| &x[32 * j..][..32]);
        // A minimum is taken away, so it is never above 0.
        let least = parts.map(|x| x.iter().copied().fold(0.0, f32::min));
        let steps: [f32; 8] = array::from_fn(|j| {
            let greatest = parts[j].iter().copied().fold(0.0, f32::max);
            (greatest - least[j]) / most
        });
        let d = f16::from_f32(extreme(&steps) / 63.0);
        let dmin = f16::from_f32(-extreme(&least) / 63.0);
        let of = |value: f32, unit: f16| (value * inverse(unit.to_f32())).round().min(63.0) as u8;
        // Rounded up where it can be, so that a part's greatest number is not cut off.
        let scales = steps.map(|step| (step * inverse(d.to_f32())).ceil().min(63.0) as u8);
        let minima = least.map(|least| of(-least, dmin));
        let quants: [u8; LEN] = array::from_fn(|i| {
            let (scale, min) = (f32::from(scales[i / 32]), f32::from(minima[i / 32]));
            let above = x[i] + dmin.to_f32() * min;
            (above * inverse(d.to_f32() * scale))
                .round()
                .clamp(0.0, most) as u8
        });
        out.extend(d.to_le_bytes());
        out.extend(dmin.to_le_bytes());
        out.extend(six_bit_pairs(&scales, &minima));
        if bits == 5 {
            // Byte l holds the fifth bits of quant l of each part.
            out.extend((0..32).map(|l| (0..8).fold(0, |b, j| b | (quants[32 * j + l] >> 4) << j)));
        }
        for pair in quants.chunks_exact(64) {
            out.extend((0..32).map(|l| pair[l] & 15 | (pair[32 + l] & 15) << 4));
        }
    }
}

/// Eight scales and eight minima of 6 bits in 12 bytes: the first four of each in bytes of their
/// own, whose upper two bits take those of the others, whose nibbles share the last four bytes.
fn six_bit_pairs(scales: &[u8; 8], minima: &[u8; 8]) -> [u8; 12] {
    array::from_fn(|i| match i {
        0..4 => scales[i] | scales[i + 4] >> 4 << 6,
        4..8 => minima[i - 4] | minima[i] >> 4 << 6,
        _ => scales[i - 4] & 15 | (minima[i - 4] & 15) << 4,
    })
}

/// Q6_K: sixteen parts of 16, each `d · scale · (q − 32)` with a scale of 8 bits and a sign.
pub(super) fn symmetric_6(values: &[f32], out: &mut Vec<u8>) {
    for x in values.chunks_exact(LEN) {
        let steps: [f32; 16] = array::from_fn(|j| extreme(&x[16 * j..][..16]) / -32.0);
        let d = f16::from_f32(extreme(&steps) / -128.0);
        let per_unit = inverse(d.to_f32());
        let scales = steps.map(|step| (step * per_unit).round().clamp(-128.0, 127.0) as i8);
        let quants: [u8; LEN] = array::from_fn(|i| {
            let step = d.to_f32() * f32::from(scales[i / 16]);
            ((x[i] * inverse(step)).round().clamp(-32.0, 31.0) + 32.0) as u8
        });
        // Of each half: nibbles of quants 64 apart share a byte, then the upper two bits of four
        // quants 32 apart do.
        for half in quants.chunks_exact(128) {
            out.extend((0..64).map(|l| half[l] & 15 | (half[l + 64] & 15) << 4));
        }
        for half in quants.chunks_exact(128) {
            out.extend((0..32).map(|l| {
                let upper = |j: usize| (half[32 * j + l] >> 4) << (2 * j);
                upper(0) | upper(1) | upper(2) | upper(3)
            }));
        }
        out.extend(scales.map(|scale| scale as u8));
        out.extend(d.to_le_bytes());
    }
}
