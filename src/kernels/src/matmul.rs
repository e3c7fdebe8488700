//! Weight rows times activation rows.
//!
//! For quantised weights one output is defined, for any number of tokens, as: block by
//! block, `isum = Σ scale·q · a` exactly in i32, then `acc = fma(isum, d_w·d_a, acc)`. With
//! sub-block minimums, `imin = Σ min · Σa` exactly in i32 and
//! `accm = fma(imin, dmin·d_a, accm)`; with a block offset `m` (Q4_1, Q5_1),
//! `accm = fma(−m, s_a, accm)`. The result is `acc − accm`. IQ1's factors count in eighths, and an
//! eighth up or down is a minimum of IQ1_S.
//!
//! Formats which ggml repacks on x86 (Q4_0, IQ4_NL, MXFP4, Q2_K, Q4_K) have one such `acc`. The
//! others follow its `vec_dot`: `acc[j]` for `j < 8`, made of elements `4j .. 4j + 4` of each
//! 32, and added at the end: `j` with `j + 4`, then `j + 2`, then `j + 1`. Q6_K's quants count
//! from 0 there, and what that is too much, `32 · Σ scale·a` over sub-blocks `2j` and `2j + 1`,
//! is taken from sum `j`; so is the 1 of TQ1_0 and TQ2_0, whose scales are 1. IQ1_M has eight more
//! sums, of its eighths (`deltas`).
//!
//! Q1_0, Q2_0 and NVFP4 have blocks of several times 32 weights, which meet as many blocks of
//! activations (`parts`). For the first two, part by part `inner = fma(isum, d_a, inner)` from 0, then
//! `acc = fma(inner, d_w, acc)`; for NVFP4 `acc = fma(scale·isum, d_a/1024, acc)`. Q2_0 has one such
//! `acc`, the others eight.
//!
//! A rounding more or less here can flip a quant of the next activation, so this decides tokens.
//!
//! A vector holds sixteen rows ([`super::panel`]), so no sum is ever taken across lanes. For a
//! few tokens the quants of a block are unpacked on their way into the products; for many they
//! are unpacked once and meet every token from the cache. Either way one output is the same
//! sequence of operations.
//!
//! Float rows are dot products of 16 lanes (see `float`).

mod block;
mod deltas;
mod float;
mod many;
mod matrix;
mod parts;
mod quants;
#[cfg(target_arch = "x86_64")]
mod squares;
#[cfg(test)]
mod tests;
mod tiles;
mod tokens;

pub use matrix::Matrix;
pub use tiles::{Acts, Tiles};

use super::activation::ActivationType;
use super::columns::ColumnsMut;
use super::isa::Isa;
use super::panel::{BlockBuffer, Panel, ROWS, has_panels};
use super::quant::{Bf16, F16, F32, Format, with_format};
use super::simd::{Kernel, at_level};
use block::{Head, add_blocks, sums_of, total};
use float::matmul_floats;
use many::ManyTokens;
use quants::InPlace;
use std::marker::PhantomData;
use std::ops::Range;
use tiles::TileLayout;
use tokens::InRows;

/// Most sums that a token has.
const MOST_SUMS: usize = 16;
/// Of a few tokens so many meet a panel at once.
const AT_ONCE: usize = 4;

/// `out[t][r] = weights[rows.start + r] · acts[t]`.
///
/// `acts` are whole rows of `weights.n` values in the format that the weights' type asks for, or
/// tiles of them; `out` is `[tokens, rows.len()]`. Threads share `acts` and each take a range of rows, that is
/// of output columns.
///
/// # Panics
/// If the rows are not all there, or if `out` or `acts` have another shape.
pub fn matmul_rows(
    weights: Matrix<'_>,
    rows: Range<usize>,
    acts: Acts<'_>,
    out: &mut ColumnsMut<'_>,
) {
    let ty = weights.ty.activation();
    assert!(rows.end <= weights.rows, "weight rows {rows:?} are missing");
    assert_eq!(out.cols(), rows.len(), "columns of the output");
    let acts = match acts {
        Acts::Tiles(tiles) => {
            assert!(tiles.are_for(weights.ty), "tiles for other weights");
            assert_eq!((tiles.tokens, tiles.n()), (out.rows(), weights.n), "tiles");
            #[cfg(target_arch = "x86_64")]
            if tiles.are_of_squares() {
                return squares::matmul(weights, rows, tiles, out);
            }
            return with_format!(
                weights.ty,
                F => at_level(ManyTokens { weights, rows, acts: tiles, out, format: PhantomData::<F> }),
                float => unreachable!("rows of floats have no tiles")
            );
        }
        Acts::Rows(acts) => acts,
    };
    assert_eq!(
        acts.len(),
        out.rows() * ty.row_bytes(weights.n),
        "bytes of {} rows of {} {ty:?} activations",
        out.rows(),
        weights.n,
    );
    if out.rows() == 0 {
        return;
    }
    // What is as in the file is interleaved on the way: once for all tokens, by way of tiles.
    let once = has_panels(weights.ty) && !weights.packed && out.rows() > AT_ONCE;
    if once || Tiles::pay(weights.ty, out.rows()) {
        let mut tiles = Tiles::default();
        tiles.fill(weights.ty, out.rows(), acts);
        return matmul_rows(weights, rows, Acts::Tiles(&tiles), out);
    }
    with_format!(
        weights.ty,
        F => at_level(FewTokens { weights, rows, acts, out, format: PhantomData::<F> }),
        float => match ty {
            ActivationType::F32 => matmul_floats::<F32>(weights.bytes, rows, acts, weights.n, out),
            ActivationType::F16 => matmul_floats::<F16>(weights.bytes, rows, acts, weights.n, out),
            _ => matmul_floats::<Bf16>(weights.bytes, rows, acts, weights.n, out),
        }
    )
}

/// [`matmul_rows`] for few tokens.
struct FewTokens<'a, 'o, F> {
    weights: Matrix<'a>,
    rows: Range<usize>,
    acts: &'a [u8],
    out: &'a mut ColumnsMut<'o>,
    format: PhantomData<F>,
}

impl<F: Format> Kernel for FewTokens<'_, '_, F> {
    #[inline(always)]
    fn run<I: Isa>(self) {
        let FewTokens {
            weights,
            rows,
            acts,
            out,
            ..
        } = self;
        let m = out.rows();
        let mut buffer = BlockBuffer::new();
        for p in panels(&rows) {
            let panel = weights.panel(p);
            let mut t = 0;
            while t < m {
                let (buffer, acts) = (&mut buffer, (acts, acts.len() / m, t));
                // Portable code gains nothing by several at once.
                t += match if I::WIDE == 1 { 1 } else { m - t } {
                    1 => in_place::<I, F, 1>(&panel, buffer, acts, (p, &rows), out),
                    2 => in_place::<I, F, 2>(&panel, buffer, acts, (p, &rows), out),
                    3 => in_place::<I, F, 3>(&panel, buffer, acts, (p, &rows), out),
                    _ => in_place::<I, F, AT_ONCE>(&panel, buffer, acts, (p, &rows), out),
                };
            }
        }
    }
}

/// A panel times the `T` tokens from `first` on, whose number it returns; quants are unpacked for
/// them on the way.
#[inline(always)]
fn in_place<I: Isa, F: Format, const T: usize>(
    panel: &Panel<'_>,
    buffer: &mut BlockBuffer,
    (acts, row_bytes, first): (&[u8], usize, usize),
    (p, rows): (usize, &Range<usize>),
    out: &mut ColumnsMut<'_>,
) -> usize {
    let acts = &acts[first * row_bytes..];
    // Here, not with the caller, so that few sums can stay in registers.
    let mut sums = [I::splat(0.0); MOST_SUMS * AT_ONCE];
    let sums = &mut sums[..T * sums_of::<F>()];
    for b in 0..panel.blocks::<F>() {
        let tile = panel.block::<F>(b, buffer);
        let head = &Head::<I>::new::<F, InRows<'_, 1>>(tile);
        let acts = InRows::<T>::new::<F>(&acts[b * TileLayout::of::<F>().row.0..], row_bytes);
        let quants = InPlace::<F>::new(tile);
        add_blocks::<I, F, _, T, 1>([quants], [head], [acts], sums);
    }
    store::<I, F>(sums, p, rows, first..first + T, out);
    T
}

/// The panels that have some of these rows.
fn panels(rows: &Range<usize>) -> Range<usize> {
    rows.start / ROWS..rows.end.div_ceil(ROWS)
}

/// Writes what the sums of `tokens` say about the rows of panel `p` that are among `rows`.
#[inline(always)]
fn store<I: Isa, F: Format>(
    sums: &[I::F],
    p: usize,
    rows: &Range<usize>,
    tokens: Range<usize>,
    out: &mut ColumnsMut<'_>,
) {
    let (lanes, columns) = lanes(p, rows);
    for (t, sums) in tokens.zip(sums.chunks_exact(sums_of::<F>())) {
        let to = &mut out.row_mut(t)[columns.clone()];
        match to.first_chunk_mut() {
            Some(to) => I::store(total::<I, F>(sums), to),
            None => {
                let mut all = [0.0; ROWS];
                I::store(total::<I, F>(sums), &mut all);
                to.copy_from_slice(&all[lanes.clone()]);
            }
        }
    }
}

/// The rows of panel `p` among `rows`, as lanes and as output columns.
fn lanes(p: usize, rows: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let first = rows.start.max(p * ROWS);
    let end = rows.end.min((p + 1) * ROWS);
    (
        first - p * ROWS..end - p * ROWS,
        first - rows.start..end - rows.start,
    )
}
