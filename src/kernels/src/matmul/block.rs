//! One block of sixteen rows times the blocks of some tokens.

use std::sync::atomic::{Ordering, compiler_fence};

use super::deltas::add_with_deltas;
use super::parts::{add_parts, parts};
use super::quants::Quants;
use super::tiles::{mixed, raised};
use super::tokens::Tokens;
use crate::isa::Isa;
use crate::panel::PanelBlock;
use crate::quant::{Block, Factor, Format, Offset, Scales, nibbles};

/// Factors and integer scales of a block of sixteen rows.
#[derive(Clone, Copy)]
pub(super) struct Head<I: Isa> {
    pub(super) d: I::F,
    /// Minus the offset for [`Offset::Added`].
    pub(super) dmin: I::F,
    /// For one sum integers. For eight pairs: of the same, or where quants are mixed of those of
    /// two groups.
    pub(super) scale: [I::I; 16],
    /// Pairs of minimums, of the sub-blocks whose sums come in pairs.
    min: [I::I; 8],
    /// Pairs of what two sub-blocks of 16 are too large by, negative, for each sum of a.
    bias: [I::I; 8],
}

impl<I: Isa> Head<I> {
    /// Of no block.
    #[inline(always)]
    pub(super) fn none() -> Head<I> {
        Head {
            d: I::splat(0.0),
            dmin: I::splat(0.0),
            scale: [I::izero(); 16],
            min: [I::izero(); 8],
            bias: [I::izero(); 8],
        }
    }

    /// Those of a block, for activations in tiles or in rows. Returned, not written: with few
    /// tokens most of it then stays in registers.
    #[inline(always)]
    pub(super) fn new<F: Format, A: Tokens>(tile: PanelBlock<'_>) -> Head<I> {
        // Not from `none`: the compiler would then clear all of it each time.
        let mut head = Head {
            d: unit::<I, F>(factor::<I>(tile, F::D)),
            dmin: unit::<I, F>(factor::<I>(tile, F::DMIN)),
            scale: [I::izero(); 16],
            min: [I::izero(); 8],
            bias: [I::izero(); 8],
        };
        if F::OFFSET == Offset::Added {
            head.dmin = I::mul(head.dmin, I::splat(-1.0));
        }
        for s in 0..scales::<F>() {
            head.scale[s] = F::scale::<I>(&tile, s);
        }
        if F::OFFSET == Offset::Mins {
            for s in 0..min_pairs::<F>(A::TILES) {
                head.min[s] = if A::TILES || F::SCALES == Scales::Of16 {
                    I::paired(F::min::<I>(&tile, 2 * s), F::min::<I>(&tile, 2 * s + 1))
                } else {
                    let min = F::min::<I>(&tile, s);
                    I::paired(min, min)
                };
            }
        }
        if F::BIAS != 0 {
            let minus = I::plus_int(I::izero(), -F::BIAS);
            for j in 0..8 {
                let (mut low, mut high) = (minus, minus);
                if F::SCALES == Scales::Of16 {
                    low = I::multiply_add(I::izero(), head.scale[2 * j], minus);
                    high = I::multiply_add(I::izero(), head.scale[2 * j + 1], minus);
                }
                head.bias[j] = I::paired(low, high);
            }
        }
        if F::SUMS == 8 && parts::<F>() == 1 {
            // Of two groups, where both meet in one product.
            let apart = if A::TILES && mixed::<F>() {
                scales::<F>() / 8
            } else {
                0
            };
            for s in 0..scales::<F>() - apart {
                head.scale[s] = I::paired(head.scale[s], head.scale[s + apart]);
            }
        }
        head
    }
}

/// Pairs of sums that minimums are multiplied with.
const fn min_pairs<F: Format>(tiles: bool) -> usize {
    match F::SCALES {
        Scales::Of32 if tiles => 4,
        _ => 8,
    }
}

/// A factor from what is written of it.
#[inline(always)]
fn unit<I: Isa, F: Format>(d: I::F) -> I::F {
    if F::UNIT == 1.0 {
        return d;
    }
    I::mul(d, I::splat(F::UNIT))
}

#[inline(always)]
fn factor<I: Isa>(tile: PanelBlock<'_>, factor: Factor) -> I::F {
    match factor {
        Factor::None => I::splat(0.0),
        Factor::Word => I::load_f16(tile.words()),
        Factor::Exponent => I::exponents(tile.words()),
        Factor::One => I::splat(1.0),
        Factor::Nibbles(i) => I::low_halves(nibbles::<I>(&tile, i)),
        Factor::Low(i) => I::low_halves(I::ints(Block::<I>::column(&tile, i))),
        Factor::High(i) => I::high_halves(I::ints(Block::<I>::column(&tile, i))),
    }
}

/// How many integer scales a block has.
const fn scales<F: Format>() -> usize {
    match F::SCALES {
        Scales::None => 0,
        Scales::Of16 => F::LEN / 16,
        Scales::Of32 => F::LEN / 32,
    }
}

/// Which scale the four weights at `(g, j)` have.
#[inline(always)]
pub(super) fn scale_of<F: Format>(g: usize, j: usize) -> usize {
    match F::SCALES {
        Scales::None | Scales::Of32 => g,
        Scales::Of16 => 2 * g + j / 4,
    }
}

/// Sums that a token has: of the products, and one of what is subtracted or as many of the deltas.
pub(super) const fn sums_of<F: Format>() -> usize {
    match F::OFFSET {
        Offset::Deltas => 2 * F::SUMS,
        _ => F::SUMS + 1,
    }
}

/// Adds `B` blocks of sixteen rows, one after another, to the sums of `T` tokens, which has
/// [`sums_of`] for one token after another. A sum stays in a register for all blocks where there
/// are registers enough.
#[inline(always)]
pub(super) fn add_blocks<I: Isa, F: Format, A: Tokens, const T: usize, const B: usize>(
    quants: [impl Quants<I>; B],
    heads: [&Head<I>; B],
    acts: [A; B],
    sums: &mut [I::F],
) {
    let stride = sums_of::<F>();
    let sums = &mut sums[..T * stride];
    if F::OFFSET == Offset::Deltas {
        for b in 0..B {
            add_with_deltas::<I, F, A, T>(&quants[b], heads[b], acts[b], sums);
        }
        return;
    }
    if parts::<F>() > 1 {
        for b in 0..B {
            add_parts::<I, F, A, T>(&quants[b], heads[b], acts[b], sums);
        }
        return;
    }
    if F::SUMS == 1 {
        for b in 0..B {
            let total = one_sum::<I, F, A, T>(&quants[b], heads[b], acts[b]);
            for t in 0..T {
                let d = I::mul(heads[b].d, I::splat(acts[b].d::<I, F>(t, 0)));
                let sum = &mut sums[t * stride];
                *sum = I::fma(I::to_f32(total[t]), d, *sum);
            }
        }
    } else {
        let mut d = [[I::splat(0.0); T]; B];
        for b in 0..B {
            for t in 0..T {
                d[b][t] = I::mul(heads[b].d, I::splat(acts[b].d::<I, F>(t, 0)));
            }
        }
        for j in 0..8 {
            let mut acc = [I::splat(0.0); T];
            for t in 0..T {
                acc[t] = sums[t * stride + j];
            }
            for b in 0..B {
                let part = sum_of_eight::<I, F, A, T>(&quants[b], heads[b], acts[b], j);
                for t in 0..T {
                    acc[t] = I::fma(I::to_f32(part[t]), d[b][t], acc[t]);
                }
            }
            for t in 0..T {
                sums[t * stride + j] = acc[t];
            }
        }
    }
    if F::OFFSET != Offset::None {
        for t in 0..T {
            let mut acc = sums[t * stride + F::SUMS];
            for b in 0..B {
                acc = add_offset::<I, F, A>(heads[b], acts[b], t, acc);
            }
            sums[t * stride + F::SUMS] = acc;
        }
    }
}

/// Adds what a block's minimums or its offset make for token `t`.
#[inline(always)]
fn add_offset<I: Isa, F: Format, A: Tokens>(head: &Head<I>, acts: A, t: usize, acc: I::F) -> I::F {
    if F::OFFSET == Offset::Added {
        return I::fma(head.dmin, I::splat(acts.offset::<I, F>(t)), acc);
    }
    let mut mins = I::izero();
    for s in 0..min_pairs::<F>(A::TILES) {
        mins = I::add_pair(mins, head.min[s], acts.sums::<F>(t, s));
    }
    let d = I::mul(head.dmin, I::splat(acts.d::<I, F>(t, 0)));
    I::fma(I::to_f32(mins), d, acc)
}

/// What asks for memory stays before or after this. Of one token a whole block is unrolled, and the
/// compiler would move all that it asks for behind the products: a core drops what its list of
/// misses has no room for.
#[inline(always)]
fn keep_order() {
    compiler_fence(Ordering::SeqCst);
}

/// The integer sum of a block.
#[inline(always)]
fn one_sum<I: Isa, F: Format, A: Tokens, const T: usize>(
    quants: &impl Quants<I>,
    head: &Head<I>,
    acts: A,
) -> [I::I; T] {
    let mut total = [I::izero(); T];
    let per_scale = if F::SCALES == Scales::Of16 { 4 } else { 8 };
    // Two groups in one loop body where they are unpacked: formats keep them in the same columns.
    // Counted loops, as the compiler unrolls no others.
    let groups = const { if F::LEN == 32 || A::TILES { 1 } else { 2 } };
    for two in 0..F::LEN / 32 / groups {
        for sub in 0..groups * 8 / per_scale {
            let first = two * groups * 8 + sub * per_scale;
            let mut part = [I::izero(); T];
            for z in first..first + per_scale {
                let q = quants.quants(z / 8, z % 8);
                for t in 0..T {
                    part[t] = add_dot::<I, F>(part[t], q, acts.quants::<F>(t, z));
                }
            }
            if !A::TILES && T == 1 {
                keep_order();
            }
            for t in 0..T {
                total[t] = if F::SCALES == Scales::None {
                    part[t]
                } else {
                    let scale = head.scale[first / per_scale];
                    I::multiply_add(total[t], part[t], scale)
                };
            }
        }
    }
    total
}

/// The `j`-th of the eight integer sums of a block.
#[inline(always)]
fn sum_of_eight<I: Isa, F: Format, A: Tokens, const T: usize>(
    quants: &impl Quants<I>,
    head: &Head<I>,
    acts: A,
    j: usize,
) -> [I::I; T] {
    if A::TILES && raised::<F>() {
        let q = quants.quants(0, j);
        let mut part = [I::below(q); T];
        for t in 0..T {
            part[t] = I::raised_dot(part[t], q, acts.quants::<F>(t, j));
        }
        return part;
    }
    let mut part = [I::izero(); T];
    if F::BIAS != 0 {
        for t in 0..T {
            part[t] = I::add_pair(part[t], head.bias[j], acts.sums::<F>(t, j));
        }
    }
    if A::TILES && mixed::<F>() {
        for g in (0..F::LEN / 32).step_by(2) {
            let (low, high) = (quants.quants(g, j), quants.quants(g + 1, j));
            let scales = head.scale[scale_of::<F>(g, j)];
            for t in 0..T {
                let x = acts.quants::<F>(t, 8 * g + j);
                let y = acts.quants::<F>(t, 8 * g + 8 + j);
                part[t] = I::mixed_dot(part[t], low, x, high, y, scales);
            }
        }
        return part;
    }
    // Four groups in one loop body, as in `one_sum`.
    let groups = const { if F::LEN == 32 { 1 } else { 4 } };
    for four in 0..F::LEN / 32 / groups {
        for g in groups * four..groups * (four + 1) {
            let q = quants.quants(g, j);
            for t in 0..T {
                let a = acts.quants::<F>(t, 8 * g + j);
                part[t] = if F::SCALES == Scales::None {
                    add_dot::<I, F>(part[t], q, a)
                } else if F::SIGNED {
                    I::scaled_dot::<true>(part[t], q, a, head.scale[scale_of::<F>(g, j)])
                } else {
                    I::scaled_dot::<false>(part[t], q, a, head.scale[scale_of::<F>(g, j)])
                };
            }
        }
    }
    part
}

#[inline(always)]
pub(super) fn add_dot<I: Isa, F: Format>(acc: I::I, q: I::B, a: i32) -> I::I {
    if F::SIGNED {
        I::dot::<true>(acc, q, a)
    } else {
        I::dot::<false>(acc, q, a)
    }
}

/// The result of a token from its sums.
#[inline(always)]
pub(super) fn total<I: Isa, F: Format>(sums: &[I::F]) -> I::F {
    let acc = if F::SUMS == 1 {
        sums[0]
    } else {
        of_eight::<I>(sums)
    };
    match F::OFFSET {
        Offset::Deltas => I::add(acc, of_eight::<I>(&sums[F::SUMS..])),
        _ => I::sub(acc, sums[F::SUMS]),
    }
}

/// Eight sums, added.
#[inline(always)]
fn of_eight<I: Isa>(sums: &[I::F]) -> I::F {
    let even = I::add(I::add(sums[0], sums[4]), I::add(sums[2], sums[6]));
    let odd = I::add(I::add(sums[1], sums[5]), I::add(sums[3], sums[7]));
    I::add(even, odd)
}
