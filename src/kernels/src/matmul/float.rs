//! Dot products of float rows, and the matmul kernel made of them.
//!
//! A dot product of `n` values is defined as 16 lanes: lane `j` takes elements `j`,
//! `j + 16`, … in order, each with one fused multiply-add; a remainder fills the first
//! lanes once more. The lanes are then added pairwise, `j` with `j + 8`, then `j + 4`,
//! `j + 2`, `j + 1`.

use crate::columns::ColumnsMut;
use crate::isa::Isa;
use crate::isa::reduce::add_lanes;
use crate::quant::Element;
use crate::simd::multiversion;
use std::ops::Range;

/// Bytes of activations which a block of tokens may take, so that it stays in L2.
const TOKEN_BLOCK_BYTES: usize = 256 << 10;

/// The dot products of `R` rows with `T` tokens, all of the same length.
#[inline(always)]
fn tile<I: Isa, E: Element, const R: usize, const T: usize>(
    rows: [&[u8]; R],
    tokens: [&[u8]; T],
) -> [[f32; T]; R] {
    let n = tokens[0].len() / E::BYTES;
    let rows = rows.map(|row| &row[..n * E::BYTES]);
    let tokens = tokens.map(|token| &token[..n * E::BYTES]);
    let mut acc = [[I::splat(0.0); T]; R];
    for i in (0..n / 16).map(|i| 16 * i) {
        let mut a = [I::splat(0.0); T];
        for t in 0..T {
            a[t] = E::sixteen::<I>(&tokens[t][i * E::BYTES..(i + 16) * E::BYTES]);
        }
        for r in 0..R {
            let w = E::sixteen::<I>(&rows[r][i * E::BYTES..(i + 16) * E::BYTES]);
            for t in 0..T {
                acc[r][t] = I::fma(w, a[t], acc[r][t]);
            }
        }
    }
    let mut dots = [[0.0; T]; R];
    for r in 0..R {
        for t in 0..T {
            let mut lanes = [0.0; 16];
            I::store(acc[r][t], &mut lanes);
            for (lane, i) in lanes.iter_mut().zip(n / 16 * 16..n) {
                let a = E::one::<I>(&tokens[t][i * E::BYTES..]);
                *lane = E::one::<I>(&rows[r][i * E::BYTES..]).mul_add(a, *lane);
            }
            dots[r][t] = add_lanes(lanes);
        }
    }
    dots
}

multiversion! {
    /// `out[t][r] = weights[rows.start + r] · acts[t]` for rows of `n` floats.
    pub(crate) fn matmul_floats<E: Element>(
        weights: &[u8], rows: Range<usize>, acts: &[u8], n: usize, out: &mut ColumnsMut<'_>,
    ) = floats;
}

#[inline(always)]
fn floats<I: Isa, E: Element>(
    weights: &[u8],
    rows: Range<usize>,
    acts: &[u8],
    n: usize,
    out: &mut ColumnsMut<'_>,
) {
    let bytes = n * E::BYTES;
    let weights = &weights[rows.start * bytes..rows.end * bytes];
    // 4 × 4 accumulators fill half of 32 wide registers; two narrow ones make one vector.
    if I::FLOAT_TILE == 4 {
        blocked::<I, E, 4, 4>(weights, acts, bytes, out);
    } else {
        blocked::<I, E, 2, 2>(weights, acts, bytes, out);
    }
}

/// Tokens in blocks that stay in the cache, rows in tiles of `R`, tokens in tiles of `T`; each is
/// `bytes` long.
#[inline(always)]
fn blocked<I: Isa, E: Element, const R: usize, const T: usize>(
    weights: &[u8],
    acts: &[u8],
    bytes: usize,
    out: &mut ColumnsMut<'_>,
) {
    let (m, rows) = (out.rows(), out.cols());
    let per_block = (TOKEN_BLOCK_BYTES / bytes.max(1))
        .next_multiple_of(T)
        .max(T);
    for first in (0..m).step_by(per_block) {
        let tokens = first..m.min(first + per_block);
        let mut row = 0;
        while row + R <= rows {
            across::<I, E, R, T>(weights, row, tokens.clone(), acts, bytes, out);
            row += R;
        }
        for row in row..rows {
            across::<I, E, 1, T>(weights, row, tokens.clone(), acts, bytes, out);
        }
    }
}

/// `R` rows from `row` on, against all of `tokens`.
#[inline(always)]
fn across<I: Isa, E: Element, const R: usize, const T: usize>(
    weights: &[u8],
    row: usize,
    tokens: Range<usize>,
    acts: &[u8],
    bytes: usize,
    out: &mut ColumnsMut<'_>,
) {
    let w: [&[u8]; R] = std::array::from_fn(|r| &weights[(row + r) * bytes..][..bytes]);
    let token = |t: usize| &acts[t * bytes..(t + 1) * bytes];
    let mut t = tokens.start;
    while t + T <= tokens.end {
        let dots = tile::<I, E, R, T>(w, std::array::from_fn(|i| token(t + i)));
        for i in 0..T {
            for r in 0..R {
                out.row_mut(t + i)[row + r] = dots[r][i];
            }
        }
        t += T;
    }
    for t in t..tokens.end {
        let dots = tile::<I, E, R, 1>(w, [token(t)]);
        for r in 0..R {
            out.row_mut(t)[row + r] = dots[r][0];
        }
    }
}
