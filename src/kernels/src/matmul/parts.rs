//! Blocks that meet several blocks of activations: each 32 weights of them are a part.

use super::block::{Head, add_dot, scale_of, sums_of};
use super::quants::Quants;
use super::tokens::Tokens;
use crate::isa::Isa;
use crate::quant::{Factor, Format, Scales};

/// Blocks of activations that a block meets.
pub(super) const fn parts<F: Format>() -> usize {
    match F::LEN {
        256 => 1,
        len => len / 32,
    }
}

/// Adds a block of sixteen rows to the sums of `T` tokens. A factor of the block meets the sum of its
/// parts; where there is none, parts are added one after another.
#[inline(always)]
pub(super) fn add_parts<I: Isa, F: Format, A: Tokens, const T: usize>(
    quants: &impl Quants<I>,
    head: &Head<I>,
    acts: A,
    sums: &mut [I::F],
) {
    let (stride, one) = (sums_of::<F>(), const { matches!(F::D, Factor::One) });
    for j in 0..F::SUMS {
        let mut acc = [I::splat(0.0); T];
        for t in 0..T {
            if one {
                acc[t] = sums[t * stride + j];
            }
        }
        for g in 0..parts::<F>() {
            let part = sum_of_part::<I, F, A, T>(quants, head, acts, g, j);
            for t in 0..T {
                let mut d = I::splat(acts.d::<I, F>(t, g));
                if one {
                    d = I::mul(d, head.d);
                }
                acc[t] = I::fma(I::to_f32(part[t]), d, acc[t]);
            }
        }
        for t in 0..T {
            let sum = &mut sums[t * stride + j];
            *sum = match one {
                true => acc[t],
                false => I::fma(acc[t], head.d, *sum),
            };
        }
    }
}

/// The integer sum of part `g`, or the `j`-th of its eight.
#[inline(always)]
fn sum_of_part<I: Isa, F: Format, A: Tokens, const T: usize>(
    quants: &impl Quants<I>,
    head: &Head<I>,
    acts: A,
    g: usize,
    j: usize,
) -> [I::I; T] {
    let mut part = [I::izero(); T];
    let columns = if F::SUMS == 1 { 0..8 } else { j..j + 1 };
    for j in columns {
        let q = quants.quants(g, j);
        for t in 0..T {
            part[t] = add_dot::<I, F>(part[t], q, acts.quants::<F>(t, 8 * g + j));
        }
    }
    if F::SCALES != Scales::None {
        for t in 0..T {
            // Not in 16 bits, which such a scale may exceed.
            part[t] = I::multiply_add(I::izero(), part[t], head.scale[scale_of::<F>(g, j)]);
        }
    }
    part
}
