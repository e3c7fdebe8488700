//! What is in the tensors, written piece by piece.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use half::f16;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::gguf::GgmlType;

use super::block;
use super::micro::rope_factor;

/// Blocks in a pool: a prime number, so that rows that go round it differ.
const POOL: usize = 65_521;
/// Rows of the embedding table and the head that are made at once.
const ROWS: usize = 2048;
/// Standard deviation of the head's weights.
const HEAD: f64 = 0.02;

/// The contents of a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fill {
    /// Quantised weights of mean 0 and this standard deviation.
    Random(f64),
    /// f32, normally distributed.
    Normal { mean: f64, deviation: f64 },
    /// f32, evenly distributed between two numbers.
    Uniform(f32, f32),
    /// f32, all the same.
    Constant(f32),
    /// Q4_K, a row of random weights for each token.
    Embedding,
    /// Q6_K, for each token the row that `Embedding` has for the token before; the first token
    /// follows the last.
    Head,
    /// Q8_0, ones on the diagonal.
    Identity,
    /// f32, what divides RoPE's angles.
    RopeFactors,
}

/// Random blocks, made once for each type and standard deviation.
pub(super) struct Pools {
    seed: ChaCha8Rng,
    made: Mutex<HashMap<Kind, Arc<[u8]>>>,
}

/// A type and the bits of a standard deviation.
type Kind = (GgmlType, u64);

/// Streams of the random numbers. The rows of the embedding have those from 0 on.
const OF_POOLS: u64 = 1 << 32;
const OF_TENSORS: u64 = 2 << 32;

impl Pools {
    pub(super) fn new(seed: u64) -> Pools {
        Pools {
            seed: ChaCha8Rng::seed_from_u64(seed),
            made: Mutex::default(),
        }
    }

    /// Random numbers that depend on the seed and `stream` alone.
    fn random(&self, stream: u64) -> ChaCha8Rng {
        let mut random = self.seed.clone();
        random.set_stream(stream);
        random
    }

    fn pool(&self, ty: GgmlType, std: f64) -> Arc<[u8]> {
        let mut made = self.made.lock().unwrap_or_else(|e| e.into_inner());
        let random = || self.random(OF_POOLS + u64::from(ty.id()));
        let make = || block::random(ty, POOL, std, &mut random()).into();
        Arc::clone(made.entry((ty, std.to_bits())).or_insert_with(make))
    }

    /// The quants of the embedding of a token.
    fn embedding(&self, token: usize, width: usize) -> Vec<u8> {
        let mut bytes = vec![0; width];
        self.random(token as u64).fill_bytes(&mut bytes);
        bytes.iter_mut().for_each(|byte| *byte &= 15);
        bytes
    }
}

impl Fill {
    /// What stands for it in a model of random f32: what reads vectors of deviation 1 gives such.
    pub(super) fn as_random(self, dims: &[usize]) -> Fill {
        let normal = |mean, deviation| Fill::Normal { mean, deviation };
        let reading = 1.0 / (dims[0] as f64).sqrt();
        match self {
            Fill::Embedding => normal(0.0, 1.0),
            Fill::Head => normal(0.0, 3.0 * reading),
            Fill::Random(_) | Fill::Identity | Fill::Constant(0.0) => normal(0.0, reading),
            Fill::Constant(x) => normal(f64::from(x), 0.1),
            Fill::Normal { mean: 0.0, .. } if dims.len() > 1 => normal(0.0, reading),
            Fill::Normal { .. } | Fill::Uniform(..) | Fill::RopeFactors => self,
        }
    }

    /// Writes the data of the `index`-th tensor, of this type and dimensions, the fastest first.
    pub(super) fn write(
        self,
        index: usize,
        ty: GgmlType,
        dims: &[u64],
        pools: &Pools,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let elements = dims.iter().product::<u64>();
        let (width, rows) = (dims[0] as usize, (elements / dims[0]) as usize);
        let mut random = pools.random(OF_TENSORS + index as u64);
        match self {
            Fill::Random(std) => {
                let pool = pools.pool(ty, std);
                let blocks = elements / ty.block_len();
                let start = random.random_range(0..POOL) * ty.block_bytes() as usize;
                around(&pool, start, blocks * ty.block_bytes(), out)
            }
            Fill::Normal { mean, deviation } => {
                let normal = || (mean + deviation * normal(&mut random)) as f32;
                floats(std::iter::repeat_with(normal), elements, out)
            }
            Fill::Uniform(low, high) => {
                let uniform = || random.random_range(low..high);
                floats(std::iter::repeat_with(uniform), elements, out)
            }
            Fill::Constant(x) => floats(std::iter::repeat(x), elements, out),
            Fill::RopeFactors => floats((0..).map(rope_factor), elements, out),
            Fill::Embedding => in_pieces(ty, width, rows, out, |row, bytes| {
                let quants = pools.embedding(row, width);
                each_block(&quants, bytes, block::q4_k);
            }),
            Fill::Head => in_pieces(ty, width, rows, out, |row, bytes| {
                let quants = pools.embedding((row + rows - 1) % rows, width);
                each_block(&quants, bytes, |quants, block| {
                    block::q6_k(quants, HEAD, block)
                });
            }),
            Fill::Identity => in_pieces(ty, width, rows, out, |row, bytes| {
                let block = &mut bytes[row / 32 * 34..][..34];
                block[..2].copy_from_slice(&f16::from_f64(1.0 / 127.0).to_le_bytes());
                block[2 + row % 32] = 127;
            }),
        }
    }
}

/// `bytes` bytes of a pool from `start` on, going round it.
fn around(pool: &[u8], start: usize, bytes: u64, out: &mut dyn Write) -> io::Result<()> {
    let (mut from, mut left) = (start, bytes as usize);
    while left > 0 {
        let piece = left.min(pool.len() - from);
        out.write_all(&pool[from..from + piece])?;
        left -= piece;
        from = 0;
    }
    Ok(())
}

fn floats(values: impl Iterator<Item = f32>, count: u64, out: &mut dyn Write) -> io::Result<()> {
    let values = values.take(count as usize);
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    out.write_all(&bytes)
}

/// A normally distributed number, by the Box–Muller transform.
fn normal(random: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (random.random(), random.random());
    // Not those of the platform, so that the weights are the same everywhere.
    (-2.0 * libm::log(1.0 - u)).sqrt() * libm::cos(std::f64::consts::TAU * v)
}

/// Makes `rows` rows of zeros, each with `fill`, and writes them, many at once.
fn in_pieces(
    ty: GgmlType,
    width: usize,
    rows: usize,
    out: &mut dyn Write,
    fill: impl Fn(usize, &mut [u8]) + Sync,
) -> io::Result<()> {
    let row_bytes = width / ty.block_len() as usize * ty.block_bytes() as usize;
    for first in (0..rows).step_by(ROWS) {
        let mut piece = vec![0; ROWS.min(rows - first) * row_bytes];
        let rows = piece.par_chunks_exact_mut(row_bytes).enumerate();
        rows.for_each(|(row, bytes)| fill(first + row, bytes));
        out.write_all(&piece)?;
    }
    Ok(())
}

/// Makes the blocks of a row from their quants.
fn each_block(quants: &[u8], bytes: &mut [u8], make: impl Fn(&[u8; block::LEN], &mut [u8])) {
    let (quants, _) = quants.as_chunks();
    let size = bytes.len() / quants.len();
    for (quants, block) in quants.iter().zip(bytes.chunks_exact_mut(size)) {
        make(quants, block);
    }
}
