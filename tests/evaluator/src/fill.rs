//! Numbers made up from a seed.

use sharpi_ir::{Dim, Index, Symbol};

use crate::tensor::Tensor;

/// Multiples of 1/64 from −1 to 1, which every float type holds; no zeros, by which something might
/// be divided.
pub fn floats(seed: u64, dims: &[usize]) -> Tensor {
    let mut state = seed;
    Tensor::from_fn(dims.to_vec(), |_| match next(&mut state) % 128 {
        n @ 0..64 => (n as f64 - 64.0) / 64.0,
        n => (n as f64 - 63.0) / 64.0,
    })
}

/// Whole numbers as an index counts them; positions follow each other from 0.
pub fn numbers(seed: u64, dims: &[usize], index: Index, bind: &dyn Fn(Symbol) -> usize) -> Tensor {
    let limit = match index {
        Index::Position => return Tensor::from_fn(dims.to_vec(), |i| i as f64),
        Index::Below(Dim::Fixed(n)) => n,
        Index::Below(Dim::Sym(symbol)) => bind(symbol),
    };
    let mut state = seed;
    let of = |_| (next(&mut state) % limit.max(1) as u64) as f64;
    Tensor::from_fn(dims.to_vec(), of)
}

/// The sequence of SplitMix64 (Steele, Lea, Flood 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
