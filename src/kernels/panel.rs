//! The quantised matmul kernel for many tokens.
//!
//! A vector holds 16 tokens, so no sum is ever taken across lanes: a pair of weights is
//! broadcast against the same pair of 16 tokens. Weights are unpacked once per call, a
//! tile of rows by a chunk of blocks at a time, and meet every token from the cache.

use super::columns::ColumnsMut;
use super::isa::Isa;
use super::matmul::{add_eight, scaled_quants};
use super::prepared::{Lanes, Prepared};
use super::quant::{Block, Format, Offset, at};
use super::simd::multiversion;
use std::ops::Range;

/// Rows whose accumulators are held in registers together.
const QUAD: usize = 4;
/// Quads whose unpacked weights share one pass over the activations.
const QUADS: usize = 4;
const ROWS: usize = QUAD * QUADS;
/// Weights of a row that are unpacked at a time: with [`ROWS`] of them 64 KiB.
const CHUNK: usize = 2048;

/// The same pair of weights of four rows.
type PairOfQuad = [[i16; 2]; QUAD];

/// Unpacked blocks of four rows.
struct Quad {
    /// `[blocks][LEN / 2]`
    pairs: Vec<PairOfQuad>,
    /// `[blocks][8]`: minimums, or what takes back a bias.
    mins: Vec<PairOfQuad>,
    /// `[blocks]`
    d: Vec<[f32; QUAD]>,
    /// `[blocks]`
    dmin: Vec<[f32; QUAD]>,
}

impl Quad {
    fn new(blocks: usize, len: usize) -> Self {
        Self {
            pairs: vec![[[0; 2]; QUAD]; blocks * len / 2],
            mins: vec![[[0; 2]; QUAD]; blocks * 8],
            d: vec![[0.0; QUAD]; blocks],
            dmin: vec![[0.0; QUAD]; blocks],
        }
    }

    /// Unpacks `blocks` of the weight row `row` as row `r` of the quad.
    #[inline(always)]
    fn unpack<I: Isa, F: Format>(&mut self, r: usize, row: &[u8], blocks: &Range<usize>) {
        let mut block = Block::<I>::new();
        let bytes = &row[blocks.start * F::BYTES..blocks.end * F::BYTES];
        for (b, bytes) in bytes.chunks_exact(F::BYTES).enumerate() {
            F::unpack(bytes, &mut block);
            let scaled = scaled_quants::<I, F>(&block);
            let pairs = &mut self.pairs[b * F::LEN / 2..(b + 1) * F::LEN / 2];
            for (to, from) in pairs.chunks_exact_mut(16).zip(&scaled) {
                let mut words = [0; 32];
                I::store_words(*from, &mut words);
                for (to, from) in to.iter_mut().zip(words.chunks_exact(2)) {
                    to[r] = [from[0], from[1]];
                }
            }
            self.d[b][r] = block.d;
            self.dmin[b][r] = block.dmin;
            for (j, to) in self.mins[b * 8..(b + 1) * 8].iter_mut().enumerate() {
                let [even, odd] = [at(2 * j), at(2 * j + 1)];
                to[r] = if F::BIASED {
                    [-32 * block.scale[even], -32 * block.scale[odd]]
                } else {
                    [block.min[even], block.min[odd]]
                };
            }
        }
    }
}

/// Accumulators of four rows for one group of 16 tokens.
#[derive(Clone, Copy)]
struct Sums {
    /// The first [`Format::SUMS`] of them.
    acc: [[[f32; 16]; QUAD]; 8],
    accm: [[f32; 16]; QUAD],
}

const ZERO: Sums = Sums {
    acc: [[[0.0; 16]; QUAD]; 8],
    accm: [[0.0; 16]; QUAD],
};

multiversion! {
    /// `out[t][r] = weights[rows.start + r] · acts[t]` for activations in panels.
    pub(crate) fn matmul_panels<F: Format>(
        weights: &[u8], rows: Range<usize>, acts: &Prepared, out: &mut ColumnsMut<'_>,
    ) = panels;
}

#[inline(always)]
fn panels<I: Isa, F: Format>(
    weights: &[u8],
    rows: Range<usize>,
    acts: &Prepared,
    out: &mut ColumnsMut<'_>,
) {
    let blocks = acts.n / F::LEN;
    let row_bytes = blocks * F::BYTES;
    let per_chunk = (CHUNK / F::LEN).min(blocks);
    let mut quads: [Quad; QUADS] = std::array::from_fn(|_| Quad::new(per_chunk, F::LEN));
    let groups = acts.m.div_ceil(16);
    let mut sums = vec![ZERO; QUADS * groups];
    for first in rows.clone().step_by(ROWS) {
        let count = ROWS.min(rows.end - first);
        sums.fill(ZERO);
        for start in (0..blocks).step_by(per_chunk.max(1)) {
            let chunk = start..blocks.min(start + per_chunk);
            for r in 0..count {
                let row = &weights[(first + r) * row_bytes..][..row_bytes];
                quads[r / QUAD].unpack::<I, F>(r % QUAD, row, &chunk);
            }
            let quads = &quads[..count.div_ceil(QUAD)];
            all_groups::<I, F>(quads, &chunk, acts, &mut sums);
        }
        store::<F>(&sums, acts.m, first - rows.start, count, out);
    }
}

/// Adds a chunk of blocks to the sums `[group][quad]`.
#[inline(always)]
fn all_groups<I: Isa, F: Format>(
    quads: &[Quad],
    chunk: &Range<usize>,
    acts: &Prepared,
    sums: &mut [Sums],
) {
    let groups = sums.len() / QUADS;
    let mut g = 0;
    while I::TOKEN_GROUPS == 2 && g + 2 <= groups {
        let (low, high) = sums[g * QUADS..].split_at_mut(QUADS);
        for ((quad, low), high) in quads.iter().zip(low).zip(high) {
            add_chunk::<I, F, 2>(quad, chunk, acts, g, [low, high]);
        }
        g += 2;
    }
    for g in g..groups {
        for (quad, sums) in quads.iter().zip(&mut sums[g * QUADS..]) {
            add_chunk::<I, F, 1>(quad, chunk, acts, g, [sums]);
        }
    }
}

/// Adds a chunk of blocks for four rows and `G` groups of tokens from `group` on.
#[inline(always)]
fn add_chunk<I: Isa, F: Format, const G: usize>(
    quad: &Quad,
    chunk: &Range<usize>,
    acts: &Prepared,
    group: usize,
    mut sums: [&mut Sums; G],
) {
    // Sum after sum, so that one of them, for all rows and groups, stays in registers.
    for j in 0..F::SUMS {
        add_products::<I, F, G>(quad, chunk, acts, group, j, &mut sums);
    }
    if F::OFFSET != Offset::None {
        add_offsets::<I, F, G>(quad, chunk, acts, group, &mut sums);
    }
}

/// Adds a chunk of blocks to the `j`-th sums.
#[inline(always)]
fn add_products<I: Isa, F: Format, const G: usize>(
    quad: &Quad,
    chunk: &Range<usize>,
    acts: &Prepared,
    group: usize,
    j: usize,
    sums: &mut [&mut Sums; G],
) {
    let blocks = acts.n / F::LEN;
    let mut acc = [[I::splat(0.0); QUAD]; G];
    for g in 0..G {
        for r in 0..QUAD {
            acc[g][r] = I::load(&sums[g].acc[j][r]);
        }
    }
    for (i, b) in chunk.clone().enumerate() {
        let at: [usize; G] = std::array::from_fn(|g| (group + g) * blocks + b);
        let pairs = &quad.pairs[i * F::LEN / 2..(i + 1) * F::LEN / 2];
        let tokens = at.map(|at| &acts.q[at * F::LEN / 2..(at + 1) * F::LEN / 2]);
        let mut isum = [[I::izero(); QUAD]; G];
        if F::SUMS == 1 {
            add_pairs::<I, G>(pairs, tokens, &mut isum);
        } else {
            if F::BIASED {
                let tokens = at.map(|at| &acts.sums[at * 8 + j..=at * 8 + j]);
                add_pairs::<I, G>(&quad.mins[i * 8 + j..=i * 8 + j], tokens, &mut isum);
            }
            for k in 0..F::LEN / 32 {
                let own = 16 * k + 2 * j..16 * k + 2 * j + 2;
                let tokens = tokens.map(|tokens| &tokens[own.clone()]);
                add_pairs::<I, G>(&pairs[own.clone()], tokens, &mut isum);
            }
        }
        let d = vectors::<I, G>(&acts.d, at);
        scaled_add::<I, G>(isum, &quad.d[i], d, &mut acc);
    }
    for (acc, sums) in acc.into_iter().zip(sums) {
        for r in 0..QUAD {
            I::store(acc[r], &mut sums.acc[j][r]);
        }
    }
}

/// Adds what a chunk of blocks subtracts.
#[inline(always)]
fn add_offsets<I: Isa, F: Format, const G: usize>(
    quad: &Quad,
    chunk: &Range<usize>,
    acts: &Prepared,
    group: usize,
    sums: &mut [&mut Sums; G],
) {
    let blocks = acts.n / F::LEN;
    let mut accm = [[I::splat(0.0); QUAD]; G];
    for g in 0..G {
        for r in 0..QUAD {
            accm[g][r] = I::load(&sums[g].accm[r]);
        }
    }
    for (i, b) in chunk.clone().enumerate() {
        let at: [usize; G] = std::array::from_fn(|g| (group + g) * blocks + b);
        if F::OFFSET == Offset::Mins {
            let mut imin = [[I::izero(); QUAD]; G];
            let tokens = at.map(|at| &acts.sums[at * 8..(at + 1) * 8]);
            add_pairs::<I, G>(&quad.mins[i * 8..(i + 1) * 8], tokens, &mut imin);
            let d = vectors::<I, G>(&acts.d, at);
            scaled_add::<I, G>(imin, &quad.dmin[i], d, &mut accm);
        } else {
            let s = vectors::<I, G>(&acts.s, at);
            for g in 0..G {
                for r in 0..QUAD {
                    accm[g][r] = I::fma(I::splat(quad.dmin[i][r]), s[g], accm[g][r]);
                }
            }
        }
    }
    for (accm, sums) in accm.into_iter().zip(sums) {
        for r in 0..QUAD {
            I::store(accm[r], &mut sums.accm[r]);
        }
    }
}

/// The 16 values of each group.
#[inline(always)]
fn vectors<I: Isa, const G: usize>(values: &[f32], at: [usize; G]) -> [I::F; G] {
    let mut vectors = [I::splat(0.0); G];
    for g in 0..G {
        let values = &values[at[g] * 16..at[g] * 16 + 16];
        vectors[g] = I::load(values.try_into().expect("16 values"));
    }
    vectors
}

/// Adds the integer dot products of four rows with `G` groups of 16 tokens.
#[inline(always)]
fn add_pairs<I: Isa, const G: usize>(
    pairs: &[PairOfQuad],
    tokens: [&[Lanes]; G],
    sums: &mut [[I::I; QUAD]; G],
) {
    let tokens = tokens.map(|lanes| &lanes[..pairs.len()]);
    for (p, pair) in pairs.iter().enumerate() {
        for g in 0..G {
            for r in 0..QUAD {
                sums[g][r] = I::madd_pair(sums[g][r], pair[r], &tokens[g][p].0);
            }
        }
    }
}

/// `acc = fma(isum, d_w · d_a, acc)` in every lane.
#[inline(always)]
fn scaled_add<I: Isa, const G: usize>(
    isum: [[I::I; QUAD]; G],
    dw: &[f32; QUAD],
    da: [I::F; G],
    acc: &mut [[I::F; QUAD]; G],
) {
    for g in 0..G {
        for r in 0..QUAD {
            let d = I::mul(I::splat(dw[r]), da[g]);
            acc[g][r] = I::fma(I::to_f32(isum[g][r]), d, acc[g][r]);
        }
    }
}

/// Writes `count` columns from `first` on, for every token.
fn store<F: Format>(sums: &[Sums], m: usize, first: usize, count: usize, out: &mut ColumnsMut<'_>) {
    for t in 0..m {
        let sums = &sums[t / 16 * QUADS..];
        for (r, out) in out.row_mut(t)[first..first + count].iter_mut().enumerate() {
            let quad = &sums[r / QUAD];
            let acc: [f32; 8] = std::array::from_fn(|j| quad.acc[j][r % QUAD][t % 16]);
            let acc = if F::SUMS == 1 { acc[0] } else { add_eight(acc) };
            *out = acc - quad.accm[r % QUAD][t % 16];
        }
    }
}
