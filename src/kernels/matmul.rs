//! Weight rows times activation rows.
//!
//! For quantised weights one output is defined, for any number of tokens, as: block by
//! block, `isum = Σ scale·q · a` exactly in i32, then `acc = fma(isum, d_w·d_a, acc)`. With
//! sub-block minimums, `imin = Σ min · Σa` exactly in i32 and
//! `accm = fma(imin, dmin·d_a, accm)`; with a block offset `m` (Q4_1, Q5_1),
//! `accm = fma(−m, s_a, accm)`. The result is `acc − accm`.
//!
//! Formats which ggml repacks on x86 (Q4_0, IQ4_NL, Q2_K, Q4_K) have one such `acc`. The
//! others follow its `vec_dot`: `acc[j]` for `j < 8`, made of elements `4j .. 4j + 4` of each
//! 32, and added at the end: `j` with `j + 4`, then `j + 2`, then `j + 1`. Q6_K's quants count
//! from 0 there, and what that is too much, `32 · Σ scale·a` over sub-blocks `2j` and `2j + 1`,
//! is taken from sum `j`. A rounding more or
//! less here can flip a quant of the next activation, so this decides tokens.
//!
//! Float rows are dot products of 16 lanes (see `dot`).

use super::activation::ActivationType;
use super::columns::ColumnsMut;
use super::dot::matmul_floats;
use super::isa::{Isa, prefetch};
use super::panel::matmul_panels;
use super::prepared::Prepared;
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
    /// [`matmul_rows`] for fewer than [`PANEL_FROM`](super::prepared::PANEL_FROM) tokens: weight blocks are unpacked
    /// once for four of them.
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
    let bytes = acts.n / F::LEN * F::BYTES;
    for first in rows.clone().step_by(4) {
        // At the end a row is repeated to make up four.
        let four = std::array::from_fn(|r| {
            let row = (first + r).min(rows.end - 1);
            &weights[row * bytes..(row + 1) * bytes]
        });
        let columns = first - rows.start..rows.len().min(first - rows.start + 4);
        for t in (0..acts.m).step_by(4) {
            let to = &mut out.part(t..acts.m.min(t + 4), columns.clone());
            match to.rows() {
                1 => four_rows::<I, F, 1>(four, acts, t, to),
                2 => four_rows::<I, F, 2>(four, acts, t, to),
                3 => four_rows::<I, F, 3>(four, acts, t, to),
                _ => four_rows::<I, F, 4>(four, acts, t, to),
            }
        }
    }
}

/// `M` tokens from `first` on against four rows, so that four sums across lanes are taken
/// together.
#[inline(always)]
fn four_rows<I: Isa, F: Format, const M: usize>(
    rows: [&[u8]; 4],
    acts: &Prepared,
    first: usize,
    out: &mut ColumnsMut<'_>,
) {
    let blocks = acts.n / F::LEN;
    let lanes = F::LEN / 32;
    let mut acc = [RowSums::<I>::new(); M];
    let mut accm = [[0.0f32; 4]; M];
    for b in 0..blocks {
        let mut isums = [[I::izero(); 4]; M];
        let mut mins = [[0; 16]; 4];
        let (mut d, mut dmin) = ([0.0; 4], [0.0; 4]);
        for r in 0..4 {
            let at = b * F::BYTES;
            prefetch_row_after::<F>(rows[r], at);
            let mut block = Block::<I>::new();
            F::unpack(&rows[r][at..at + F::BYTES], &mut block);
            (d[r], dmin[r], mins[r]) = (block.d, block.dmin, block.min);
            let scaled = scaled_quants::<I, F>(&block);
            for t in 0..M {
                let quants = &acts.q[((first + t) * blocks + b) * lanes..][..lanes];
                let mut isum = I::izero();
                if F::BIASED {
                    let sums = &acts.sums[(first + t) * blocks + b].0;
                    isum = I::unbiased(&block.scale, sums.first_chunk().expect("16 of 32"));
                }
                for (w, a) in scaled[..lanes].iter().zip(quants) {
                    isum = I::madd(isum, *w, &a.0);
                }
                isums[t][r] = isum;
            }
        }
        for t in 0..M {
            let at = (first + t) * blocks + b;
            acc[t].add::<F>(isums[t], d, acts.d[at]);
            match F::OFFSET {
                Offset::None => {}
                Offset::Mins => {
                    let sums = acts.sums[at].0.first_chunk().expect("16 of 32");
                    let imins = I::dots16(&mins, sums);
                    add_scaled(&mut accm[t], imins, dmin, acts.d[at]);
                }
                Offset::Added => {
                    for r in 0..4 {
                        accm[t][r] = dmin[r].mul_add(acts.s[at], accm[t][r]);
                    }
                }
            }
        }
    }
    for t in 0..M {
        let acc = acc[t].total::<F>();
        for (out, (acc, accm)) in out.row_mut(t).iter_mut().zip(acc.iter().zip(accm[t])) {
            *out = acc - accm;
        }
    }
}

/// The float sums of four rows.
#[derive(Clone, Copy)]
struct RowSums<I: Isa> {
    /// Formats with one sum a row.
    one: [f32; 4],
    /// Formats with eight: rows 0 and 1, then 2 and 3, in the order of [`Isa::pair_sums`].
    eight: [I::F; 2],
}

impl<I: Isa> RowSums<I> {
    #[inline(always)]
    fn new() -> Self {
        Self {
            one: [0.0; 4],
            eight: [I::splat(0.0); 2],
        }
    }

    /// Adds a block's integer sums, scaled.
    #[inline(always)]
    fn add<F: Format>(&mut self, isums: [I::I; 4], dw: [f32; 4], da: f32) {
        if F::SUMS == 1 {
            return add_scaled(&mut self.one, I::sums(isums), dw, da);
        }
        for (i, eight) in self.eight.iter_mut().enumerate() {
            let isum = I::pair_sums(isums[2 * i], isums[2 * i + 1]);
            let (x, y) = (dw[2 * i] * da, dw[2 * i + 1] * da);
            let d = I::load(&[x, x, y, y, x, x, y, y, x, x, y, y, x, x, y, y]);
            *eight = I::fma(I::to_f32(isum), d, *eight);
        }
    }

    #[inline(always)]
    fn total<F: Format>(&self) -> [f32; 4] {
        if F::SUMS == 1 {
            return self.one;
        }
        let mut total = [0.0; 4];
        for (i, eight) in self.eight.iter().enumerate() {
            let mut lanes = [0.0; 16];
            I::store(*eight, &mut lanes);
            for row in 0..2 {
                total[2 * i + row] =
                    add_eight(std::array::from_fn(|j| lanes[j / 2 * 4 + 2 * row + j % 2]));
            }
        }
        total
    }
}

/// The sum of eight lanes, as a tree.
#[inline(always)]
pub(crate) fn add_eight(x: [f32; 8]) -> f32 {
    let four: [f32; 4] = std::array::from_fn(|j| x[j] + x[j + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// Fetches what lies under the block at `at`, four rows on: the next rows to be read.
///
/// The hardware follows one stream of reads well, but not four which each start anew after a
/// few pages.
#[inline(always)]
fn prefetch_row_after<F: Format>(row: &[u8], at: usize) {
    if at % 64 < F::BYTES {
        for line in (0..F::BYTES).step_by(64) {
            prefetch(row.as_ptr().wrapping_add(4 * row.len() + at + line));
        }
    }
}

/// `acc = fma(sum, d_w · d_a, acc)` for four rows.
#[inline(always)]
fn add_scaled(acc: &mut [f32; 4], sums: [i32; 4], dw: [f32; 4], da: f32) {
    for r in 0..4 {
        acc[r] = (sums[r] as f32).mul_add(dw[r] * da, acc[r]);
    }
}

/// `scale · q` for every quant of a block, below 2¹³ in any format; vectors past
/// [`Format::LEN`] are meaningless. Quants are biased where the format says so.
#[inline(always)]
pub(crate) fn scaled_quants<I: Isa, F: Format>(block: &Block<I>) -> [I::W; 8] {
    let mut scaled = [I::widened(block.q[0]); 8];
    for (i, scaled) in scaled[..F::LEN / 32].iter_mut().enumerate() {
        *scaled = if F::SCALED {
            let q = if F::BIASED {
                I::plus(block.q[i], 32)
            } else {
                block.q[i]
            };
            I::scaled(q, &block.scale, i)
        } else {
            I::widened(block.q[i])
        };
    }
    scaled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::activation::quantize_row;
    use crate::kernels::isa::Scalar;
    use crate::kernels::quant::at;

    /// One row times one activation row, read off the definition.
    fn by_definition<F: Format>(ty: ActivationType, weights: &[u8], acts: &[u8]) -> f32 {
        let f16 = |bytes: &[u8]| half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        let mut block = Block::<Scalar>::new();
        let (mut acc, mut accm) = ([0.0f32; 8], 0.0f32);
        for (w, a) in weights
            .chunks_exact(F::BYTES)
            .zip(acts.chunks_exact(ty.block_bytes()))
        {
            F::unpack(w, &mut block);
            let (d, q) = match ty {
                ActivationType::Q8_0 => (f16(a), &a[2..]),
                ActivationType::Q8_1 => (f16(a), &a[4..]),
                _ => (f32::from_le_bytes(a[..4].try_into().unwrap()), &a[4..260]),
            };
            let (mut isum, mut imin) = ([0i32; 8], 0i32);
            for (i, a) in q.iter().map(|a| i32::from(*a as i8)).enumerate() {
                let scale = if F::SCALED {
                    i32::from(block.scale[at(i / 16)])
                } else {
                    1
                };
                let q = i32::from(block.q[i / 32][i % 32] as i8);
                let bias = if F::BIASED { 32 } else { 0 };
                isum[i % 32 / 4 % F::SUMS] += scale * (q + bias) * a;
                isum[i / 32] -= scale * bias * a;
                imin += i32::from(block.min[at(i / 16)]) * a;
            }
            for (acc, isum) in acc.iter_mut().zip(isum) {
                *acc = (isum as f32).mul_add(block.d * d, *acc);
            }
            match F::OFFSET {
                Offset::None => {}
                Offset::Mins => accm = (imin as f32).mul_add(block.dmin * d, accm),
                Offset::Added => accm = (-block.dmin).mul_add(f16(&a[2..]), accm),
            }
        }
        let acc = ((acc[0] + acc[4]) + (acc[2] + acc[6])) + ((acc[1] + acc[5]) + (acc[3] + acc[7]));
        if F::OFFSET == Offset::Added {
            acc + accm
        } else {
            acc - accm
        }
    }

    #[test]
    fn every_block_format_follows_the_definition_bit_for_bit_at_every_width() {
        let (n, rows, most) = (2560, 6, 20);
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for ty in WeightType::ALL.into_iter().filter(|ty| ty.block_len() > 1) {
            // Factors of any bits but those of infinities and NaN.
            let weights: Vec<u8> = (0..rows * ty.row_bytes(n)).map(|_| next() & 0xbf).collect();
            let act = ty.activation();
            let mut acts = vec![0; most * act.row_bytes(n)];
            for acts in acts.chunks_exact_mut(act.row_bytes(n)) {
                let x: Vec<f32> = (0..n).map(|_| f32::from(next()) - 127.5).collect();
                quantize_row(act, &x, acts);
            }
            for m in [1, 3, 4, 7, 13, most] {
                let mut out = vec![0.0; m * rows];
                matmul(
                    ty,
                    &weights,
                    0..rows,
                    n,
                    &acts[..m * act.row_bytes(n)],
                    m,
                    &mut out,
                );
                for (i, got) in out.iter().enumerate() {
                    let w = &weights[i % rows * ty.row_bytes(n)..][..ty.row_bytes(n)];
                    let a = &acts[i / rows * act.row_bytes(n)..][..act.row_bytes(n)];
                    let want = with_format!(
                        ty, F => by_definition::<F>(act, w, a), float => unreachable!()
                    );
                    assert_eq!(
                        got.to_bits(),
                        want.to_bits(),
                        "{ty:?}, {m} tokens, output {i}"
                    );
                }
            }
        }
    }
}
