//! Heads: which of them a rank has, so that each finds what it reads on the same rank.

use sharpi_ir::{Graph, KeyHeads, NodeId, Op, Parts, RowSet, slot};

use super::Division;
use crate::pattern::value;

/// Elements of the largest block of an activation format, and of the smallest that is one.
pub(super) const BLOCKS: [usize; 2] = [256, 32];

/// Even ranges of `count` things of `size` elements each, in whole blocks of the largest size of
/// which every rank gets one.
pub(super) fn in_blocks(count: usize, size: usize, ranks: usize) -> Parts {
    let blocks = BLOCKS.map(|block| block / gcd(block, size));
    let enough = |unit: &usize| count / unit >= ranks && count.is_multiple_of(*unit);
    Parts::ranges(count, blocks.into_iter().find(enough).unwrap_or(1), ranks)
}

fn gcd(a: usize, b: usize) -> usize {
    match b {
        0 => a,
        b => gcd(b, a % b),
    }
}

/// The heads of a scan.
pub(super) struct ScanHeads {
    pub(super) k: Parts,
    pub(super) v: Parts,
}

/// A rank has k-heads and all v-heads that read them, in their order; with more ranks than k-heads
/// some of the v-heads that read one. So a v-head of a rank reads the k-head that the scan's own rule
/// names among those of the rank.
pub(super) fn scan_heads(graph: &Graph, scan: NodeId, ranks: usize) -> Option<ScanHeads> {
    let heads = |name| {
        let ty = graph.ty(value(graph, scan, name)?);
        Some((ty.shape.get(1)?.fixed()?, ty.last().fixed()?))
    };
    let ((k_heads, size), (v_heads, _)) = (heads(slot::GdnScan::k)?, heads(slot::GdnScan::v)?);
    let rounds = v_heads.checked_div(k_heads)?;
    let (k, rounds_of) = match ranks <= k_heads {
        true => {
            let all = Parts::ranges(rounds, rounds, ranks);
            (in_blocks(k_heads, size, ranks), all)
        }
        false => split_heads(k_heads, rounds, ranks),
    };
    let Some(Op::GdnScan { keys }) = graph.op(scan) else {
        return None;
    };
    let v = k.iter().zip(rounds_of.iter()).map(|(k, own)| match keys {
        KeyHeads::ByTurns => union(own, |round| k.shifted(round * k_heads)),
        KeyHeads::Grouped => union(k, |head| own.shifted(head * rounds)),
    });
    let v = Parts::new(v);
    Some(ScanHeads { k, v })
}

/// All that there is for each of some rows.
fn union(rows: &RowSet, of: impl Fn(usize) -> RowSet) -> RowSet {
    let rows = rows.ranges().iter().cloned().flatten();
    rows.fold(RowSet::default(), |all, row| all.union(&of(row)))
}

/// The K/V heads of a cache.
pub(super) fn kv_heads(heads: usize, ranks: usize) -> Parts {
    match ranks <= heads {
        true => Parts::ranges(heads, 1, ranks),
        false => split_heads(heads, 1, ranks).0,
    }
}

/// The query heads of an attention: all that read the K/V heads of the rank, or with more ranks
/// than K/V heads some of those that read one.
pub(super) fn query_heads(heads: usize, kv: usize, ranks: usize) -> Parts {
    let group = heads.checked_div(kv).unwrap_or(0);
    let of_rank: Vec<RowSet> = match ranks <= kv {
        true => kv_heads(kv, ranks)
            .iter()
            .map(|part| part.scaled(group))
            .collect(),
        false => {
            let (heads, shares) = split_heads(kv, group, ranks);
            let shares = heads.iter().zip(shares.iter());
            shares
                .map(|(head, share)| share.shifted(head.ranges()[0].start * group))
                .collect()
        }
    };
    Parts::new(of_rank)
}

/// Of each of more ranks than heads the head that it has, and which of the `count` things of that
/// head.
fn split_heads(heads: usize, count: usize, ranks: usize) -> (Parts, Parts) {
    let heads = heads.max(1);
    let head = |rank: usize| RowSet::from(rank % heads..rank % heads + 1);
    let share = |rank: usize| {
        let sharing = (ranks - rank % heads).div_ceil(heads);
        Parts::ranges(count, 1, sharing).of(rank / heads).clone()
    };
    (
        Parts::new((0..ranks).map(head)),
        Parts::new((0..ranks).map(share)),
    )
}

/// How the operands and the result of a scan are divided: q, k, v, g, beta, the result.
pub(super) fn scan_divisions(heads: ScanHeads) -> [Division; 6] {
    let ScanHeads { k, v } = heads;
    [&k, &k, &v, &v, &v, &v].map(|parts| Division {
        axis: 1,
        parts: parts.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_where_their_keys_are() {
        assert_eq!(query_heads(8, 2, 2).to_string(), "[0..4 | 4..8]");
        assert_eq!(query_heads(6, 3, 2).to_string(), "[0..4 | 4..6]");
    }

    #[test]
    fn more_ranks_than_heads_split_the_queries_of_one() {
        assert_eq!(
            kv_heads(2, 5).to_string(),
            "[0..1 | 1..2 | 0..1 | 1..2 | 0..1]"
        );
        let queries = query_heads(8, 2, 5);
        assert_eq!(queries.to_string(), "[0..2 | 4..6 | 2..3 | 6..8 | 3..4]");
        assert_eq!(queries.whole(), Some(8));
    }

    #[test]
    fn ranks_get_whole_blocks_where_there_are_enough() {
        assert_eq!(
            in_blocks(1024, 1, 3).to_string(),
            "[0..512 | 512..768 | 768..1024]"
        );
        assert_eq!(
            in_blocks(256, 1, 3).to_string(),
            "[0..96 | 96..192 | 192..256]"
        );
        assert_eq!(in_blocks(16, 128, 3).to_string(), "[0..6 | 6..12 | 12..16]");
        assert_eq!(
            in_blocks(3, 1, 4).to_string(),
            "[0..1 | 1..2 | 2..3 | 0..1]"
        );
    }
}
