//! Weight rows times activation rows.
//!
//! For quantised weights one output is defined, for any number of tokens, as: block by
//! block, `isum = Σ scale·q · a` exactly in i32, then `acc = fma(isum, d_w·d_a, acc)`. With
//! sub-block minimums, `imin = Σ min · Σa` exactly in i32 and
//! `accm = fma(imin, dmin·d_a, accm)`; with a block offset `m` (Q4_1, Q5_1),
//! `accm = fma(−m, s_a, accm)`. The result is `acc − accm`. Float rows are
//! [dot products of 16 lanes](super::dot).

use super::activation::ActivationType;
use super::columns::ColumnsMut;
use super::dot::matmul_floats;
use super::isa::Isa;
use super::panel::matmul_panels;
use super::prepared::{Lanes, PANEL_FROM, Prepared};
use super::quant::{Bf16, Block, F16, F32, Format, Offset, WeightType, with_format};
use super::simd::multiversion;
use std::ops::Range;

/// `out[t][r] = weights[rows.start + r] · acts[t]`.
///
/// `weights` are whole row-major rows of `acts`' length, at any alignment; `out` is
/// `[tokens, rows.len()]`. Threads share `acts` and each take a range of rows, that is of
/// output columns.
///
/// # Panics
/// If the activations were not prepared in `ty.activation()`'s format, if the rows are not
/// all there, or if `out` has another shape.
pub fn matmul_rows(
    ty: WeightType,
    weights: &[u8],
    rows: Range<usize>,
    acts: &Prepared,
    out: &mut ColumnsMut<'_>,
) {
    assert_eq!(
        acts.ty,
        Some(ty.activation()),
        "activations for {} weights",
        ty.name()
    );
    assert!(
        rows.end * ty.row_bytes(acts.n) <= weights.len(),
        "weight rows {rows:?} are missing"
    );
    assert_eq!(
        (out.rows(), out.cols()),
        (acts.m, rows.len()),
        "shape of the output"
    );
    with_format!(
        ty,
        F => if acts.panels {
            matmul_panels::<F>(weights, rows, acts, out)
        } else {
            matmul_few::<F>(weights, rows, acts, out)
        },
        float => match ty.activation() {
            ActivationType::F32 => matmul_floats::<F32>(weights, rows, acts, out),
            ActivationType::F16 => matmul_floats::<F16>(weights, rows, acts, out),
            _ => matmul_floats::<Bf16>(weights, rows, acts, out),
        }
    )
}

/// [`matmul_rows`] on `m` activation rows as bytes, into a contiguous `[m, rows.len()]`.
///
/// This allocates; share a [`Prepared`] where it matters.
pub fn matmul(
    ty: WeightType,
    weights: &[u8],
    rows: Range<usize>,
    n_in: usize,
    acts: &[u8],
    m: usize,
    out: &mut [f32],
) {
    let mut prepared = Prepared::new();
    prepared.prepare(ty.activation(), acts, n_in, m);
    let cols = rows.len();
    matmul_rows(
        ty,
        weights,
        rows,
        &prepared,
        &mut ColumnsMut::new(out, cols, cols),
    );
}

multiversion! {
    /// [`matmul_rows`] for fewer than [`PANEL_FROM`] tokens: one weight block at a time meets
    /// every token.
    fn matmul_few<F: Format>(
        weights: &[u8], rows: Range<usize>, acts: &Prepared, out: &mut ColumnsMut<'_>,
    ) = few;
}

#[inline(always)]
fn few<I: Isa, F: Format>(
    weights: &[u8],
    rows: Range<usize>,
    acts: &Prepared,
    out: &mut ColumnsMut<'_>,
) {
    match acts.m {
        1 => few_exactly::<I, F, 1>(weights, rows, acts, out),
        2 => few_exactly::<I, F, 2>(weights, rows, acts, out),
        3 => few_exactly::<I, F, 3>(weights, rows, acts, out),
        4 => few_exactly::<I, F, 4>(weights, rows, acts, out),
        m => {
            debug_assert!(m < PANEL_FROM && PANEL_FROM == 6);
            few_exactly::<I, F, 5>(weights, rows, acts, out);
        }
    }
}

#[inline(always)]
fn few_exactly<I: Isa, F: Format, const M: usize>(
    weights: &[u8],
    rows: Range<usize>,
    acts: &Prepared,
    out: &mut ColumnsMut<'_>,
) {
    if acts.m != M {
        return;
    }
    let blocks = acts.n / F::LEN;
    let lanes = F::LEN / 32;
    let mut block = Block::new();
    let mut scaled = [Lanes([0; 32]); 8];
    for (r, row) in rows.enumerate() {
        let row = &weights[row * blocks * F::BYTES..][..blocks * F::BYTES];
        let mut acc = [0.0f32; M];
        let mut accm = [0.0f32; M];
        for (b, bytes) in row.chunks_exact(F::BYTES).enumerate() {
            F::unpack::<I>(bytes, &mut block);
            scale_quants::<F>(&block, &mut scaled);
            for t in 0..M {
                let at = t * blocks + b;
                let mut isum = I::izero();
                for (w, a) in scaled[..lanes].iter().zip(&acts.q[at * lanes..][..lanes]) {
                    isum = I::madd(isum, &w.0, &a.0);
                }
                let isum = I::isum(isum) as f32;
                acc[t] = isum.mul_add(block.d * acts.d[at], acc[t]);
                match F::OFFSET {
                    Offset::None => {}
                    Offset::Mins => {
                        let imin = min_sum(&block.min, &acts.sums[at]) as f32;
                        accm[t] = imin.mul_add(block.dmin * acts.d[at], accm[t]);
                    }
                    Offset::Added => accm[t] = block.dmin.mul_add(acts.s[at], accm[t]),
                }
            }
        }
        for t in 0..M {
            out.row_mut(t)[r] = acc[t] - accm[t];
        }
    }
}

/// `scale · q` for every quant of a block: at most 2¹² in any format.
#[inline(always)]
pub(crate) fn scale_quants<F: Format>(block: &Block, to: &mut [Lanes; 8]) {
    for (i, lanes) in to[..F::LEN / 32].iter_mut().enumerate() {
        for half in 0..2 {
            let scale = if F::SCALED {
                block.scale[2 * i + half]
            } else {
                1
            };
            for j in 16 * half..16 * half + 16 {
                lanes.0[j] = i16::from(block.q[32 * i + j]) * scale;
            }
        }
    }
}

#[inline(always)]
fn min_sum(min: &[i16; 16], sums: &Lanes) -> i32 {
    let mut total = 0;
    for (min, sum) in min.iter().zip(&sums.0) {
        total += i32::from(*min) * i32::from(*sum);
    }
    total
}
