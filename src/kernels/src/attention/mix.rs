//! Values of a tile into the running results.

use half::f16;

use super::softmax::Steps;
use super::{CacheRows, TILE};
use crate::isa::reduce::Reduce;
use crate::isa::{Cache, prefetch};
use crate::quant::Element;
use crate::simd::multiversion;

multiversion! {
    /// `out = out · keep + v[p] · weight` for each position of the tile in order and for every
    /// head of a token, `dim` elements each; rounded to f16 after each operation if `half`.
    pub(super) fn mix<E: Element>(
        half: bool, v: CacheRows<'_>, steps: Steps<'_>, dim: usize, out: &mut [f32],
    ) = body;
}

#[inline(always)]
fn body<I: Reduce, E: Element>(
    half: bool,
    v: CacheRows<'_>,
    steps: Steps<'_>,
    dim: usize,
    out: &mut [f32],
) {
    if half {
        rounded::<I, E, true>(v, steps, dim, out);
    } else {
        rounded::<I, E, false>(v, steps, dim, out);
    }
}

/// As many heads together as registers hold the results of, with 64 elements each.
#[inline(always)]
fn rounded<I: Reduce, E: Element, const HALF: bool>(
    v: CacheRows<'_>,
    steps: Steps<'_>,
    dim: usize,
    out: &mut [f32],
) {
    let heads = out.len() / dim;
    let mut head = 0;
    while head < heads {
        let (some, all) = (steps.of_head(head), &mut out[head * dim..]);
        let (taken, columns) = match heads - head {
            4.. if I::MANY_REGISTERS => by_columns::<I, E, HALF, 4, 4>(v, some, dim, all),
            3 if I::MANY_REGISTERS => by_columns::<I, E, HALF, 3, 4>(v, some, dim, all),
            2.. if I::MANY_REGISTERS => by_columns::<I, E, HALF, 2, 4>(v, some, dim, all),
            2.. => by_columns::<I, E, HALF, 2, 2>(v, some, dim, all),
            _ => by_columns::<I, E, HALF, 1, 4>(v, some, dim, all),
        };
        // Here, so that what most heads have nothing of is compiled once.
        for head in head..head + taken {
            let (steps, out) = (steps.of_head(head), &mut out[head * dim..][..dim]);
            let mut at = columns;
            while at + 16 <= dim {
                take::<I, E, HALF, 1, 1>(v, steps, at, dim, out);
                at += 16;
            }
            take_rest::<I, E, HALF>(v, steps, at, &mut out[at..]);
        }
        head += taken;
    }
}

impl Steps<'_> {
    /// The steps of the queries from `head` on.
    #[inline(always)]
    fn of_head(mut self, head: usize) -> Self {
        (self.keep, self.weight) = (&self.keep[head..], &self.weight[head..]);
        self.ahead &= head == 0;
        self
    }
}

/// `H` heads, `16 · N` elements at a time; returns `H` and of how many elements.
#[inline(always)]
fn by_columns<I: Reduce, E: Element, const HALF: bool, const H: usize, const N: usize>(
    v: CacheRows<'_>,
    steps: Steps<'_>,
    dim: usize,
    out: &mut [f32],
) -> (usize, usize) {
    let mut at = 0;
    while at + 16 * N <= dim {
        take::<I, E, HALF, H, N>(v, steps, at, dim, out);
        at += 16 * N;
    }
    (H, at)
}

/// Elements `at ..` of `H` heads over all positions.
#[inline(always)]
fn take<I: Reduce, E: Element, const HALF: bool, const H: usize, const N: usize>(
    v: CacheRows<'_>,
    steps: Steps<'_>,
    at: usize,
    dim: usize,
    out: &mut [f32],
) {
    let mut acc = [[I::splat(0.0); N]; H];
    for h in 0..H {
        for i in 0..N {
            acc[h][i] = I::load(sixteen(out, h * dim + at + 16 * i));
        }
    }
    for p in 0..steps.count {
        let row = &v.bytes[p * v.stride + at * E::BYTES..][..16 * N * E::BYTES];
        if steps.ahead {
            let next = row.as_ptr().wrapping_add(TILE * v.stride);
            for line in 0..row.len().div_ceil(64) {
                prefetch(next.wrapping_add(64 * line), Cache::L1);
            }
        }
        let keep: &[f32; H] = factors(steps.keep, p * steps.stride);
        let weight: &[f32; H] = factors(steps.weight, p * steps.stride);
        if *keep != [1.0; H] {
            for h in 0..H {
                let keep = I::splat(keep[h]);
                for i in 0..N {
                    acc[h][i] = round::<I, HALF>(I::mul(acc[h][i], keep));
                }
            }
        }
        let mut values = [I::splat(0.0); N];
        for i in 0..N {
            values[i] = E::sixteen::<I>(&row[16 * i * E::BYTES..16 * (i + 1) * E::BYTES]);
        }
        for h in 0..H {
            let weight = I::splat(weight[h]);
            for i in 0..N {
                acc[h][i] = round::<I, HALF>(I::fma(values[i], weight, acc[h][i]));
            }
        }
    }
    for h in 0..H {
        for i in 0..N {
            let to = &mut out[h * dim + at + 16 * i..][..16];
            I::store(acc[h][i], to.try_into().expect("16 values"));
        }
    }
}

#[inline(always)]
fn sixteen(x: &[f32], at: usize) -> &[f32; 16] {
    x[at..at + 16].try_into().expect("16 values")
}

#[inline(always)]
fn factors<const H: usize>(x: &[f32], at: usize) -> &[f32; H] {
    x[at..at + H].try_into().expect("a factor for each head")
}

#[inline(always)]
fn round<I: Reduce, const HALF: bool>(x: I::F) -> I::F {
    if HALF { I::round_f16(x) } else { x }
}

/// The last elements of one head, from `at` on, fewer than sixteen.
#[inline(always)]
fn take_rest<I: Reduce, E: Element, const HALF: bool>(
    v: CacheRows<'_>,
    steps: Steps<'_>,
    at: usize,
    out: &mut [f32],
) {
    if out.is_empty() {
        return;
    }
    let round = |x: f32| if HALF { f16::from_f32(x).to_f32() } else { x };
    for p in 0..steps.count {
        let (keep, weight) = (steps.keep[p * steps.stride], steps.weight[p * steps.stride]);
        let row = &v.bytes[p * v.stride + at * E::BYTES..][..out.len() * E::BYTES];
        for (out, value) in out.iter_mut().zip(row.chunks_exact(E::BYTES)) {
            let kept = round(*out * keep);
            *out = round(E::one::<I>(value).mul_add(weight, kept));
        }
    }
}
