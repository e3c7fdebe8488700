//! Blocks whose quants have deltas ([`Offset::Deltas`]): two sums in each place of one.
//!
//! [`Offset::Deltas`]: crate::quant::Offset::Deltas

use super::block::{Head, scale_of, sums_of};
use super::quants::Quants;
use super::tokens::Tokens;
use crate::isa::Isa;
use crate::quant::Format;

/// Adds a block of sixteen rows to the sums of `T` tokens: eight of the whole numbers, then eight of
/// the deltas.
#[inline(always)]
pub(super) fn add_with_deltas<I: Isa, F: Format, A: Tokens, const T: usize>(
    quants: &impl Quants<I>,
    head: &Head<I>,
    acts: A,
    sums: &mut [I::F],
) {
    let stride = sums_of::<F>();
    let mut d = [I::splat(0.0); T];
    for t in 0..T {
        d[t] = I::mul(head.d, I::splat(acts.d::<I, F>(t, 0)));
    }
    for j in 0..F::SUMS {
        let (mut wholes, mut deltas) = ([I::izero(); T], [I::izero(); T]);
        for g in 0..F::LEN / 32 {
            let scale = head.scale[scale_of::<F>(g, j)];
            let (whole, delta) = split::<I>(quants.quants(g, j));
            for t in 0..T {
                let a = acts.quants::<F>(t, 8 * g + j);
                wholes[t] = I::scaled_dot::<true>(wholes[t], whole, a, scale);
                deltas[t] = I::scaled_dot::<true>(deltas[t], delta, a, scale);
            }
        }
        for t in 0..T {
            let sum = &mut sums[t * stride + j];
            *sum = I::fma(I::to_f32(wholes[t]), d[t], *sum);
            let sum = &mut sums[t * stride + F::SUMS + j];
            *sum = I::fma(I::to_f32(deltas[t]), d[t], *sum);
        }
    }
}

/// A multiple of eight, and the 1 or −1 that a quant is more than that.
#[inline(always)]
fn split<I: Isa>(q: I::B) -> (I::B, I::B) {
    let whole = I::field(I::plus(q, 1), 0, 0xf8);
    // Bit 1 is set where the quant is one less.
    let minus_two = I::negate(I::field(q, 0, 2), I::field(q, 1, 1));
    (whole, I::plus(minus_two, 1))
}
