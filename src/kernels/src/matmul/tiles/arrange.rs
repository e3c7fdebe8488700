//! A token's block into its places of a tile.

use super::{Order, Sums, TileLayout};
use crate::isa::RAISE;

/// Token `t`'s block into its places of a tile.
#[inline(always)]
pub(super) fn arrange(layout: TileLayout, block: &[u8], tile: &mut [u32], t: usize) {
    for (part, block) in block.chunks_exact(layout.part_bytes()).enumerate() {
        arrange_part(layout, (part, block), tile, t);
    }
}

/// One of a block's parts; most blocks have no other.
#[inline(always)]
fn arrange_part(layout: TileLayout, (part, block): (usize, &[u8]), tile: &mut [u32], t: usize) {
    let (head, rest) = block.split_at(layout.row.1);
    let (quants, sums) = rest.split_at(4 * layout.places());
    let (quants, _) = quants.as_chunks::<4>();
    let four = |q: usize| u32::from_le_bytes(quants[q]);
    let row = t * quants.len();
    let mut set = |slot: usize, value: u32| tile[slot * layout.tokens + t] = value;
    match layout.order {
        Order::Slots => {
            for z in 0..quants.len() {
                set(part * layout.places() + z, four(z));
            }
        }
        Order::Raised => {
            for z in 0..quants.len() {
                set(z, four(z) ^ RAISE as u32);
            }
        }
        Order::Mixed => {
            for two in (0..quants.len()).step_by(16) {
                for j in 0..8 {
                    let (a, b) = (four(two + j), four(two + 8 + j));
                    set(two + j, a & 0xffff | b << 16);
                    set(two + 8 + j, a >> 16 | b & 0xffff_0000);
                }
            }
        }
        Order::Rows => {
            for (z, to) in tile[row..][..quants.len()].iter_mut().enumerate() {
                *to = four(z);
            }
        }
        Order::Sums => {
            let groups = quants.len() / 8;
            for (z, to) in tile[row..][..quants.len()].iter_mut().enumerate() {
                *to = four(z % groups * 8 + z / groups);
            }
        }
    }
    let (sums, _) = sums.as_chunks::<4>();
    if let Sums::Floats { of_32, slots } = layout.sums {
        let to = &mut tile[layout.sums_at() * layout.tokens..][t * slots..][..slots];
        match of_32 {
            true => as_floats(&pairs_of_32(sums), to),
            false => as_floats(sums, to),
        }
    }
    let mut set = |slot: usize, value: u32| tile[slot * layout.tokens + t] = value;
    match layout.sums {
        Sums::None => {}
        Sums::Floats { .. } => {}
        Sums::Of16 => {
            for (s, pair) in sums.iter().enumerate() {
                set(layout.sums_at() + s, u32::from_le_bytes(*pair));
            }
        }
        Sums::Of32 => {
            for (s, pair) in pairs_of_32(sums).into_iter().enumerate() {
                set(layout.sums_at() + s, u32::from_le_bytes(pair));
            }
        }
    }
    let f16 = |at: usize| half::f16::from_le_bytes([head[at], head[at + 1]]).to_f32();
    let d = match layout.len {
        256 => f32::from_le_bytes([head[0], head[1], head[2], head[3]]),
        _ => f16(0),
    };
    set(layout.d_at() + part, d.to_bits());
    if layout.offset {
        set(layout.offset_at(), f16(2).to_bits());
    }
}

/// Pairs of sums of 32 from those of 16.
fn pairs_of_32(sums: &[[u8; 4]]) -> [[u8; 4]; 4] {
    let of_32 = |[a, b, c, d]: [u8; 4]| {
        let sum = i16::from_le_bytes([a, b]).wrapping_add(i16::from_le_bytes([c, d]));
        sum.to_le_bytes()
    };
    let mut pairs = [[0; 4]; 4];
    for (pair, two) in pairs.iter_mut().zip(sums.as_chunks::<2>().0) {
        let ([a, b], [c, d]) = (of_32(two[0]), of_32(two[1]));
        *pair = [a, b, c, d];
    }
    pairs
}

/// Pairs of sums as pairs of `bf16`: of each what its eight bits hold, and behind all of them what that
/// leaves.
fn as_floats(sums: &[[u8; 4]], to: &mut [u32]) {
    let (parts, rest) = to.split_at_mut(2 * sums.len());
    // What is left of an earlier use may not be a number, which no weight of zero makes zero.
    rest.fill(0);
    let (upper, lower) = parts.split_at_mut(sums.len());
    for ((sums, upper), lower) in sums.iter().zip(upper).zip(lower) {
        let [a, b, c, d] = *sums;
        let pair = [[a, b], [c, d]].map(|sum| f32::from(i16::from_le_bytes(sum)));
        let cut = |x: f32| x.to_bits() & 0xffff_0000;
        let pack = |[a, b]: [u32; 2]| a >> 16 | b;
        *upper = pack(pair.map(cut));
        *lower = pack(pair.map(|x| cut(x - f32::from_bits(cut(x)))));
    }
}
