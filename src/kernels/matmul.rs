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
//! A vector holds sixteen rows ([`super::panel`]), so no sum is ever taken across lanes. For a
//! few tokens the quants of a block are unpacked on their way into the products; for many they
//! are unpacked once and meet every token from the cache. Either way one output is the same
//! sequence of operations.
//!
//! Float rows are dot products of 16 lanes (see `dot`).

use super::activation::ActivationType;
use super::columns::ColumnsMut;
use super::dot::matmul_floats;
use super::isa::{Isa, prefetch};
use super::panel::{Panel, ROWS, Tile, TileRoom, has_panels, panel_bytes};
use super::quant::{
    Bf16, Block, F16, F32, Factor, Format, Offset, Scales, WeightType, columns, with_format,
};
use super::simd::multiversion;
use std::marker::PhantomData;
use std::ops::Range;

/// Up to this many tokens, quants go straight into the products.
const FEW: usize = 8;
/// Bytes of activations that a block of tokens may take, so that they stay in L2.
const TOKEN_BLOCK_BYTES: usize = 640 << 10;

/// A matrix of weights, `rows` of `n`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    /// The format.
    pub ty: WeightType,
    /// Weights of a row.
    pub n: usize,
    /// Rows.
    pub rows: usize,
    bytes: &'a [u8],
    packed: bool,
}

impl<'a> Matrix<'a> {
    /// Whole rows, one after another, as a file has them.
    ///
    /// # Panics
    /// If `bytes` is not a whole number of rows.
    pub fn of_rows(ty: WeightType, n: usize, bytes: &'a [u8]) -> Matrix<'a> {
        let row_bytes = ty.row_bytes(n).max(1);
        assert!(bytes.len().is_multiple_of(row_bytes), "a part of a row");
        let rows = bytes.len() / row_bytes;
        let packed = false;
        Matrix {
            ty,
            n,
            rows,
            bytes,
            packed,
        }
    }

    /// Panels, one after another ([`super::panel::pack`]).
    ///
    /// # Panics
    /// If there are not as many as `rows` make.
    pub fn of_panels(ty: WeightType, n: usize, rows: usize, bytes: &'a [u8]) -> Matrix<'a> {
        let panels = rows.div_ceil(ROWS);
        assert!(has_panels(ty) && bytes.len() == panels * panel_bytes(ty, n));
        let packed = true;
        Matrix {
            ty,
            n,
            rows,
            bytes,
            packed,
        }
    }

    /// Rows `ROWS · p ..`.
    #[inline(always)]
    fn panel(&self, p: usize) -> Panel<'a> {
        if self.packed {
            let bytes = panel_bytes(self.ty, self.n);
            return Panel::Packed(&self.bytes[p * bytes..(p + 1) * bytes]);
        }
        let row_bytes = self.ty.row_bytes(self.n);
        let end = self.rows.min((p + 1) * ROWS);
        Panel::Rows(
            &self.bytes[p * ROWS * row_bytes..end * row_bytes],
            row_bytes,
        )
    }
}

/// `out[t][r] = weights[rows.start + r] · acts[t]`.
///
/// `acts` are whole rows of `weights.n` values in the format that the weights' type asks for;
/// `out` is `[tokens, rows.len()]`. Threads share `acts` and each take a range of rows, that is
/// of output columns.
///
/// # Panics
/// If the rows are not all there, or if `out` or `acts` have another shape.
pub fn matmul_rows(weights: Matrix<'_>, rows: Range<usize>, acts: &[u8], out: &mut ColumnsMut<'_>) {
    let ty = weights.ty.activation();
    assert!(rows.end <= weights.rows, "weight rows {rows:?} are missing");
    assert_eq!(out.cols(), rows.len(), "columns of the output");
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
    with_format!(
        weights.ty,
        F => if out.rows() <= FEW {
            few_tokens::<F>(weights, rows, acts, out)
        } else {
            many_tokens::<F>(weights, rows, acts, out)
        },
        float => match ty {
            ActivationType::F32 => matmul_floats::<F32>(weights.bytes, rows, acts, weights.n, out),
            ActivationType::F16 => matmul_floats::<F16>(weights.bytes, rows, acts, weights.n, out),
            _ => matmul_floats::<Bf16>(weights.bytes, rows, acts, weights.n, out),
        }
    )
}

/// Factors and integer scales of a block of sixteen rows.
struct Head<I: Isa> {
    d: I::F,
    /// Minus the offset for [`Offset::Added`].
    dmin: I::F,
    /// As integers for one sum, as pairs of the same for eight.
    scale: [I::I; 16],
    /// Pairs of the minimums of two sub-blocks of 16.
    min: [I::I; 8],
    /// Pairs of what two sub-blocks of 16 are too large by, negative, for each sum of a.
    bias: [I::I; 8],
}

impl<I: Isa> Head<I> {
    #[inline(always)]
    fn new<F: Format>(tile: Tile<'_>) -> Head<I> {
        let mut head = Head {
            d: factor::<I>(tile, F::D),
            dmin: factor::<I>(tile, F::DMIN),
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
            for s in 0..8 {
                head.min[s] = if F::SCALES == Scales::Of16 {
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
                let low = I::multiply_add(I::izero(), head.scale[2 * j], minus);
                let high = I::multiply_add(I::izero(), head.scale[2 * j + 1], minus);
                head.bias[j] = I::paired(low, high);
            }
        }
        if F::SUMS == 8 {
            for s in 0..scales::<F>() {
                head.scale[s] = I::paired(head.scale[s], head.scale[s]);
            }
        }
        head
    }
}

#[inline(always)]
fn factor<I: Isa>(tile: Tile<'_>, factor: Factor) -> I::F {
    match factor {
        Factor::None => I::splat(0.0),
        Factor::Word => I::load_f16(tile.word()),
        Factor::Low(i) => I::low_halves(I::ints(Block::<I>::column(&tile, i))),
        Factor::High(i) => I::high_halves(I::ints(Block::<I>::column(&tile, i))),
    }
}

/// Where the quants of a block are taken from.
trait Quants<I: Isa> {
    /// Those of weights `32 · g + 4 · j ..`.
    fn quants(&self, g: usize, j: usize) -> I::B;
}

/// How far ahead of its use a weight is asked for, in bytes: a few times what a core reads while
/// it waits for one.
const AHEAD: usize = 8 << 10;

/// As they lie in the block. On the way the memory is asked for those of a later block, line by
/// line, spread evenly: as many at once as a block has would fill the core's list of misses.
struct InPlace<'a, F>(Tile<'a>, PhantomData<F>);

impl<I: Isa, F: Format> Quants<I> for InPlace<'_, F> {
    #[inline(always)]
    fn quants(&self, g: usize, j: usize) -> I::B {
        let (z, steps, lines) = (8 * g + j, F::LEN / 4, columns::<F>());
        if z * lines / steps != (z + 1) * lines / steps {
            prefetch(self.0.line(z * lines / steps).wrapping_add(AHEAD));
        }
        F::quants::<I>(&self.0, g, j)
    }
}

/// Unpacked before.
struct Unpacked<'a, I: Isa>(&'a [I::B; 64]);

impl<I: Isa> Quants<I> for Unpacked<'_, I> {
    #[inline(always)]
    fn quants(&self, g: usize, j: usize) -> I::B {
        self.0[8 * g + j]
    }
}

/// How many integer scales a block has.
const fn scales<F: Format>() -> usize {
    match F::SCALES {
        Scales::None => 0,
        Scales::Of16 => 16,
        Scales::Of32 => 8,
    }
}

/// Which scale the four weights at `(g, j)` have.
#[inline(always)]
fn scale_of<F: Format>(g: usize, j: usize) -> usize {
    match F::SCALES {
        Scales::None | Scales::Of32 => g,
        Scales::Of16 => 2 * g + j / 4,
    }
}

/// A block of one activation row.
#[derive(Clone, Copy)]
struct Act<'a>(&'a [u8]);

impl Act<'_> {
    /// Bytes of a block in the format that meets `F`, and where its quants start.
    const fn layout<F: Format>() -> (usize, usize) {
        match (F::LEN, F::OFFSET) {
            (256, _) => (292, 4),
            (_, Offset::Added) => (36, 4),
            _ => (34, 2),
        }
    }

    /// Four bytes from `at` on. A check of bounds in the innermost loop would cost as much as
    /// the product.
    #[inline(always)]
    fn int(&self, at: usize) -> i32 {
        debug_assert!(at + 4 <= self.0.len());
        // SAFETY: a block is as long as `layout` says, and each of the callers below stays within:
        // quants end where the block or its sums begin, there are eight pairs of those.
        i32::from_le_bytes(unsafe { self.0.as_ptr().add(at).cast::<[u8; 4]>().read() })
    }

    #[inline(always)]
    fn half<I: Isa>(&self, at: usize) -> f32 {
        I::f16(u16::from_le_bytes([self.0[at], self.0[at + 1]]))
    }

    /// Quants `4z ..`.
    #[inline(always)]
    fn quants<F: Format>(&self, z: usize) -> i32 {
        self.int(Self::layout::<F>().1 + 4 * z)
    }

    /// The sums of sub-blocks `2s` and `2s + 1` of 16 quants.
    #[inline(always)]
    fn sums(&self, s: usize) -> i32 {
        self.int(260 + 4 * s)
    }

    #[inline(always)]
    fn d<I: Isa, F: Format>(&self) -> I::F {
        I::splat(match F::LEN {
            256 => f32::from_bits(self.int(0) as u32),
            _ => self.half::<I>(0),
        })
    }
}

/// Adds a block of sixteen rows to the sums of `T` tokens: `SUMS` and one for what is subtracted,
/// token after token.
#[inline(always)]
fn add_block<I: Isa, F: Format, const T: usize>(
    quants: impl Quants<I>,
    head: &Head<I>,
    acts: [Act<'_>; T],
    sums: &mut [I::F],
) {
    let stride = F::SUMS + 1;
    let sums = &mut sums[..T * stride];
    let mut da = [I::splat(0.0); T];
    let mut d = [I::splat(0.0); T];
    for t in 0..T {
        da[t] = acts[t].d::<I, F>();
        d[t] = I::mul(head.d, da[t]);
    }
    if F::SUMS == 1 {
        let total = one_sum::<I, F, T>(&quants, head, acts);
        for t in 0..T {
            let sum = &mut sums[t * stride];
            *sum = I::fma(I::to_f32(total[t]), d[t], *sum);
        }
    } else {
        for j in 0..8 {
            let part = sum_of_eight::<I, F, T>(&quants, head, acts, j);
            for t in 0..T {
                let sum = &mut sums[t * stride + j];
                *sum = I::fma(I::to_f32(part[t]), d[t], *sum);
            }
        }
    }
    for t in 0..T {
        let sum = &mut sums[t * stride + F::SUMS];
        match F::OFFSET {
            Offset::None => {}
            Offset::Mins => {
                let mut mins = I::izero();
                for s in 0..8 {
                    mins = I::add_pair(mins, head.min[s], acts[t].sums(s));
                }
                *sum = I::fma(I::to_f32(mins), I::mul(head.dmin, da[t]), *sum);
            }
            Offset::Added => *sum = I::fma(head.dmin, I::splat(acts[t].half::<I>(2)), *sum),
        }
    }
}

/// The integer sum of a block.
#[inline(always)]
fn one_sum<I: Isa, F: Format, const T: usize>(
    quants: &impl Quants<I>,
    head: &Head<I>,
    acts: [Act<'_>; T],
) -> [I::I; T] {
    let mut total = [I::izero(); T];
    let per_scale = if F::SCALES == Scales::Of16 { 4 } else { 8 };
    for g in 0..F::LEN / 32 {
        for first in (0..8).step_by(per_scale) {
            let mut part = [I::izero(); T];
            for j in first..first + per_scale {
                let q = quants.quants(g, j);
                for t in 0..T {
                    let a = acts[t].quants::<F>(8 * g + j);
                    part[t] = add_dot::<I, F>(part[t], q, a);
                }
            }
            for t in 0..T {
                total[t] = if F::SCALES == Scales::None {
                    part[t]
                } else {
                    I::multiply_add(total[t], part[t], head.scale[scale_of::<F>(g, first)])
                };
            }
        }
    }
    total
}

/// The `j`-th of the eight integer sums of a block.
#[inline(always)]
fn sum_of_eight<I: Isa, F: Format, const T: usize>(
    quants: &impl Quants<I>,
    head: &Head<I>,
    acts: [Act<'_>; T],
    j: usize,
) -> [I::I; T] {
    let mut part = [I::izero(); T];
    if F::BIAS != 0 {
        for t in 0..T {
            part[t] = I::add_pair(part[t], head.bias[j], acts[t].sums(j));
        }
    }
    for g in 0..F::LEN / 32 {
        let q = quants.quants(g, j);
        for t in 0..T {
            let a = acts[t].quants::<F>(8 * g + j);
            part[t] = if F::SCALES == Scales::None {
                add_dot::<I, F>(part[t], q, a)
            } else if F::SIGNED {
                I::scaled_dot::<true>(part[t], q, a, head.scale[scale_of::<F>(g, j)])
            } else {
                I::scaled_dot::<false>(part[t], q, a, head.scale[scale_of::<F>(g, j)])
            };
        }
    }
    part
}

#[inline(always)]
fn add_dot<I: Isa, F: Format>(acc: I::I, q: I::B, a: i32) -> I::I {
    if F::SIGNED {
        I::dot::<true>(acc, q, a)
    } else {
        I::dot::<false>(acc, q, a)
    }
}

/// The result of a token from its sums.
#[inline(always)]
fn total<I: Isa, F: Format>(sums: &[I::F]) -> [f32; 16] {
    let acc = if F::SUMS == 1 {
        sums[0]
    } else {
        let even = I::add(I::add(sums[0], sums[4]), I::add(sums[2], sums[6]));
        let odd = I::add(I::add(sums[1], sums[5]), I::add(sums[3], sums[7]));
        I::add(even, odd)
    };
    let mut out = [0.0; 16];
    I::store(I::sub(acc, sums[F::SUMS]), &mut out);
    out
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

multiversion! {
    /// [`matmul_rows`] for up to [`FEW`] tokens.
    fn few_tokens<F: Format>(
        weights: Matrix<'_>, rows: Range<usize>, acts: &[u8], out: &mut ColumnsMut<'_>,
    ) = few;
}

#[inline(always)]
fn few<I: Isa, F: Format>(
    weights: Matrix<'_>,
    rows: Range<usize>,
    acts: &[u8],
    out: &mut ColumnsMut<'_>,
) {
    let (m, stride) = (out.rows(), F::SUMS + 1);
    let row_bytes = acts.len() / m;
    let (block_bytes, _) = Act::layout::<F>();
    let mut room = TileRoom::new();
    let mut sums = [I::splat(0.0); 9 * FEW];
    let sums = &mut sums[..m * stride];
    for p in rows.start / ROWS..rows.end.div_ceil(ROWS) {
        let panel = weights.panel(p);
        sums.fill(I::splat(0.0));
        for b in 0..weights.n / F::LEN {
            let tile = panel.tile::<F>(b, &mut room);
            let head = Head::<I>::new::<F>(tile);
            let block = |t: usize| Act(&acts[t * row_bytes + b * block_bytes..][..block_bytes]);
            let mut t = 0;
            macro_rules! tokens {
                ($n:literal) => {{
                    let quants = InPlace::<F>(tile, PhantomData);
                    let acts = std::array::from_fn(|i| block(t + i));
                    add_block::<I, F, $n>(quants, &head, acts, &mut sums[t * stride..]);
                    t += $n;
                }};
            }
            while t < m {
                // Portable code gains nothing by several at once.
                match if I::WIDE == 1 { 1 } else { m - t } {
                    1 => tokens!(1),
                    2 => tokens!(2),
                    3 => tokens!(3),
                    _ => tokens!(4),
                }
            }
        }
        let (lanes, columns) = lanes(p, &rows);
        for (t, sums) in sums.chunks_exact(stride).enumerate() {
            let total = total::<I, F>(sums);
            out.row_mut(t)[columns.clone()].copy_from_slice(&total[lanes.clone()]);
        }
    }
}

multiversion! {
    /// [`matmul_rows`] for any number of tokens.
    fn many_tokens<F: Format>(
        weights: Matrix<'_>, rows: Range<usize>, acts: &[u8], out: &mut ColumnsMut<'_>,
    ) = many;
}

#[inline(always)]
fn many<I: Isa, F: Format>(
    weights: Matrix<'_>,
    rows: Range<usize>,
    acts: &[u8],
    out: &mut ColumnsMut<'_>,
) {
    let (m, stride) = (out.rows(), F::SUMS + 1);
    let row_bytes = acts.len() / m;
    let most = (TOKEN_BLOCK_BYTES / row_bytes.max(1) / I::WIDE).clamp(3, 10) * I::WIDE;
    let mut sums = vec![I::splat(0.0); m.min(most) * stride];
    for first in (0..m).step_by(most) {
        let tokens = first..m.min(first + most);
        let acts = &acts[tokens.start * row_bytes..tokens.end * row_bytes];
        let sums = &mut sums[..tokens.len() * stride];
        for p in rows.start / ROWS..rows.end.div_ceil(ROWS) {
            sums.fill(I::splat(0.0));
            one_panel::<I, F>(&weights.panel(p), acts, row_bytes, sums);
            let (lanes, columns) = lanes(p, &rows);
            for (t, sums) in tokens.clone().zip(sums.chunks_exact(stride)) {
                let total = total::<I, F>(sums);
                out.row_mut(t)[columns.clone()].copy_from_slice(&total[lanes.clone()]);
            }
        }
    }
}

/// Adds all blocks of a panel to the sums of a block of tokens.
#[inline(always)]
fn one_panel<I: Isa, F: Format>(
    panel: &Panel<'_>,
    acts: &[u8],
    row_bytes: usize,
    sums: &mut [I::F],
) {
    let (block_bytes, _) = Act::layout::<F>();
    let (m, stride) = (acts.len() / row_bytes, F::SUMS + 1);
    let mut room = TileRoom::new();
    let mut unpacked = [I::column(&[0; 64]); 64];
    for b in 0..row_bytes / block_bytes {
        let tile = panel.tile::<F>(b, &mut room);
        let head = Head::<I>::new::<F>(tile);
        for g in 0..F::LEN / 32 {
            for j in 0..8 {
                unpacked[8 * g + j] = F::quants::<I>(&tile, g, j);
            }
        }
        let block = |t: usize| Act(&acts[t * row_bytes + b * block_bytes..][..block_bytes]);
        let mut t = 0;
        macro_rules! tokens {
            ($n:literal) => {{
                let quants = Unpacked::<I>(&unpacked);
                let acts = std::array::from_fn(|i| block(t + i));
                add_block::<I, F, $n>(quants, &head, acts, &mut sums[t * stride..]);
                t += $n;
            }};
        }
        while I::WIDE == 12 && t + 12 <= m {
            tokens!(12);
        }
        while I::WIDE >= 4 && t + 4 <= m {
            tokens!(4);
        }
        while t < m {
            tokens!(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::activation::quantize_row;
    use crate::kernels::panel::pack;
    use crate::kernels::quant::RowBlock;

    /// One row times one activation row, read off the definition.
    fn by_definition<F: Format>(ty: ActivationType, weights: &[u8], acts: &[u8]) -> f32 {
        let f16 = |bytes: &[u8]| half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        let (mut acc, mut accm) = ([0.0f32; 8], 0.0f32);
        for (w, a) in weights
            .chunks_exact(F::BYTES)
            .zip(acts.chunks_exact(ty.block_bytes()))
        {
            let block = RowBlock::<F>::new(w);
            let (d_w, dmin) = (block.factor(F::D), block.factor(F::DMIN));
            let (d, q) = match ty {
                ActivationType::Q8_0 => (f16(a), &a[2..]),
                ActivationType::Q8_1 => (f16(a), &a[4..]),
                _ => (f32::from_le_bytes(a[..4].try_into().unwrap()), &a[4..260]),
            };
            let (mut isum, mut imin) = ([0i32; 8], 0i32);
            for (i, a) in q.iter().map(|a| i32::from(*a as i8)).enumerate() {
                let scale = block.scale(i);
                isum[i % 32 / 4 % F::SUMS] += scale * (block.quant(i) + F::BIAS) * a;
                isum[i / 32] -= scale * F::BIAS * a;
                imin += block.min(i) * a;
            }
            for (acc, isum) in acc.iter_mut().zip(isum) {
                *acc = (isum as f32).mul_add(d_w * d, *acc);
            }
            match F::OFFSET {
                Offset::None => {}
                Offset::Mins => accm = (imin as f32).mul_add(dmin * d, accm),
                Offset::Added => accm = (-dmin).mul_add(f16(&a[2..]), accm),
            }
        }
        let acc = ((acc[0] + acc[4]) + (acc[2] + acc[6])) + ((acc[1] + acc[5]) + (acc[3] + acc[7]));
        acc - accm
    }

    fn panels(ty: WeightType, n: usize, rows: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        for rows in rows.chunks(ROWS * ty.row_bytes(n)) {
            let start = packed.len();
            packed.resize(start + panel_bytes(ty, n), 0);
            pack(ty, n, rows, &mut packed[start..]);
        }
        packed
    }

    #[test]
    fn every_block_format_follows_the_definition_bit_for_bit_at_every_width() {
        let (n, rows, most) = (2560, 38, 30);
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for ty in WeightType::ALL.into_iter().filter(|ty| has_panels(*ty)) {
            // Factors of any bits but those of infinities and NaN.
            let weights: Vec<u8> = (0..rows * ty.row_bytes(n)).map(|_| next() & 0xbf).collect();
            let packed = panels(ty, n, &weights);
            let act = ty.activation();
            let mut acts = vec![0; most * act.row_bytes(n)];
            for acts in acts.chunks_exact_mut(act.row_bytes(n)) {
                let x: Vec<f32> = (0..n).map(|_| f32::from(next()) - 127.5).collect();
                quantize_row(act, &x, acts);
            }
            let want: Vec<u32> = (0..most * rows)
                .map(|i| {
                    let w = &weights[i % rows * ty.row_bytes(n)..][..ty.row_bytes(n)];
                    let a = &acts[i / rows * act.row_bytes(n)..][..act.row_bytes(n)];
                    let value = with_format!(
                        ty, F => by_definition::<F>(act, w, a), float => unreachable!()
                    );
                    value.to_bits()
                })
                .collect();
            let forms = [
                Matrix::of_rows(ty, n, &weights),
                Matrix::of_panels(ty, n, rows, &packed),
            ];
            for (m, weights) in [1, 2, 3, 4, 5, 13, most]
                .into_iter()
                .flat_map(|m| forms.map(|form| (m, form)))
            {
                // All rows, and some that begin and end within a panel.
                for part in [0..rows, 5..19] {
                    let mut out = vec![0.0; m * part.len()];
                    let mut view = ColumnsMut::new(&mut out, part.len(), part.len());
                    let acts = &acts[..m * act.row_bytes(n)];
                    matmul_rows(weights, part.clone(), acts, &mut view);
                    for (i, got) in out.iter().enumerate() {
                        let (t, r) = (i / part.len(), part.start + i % part.len());
                        let same = got.to_bits() == want[t * rows + r];
                        assert!(same, "{ty:?}, {m} tokens, token {t}, row {r}");
                    }
                }
            }
        }
    }
}
