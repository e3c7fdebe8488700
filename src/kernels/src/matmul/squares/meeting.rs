//! Unpacked blocks meet tiles of tokens.

use std::marker::PhantomData;
use std::ops::Range;

use super::weights::Weights;
use super::{MOST_BLOCKS, bytes_of_step, bytes_of_sum, wide};
use crate::isa::amx::{Configured, SIDE, Square};
use crate::isa::{Avx512, Cache, Isa, prefetch};
use crate::matmul::block::sums_of;
use crate::matmul::tiles::{TileLayout, Tiles};
use crate::matmul::tokens::{InTile, Tokens};
use crate::quant::{Columns, Format, Offset};

/// What the multiplier makes of some blocks and a tile.
#[derive(Clone, Copy)]
struct Products {
    /// Of a block whose weights have two bytes the sums of the lower ones, then of the upper ones;
    /// else of one block after another.
    sums: [Square<i32>; MOST_BLOCKS],
    mins: Square<f32>,
}

/// What is made of the blocks, before it is added.
pub(super) struct Results {
    /// Of two turns.
    products: [Products; 2],
    /// Factors of weights and tokens.
    d: [[<Avx512 as Isa>::F; SIDE]; MOST_BLOCKS],
}

impl Results {
    #[inline(always)]
    pub(super) fn new() -> Results {
        let none = Products {
            sums: [Square([[0; SIDE]; SIDE]); MOST_BLOCKS],
            mins: Square([[0.0; SIDE]; SIDE]),
        };
        Results {
            products: [none; 2],
            d: [[Avx512::splat(0.0); SIDE]; MOST_BLOCKS],
        }
    }
}

pub(super) struct Meeting<'a, F> {
    pub(super) multiplier: &'a Configured,
    pub(super) weights: &'a Weights,
    pub(super) results: &'a mut Results,
    pub(super) blocks: Range<usize>,
    /// What is unpacked next, and how many cache lines that has.
    pub(super) next: *const u8,
    pub(super) lines: usize,
    pub(super) acts: &'a Tiles,
    pub(super) tiles: Range<usize>,
    /// Of all tokens of the tiles.
    pub(super) sums: &'a mut [<Avx512 as Isa>::F],
    pub(super) format: PhantomData<F>,
}

impl<'a, F: Format> Meeting<'a, F> {
    #[inline(always)]
    pub(super) fn run(mut self) {
        match self.blocks.len() {
            MOST_BLOCKS => self.turns::<MOST_BLOCKS>(),
            _ => self.turns::<1>(),
        }
    }

    /// A turn is one float sum of a tile's tokens. While the products of a turn are made, those of the
    /// turn before are added: a core does both at once, if neither waits for the other.
    #[inline(always)]
    fn turns<const B: usize>(&mut self) {
        let lines = self.lines.div_ceil(self.tiles.len());
        let turns = self.tiles.len() * F::SUMS;
        for turn in 0..=turns {
            if turn < turns {
                for b in 0..B {
                    self.multiply(turn, b);
                }
            }
            if turn > 0 {
                self.add::<B>(turn - 1);
            }
            if turn % F::SUMS == 0 {
                let first = turn / F::SUMS * lines;
                for line in first..first + lines {
                    prefetch(self.next.wrapping_add(line * 64), Cache::L2);
                }
            }
        }
    }

    /// Block `b` of the tile of a turn.
    #[inline(always)]
    fn tile(&self, turn: usize, b: usize) -> &'a [u32] {
        let layout = const { TileLayout::of_squares::<F>() };
        let tile = self.tiles.start + turn / F::SUMS;
        self.acts.block(layout, tile, self.blocks.start + b)
    }

    /// Makes the products of block `b`.
    #[inline(always)]
    fn multiply(&mut self, turn: usize, b: usize) {
        let (sum, bytes) = const { (bytes_of_sum::<F>(), bytes_of_step::<F>()) };
        let (tile, j) = (self.tile(turn, b), turn % F::SUMS);
        let Products { sums, mins } = &mut self.results.products[turn % 2];
        self.multiplier.begin();
        for step in 0..sum / bytes {
            let at = (j * sum + step * bytes) / 4;
            let tokens = (tile[at..].as_ptr().cast(), F::LEN);
            let weights = self.weights.of_step::<F>(b, j, step, bytes);
            // SAFETY: a tile begins with the quants of sixteen tokens, of each `F::LEN`; the weights
            // are as many lines as a step has bytes by four.
            unsafe {
                match wide::<F>() {
                    true => self.multiplier.step_wide(tokens, weights),
                    false => self.multiplier.step(tokens, weights.0),
                }
            }
        }
        // Of weights of two bytes there is one block at a time.
        self.multiplier.store(&mut sums[b]);
        if wide::<F>() {
            self.multiplier.store_upper(&mut sums[1]);
        }
        if F::OFFSET == Offset::Mins {
            let layout = const { TileLayout::of_squares::<F>() };
            let of_tokens = tile[layout.sums_at() * SIDE..].as_ptr().cast();
            self.multiplier.begin();
            // SAFETY: the layout has as many bytes of sums as a step takes, the weights as many lines.
            unsafe {
                self.multiplier
                    .step_of_floats((of_tokens, bytes), self.weights.mins())
            };
            self.multiplier.store(mins);
        }
    }

    /// Adds the products of a turn to the float sums.
    #[inline(always)]
    fn add<const B: usize>(&mut self, turn: usize) {
        let mut tokens = [InTile::<SIDE>::new::<F>(self.tile(turn, 0), 0, SIDE); B];
        for (b, tokens) in tokens.iter_mut().enumerate() {
            *tokens = InTile::new::<F>(self.tile(turn, b), 0, SIDE);
        }
        let (tile, j) = (turn / F::SUMS, turn % F::SUMS);
        let heads = &self.weights.heads;
        let Results { products, d } = &mut *self.results;
        let products = &products[turn % 2];
        if j == 0 {
            for b in 0..B {
                for t in 0..SIDE {
                    let of_token = Avx512::splat(tokens[b].d::<Avx512, F>(t, 0));
                    d[b][t] = Avx512::mul(heads[b].d, of_token);
                }
            }
        }
        let stride = const { sums_of::<F>() };
        let sums = &mut self.sums[tile * SIDE * stride..][..SIDE * stride];
        for (t, sums) in sums.chunks_exact_mut(stride).enumerate() {
            for b in 0..B {
                let mut part = Avx512::load_ints(&products.sums[b].0[t]);
                if wide::<F>() {
                    let upper = Avx512::load_ints(&products.sums[1].0[t]);
                    part = Avx512::plus_raised(part, upper, 8);
                }
                sums[j] = Avx512::fma(Avx512::to_f32(part), d[b][t], sums[j]);
                if F::OFFSET == Offset::Mins {
                    let of_token = Avx512::splat(tokens[b].d::<Avx512, F>(t, 0));
                    let d = Avx512::mul(heads[b].dmin, of_token);
                    let mins = Avx512::load(&products.mins.0[t]);
                    sums[F::SUMS] = Avx512::fma(mins, d, sums[F::SUMS]);
                }
            }
        }
    }
}
