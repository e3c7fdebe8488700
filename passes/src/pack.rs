//! Packs blocks that are taken for a time into one arena.
//!
//! Blocks are placed one after another, each in the tightest gap between those already placed
//! that are taken at a common time. Which order is best depends on the graph, so three are tried
//! and the smallest arena wins: the largest first, the largest area (bytes × time) first, and the
//! order of time.

use std::cmp::Reverse;

/// Bytes taken from step `first` through step `last`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Block {
    pub(crate) bytes: usize,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

/// Offsets of the blocks and the size of the arena. Offsets are sums of block sizes, so they are
/// as aligned as the sizes are.
pub(crate) fn pack(blocks: &[Block]) -> (Vec<usize>, usize) {
    let area = |b: &Block| b.bytes.saturating_mul(b.last - b.first + 1);
    let largest_first = ordered(blocks, |b| (Reverse(b.bytes), b.first));
    let widest_first = ordered(blocks, |b| (Reverse(area(b)), b.first));
    let by_time = ordered(blocks, |b| (b.first, Reverse(b.bytes)));
    let orders = [largest_first, widest_first, by_time];
    (orders.iter().map(|order| place_in_order(blocks, order)))
        .min_by_key(|(_, arena)| *arena)
        .unwrap_or_default()
}

/// The bytes taken at the widest moment: no arena can be smaller.
pub(crate) fn widest_moment(blocks: &[Block]) -> usize {
    let steps = blocks.iter().map(|b| b.last + 1).max().unwrap_or(0);
    let (mut taken, mut freed) = (vec![0; steps], vec![0; steps]);
    for b in blocks {
        taken[b.first] += b.bytes;
        freed[b.last] += b.bytes;
    }
    let (mut alive, mut widest) = (0, 0);
    for (taken, freed) in taken.into_iter().zip(freed) {
        alive += taken;
        widest = widest.max(alive);
        alive -= freed;
    }
    widest
}

fn ordered<K: Ord>(blocks: &[Block], key: impl Fn(&Block) -> K) -> Vec<usize> {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&i| key(&blocks[i]));
    order
}

fn place_in_order(blocks: &[Block], order: &[usize]) -> (Vec<usize>, usize) {
    let steps = blocks.iter().map(|b| b.last + 1).max().unwrap_or(0);
    // What is placed and taken at a step, and what of it is taken from that step on: together
    // they give each block that shares a step with another exactly once.
    let mut taken: Vec<Vec<usize>> = vec![Vec::new(); steps];
    let mut starting: Vec<Vec<usize>> = vec![Vec::new(); steps];
    let mut offsets = vec![0; blocks.len()];
    let mut arena = 0;
    let mut neighbours: Vec<(usize, usize)> = Vec::new();
    for &i in order {
        let Block { bytes, first, last } = blocks[i];
        let later = starting[first + 1..=last].iter().flatten();
        neighbours.clear();
        neighbours.extend(
            (taken[first].iter().chain(later)).map(|&n| (offsets[n], offsets[n] + blocks[n].bytes)),
        );
        neighbours.sort_unstable();
        offsets[i] = tightest_gap(&neighbours, bytes);
        arena = arena.max(offsets[i] + bytes);
        starting[first].push(i);
        taken[first..=last].iter_mut().for_each(|t| t.push(i));
    }
    (offsets, arena)
}

/// Start of the smallest gap of at least `bytes` between the ranges, which are in order of their
/// starts; behind the last range if there is none.
fn tightest_gap(ranges: &[(usize, usize)], bytes: usize) -> usize {
    let mut best: Option<(usize, usize)> = None;
    let mut end = 0;
    for &(start, range_end) in ranges {
        if start >= end + bytes && best.is_none_or(|(gap, _)| start - end < gap) {
            best = Some((start - end, end));
        }
        end = end.max(range_end);
    }
    best.map_or(end, |(_, start)| start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blocks() -> impl Strategy<Value = Vec<Block>> {
        let block = (0usize..40, 0usize..30, 0usize..10);
        let block = block.prop_map(|(units, first, length)| Block {
            bytes: units * 64,
            first,
            last: first + length,
        });
        prop::collection::vec(block, 0..80)
    }

    proptest! {
        #[test]
        fn blocks_that_share_a_step_share_no_byte(blocks in blocks()) {
            let (offsets, arena) = pack(&blocks);
            prop_assert!(widest_moment(&blocks) <= arena);
            for (i, (a, x)) in blocks.iter().zip(&offsets).enumerate() {
                prop_assert!(x + a.bytes <= arena && x % 64 == 0);
                for (b, y) in blocks.iter().zip(&offsets).take(i) {
                    let same_time = a.first <= b.last && b.first <= a.last;
                    let same_bytes = x < &(y + b.bytes) && y < &(x + a.bytes);
                    prop_assert!(!(same_time && same_bytes), "{a:?} at {x}, {b:?} at {y}");
                }
            }
        }
    }

    #[test]
    fn a_block_takes_the_tightest_gap_that_holds_it() {
        let ranges = [(0, 64), (256, 320), (448, 512)];
        assert_eq!(tightest_gap(&ranges, 128), 320);
        assert_eq!(tightest_gap(&ranges, 192), 64);
        assert_eq!(tightest_gap(&ranges, 256), 512);
    }
}
