//! The indexer of an attention: its keys, pooled over blocks of positions, and the choice of blocks.

use super::attention::Turn;
use super::{Kernel, KvLayout, Run, Scratch, Slot};
use sharpi_ir::NO_BLOCK;
use sharpi_kernels::attention::index::{choose, mean};
use sharpi_kernels::attention::{CacheRows, store_as_is};

/// Keys into the cache, and of blocks that are complete the pooled ones; a chunk is a sequence.
pub(super) struct PoolKeys {
    pub(super) k: Slot,
    pub(super) pos: Slot,
    pub(super) pool: usize,
    pub(super) turn: Turn,
    pub(super) state: usize,
    pub(super) layout: KvLayout,
}

impl Kernel for PoolKeys {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.segments.len()
    }

    fn run(&self, run: &Run<'_>, chunk: usize, scratch: &mut Scratch) {
        let segment = &run.segments[chunk];
        let (keys, pooled) = segment.caches(self.state);
        let (dim, types) = (self.layout.dim, [self.layout.k, self.layout.v]);
        let stride = types.map(|ty| ty.row_bytes(dim));
        // SAFETY: operands.
        let (k, pos) = unsafe { (run.read_segment(&self.k, segment), run.read_ids(&self.pos)) };
        let pos = &pos[segment.tokens.clone()];
        for (k, pos) in k.chunks_exact(dim).zip(pos) {
            // SAFETY: a sequence's cache belongs to its chunk; effects keep other ops off it.
            let row = unsafe { keys.slice_mut(*pos as usize * stride[0], stride[0]) };
            store_as_is(types[0], k, row);
        }
        let (mut sum, mut turned) = (vec![0.0; dim], vec![0.0; dim]);
        for pos in pos.iter().map(|pos| *pos as usize) {
            if !(pos + 1).is_multiple_of(self.pool) {
                continue;
            }
            let first = pos + 1 - self.pool;
            // SAFETY: as above.
            let (bytes, row) = unsafe {
                let bytes: &[u8] = keys.slice(first * stride[0], self.pool * stride[0]);
                (bytes, pooled.slice_mut(pos * stride[1], stride[1]))
            };
            let rows = CacheRows {
                bytes,
                stride: stride[0],
            };
            mean(types[0], rows, self.pool, &mut sum);
            self.turn.turn(&sum, first as i32, scratch, &mut turned);
            store_as_is(types[1], &turned, row);
        }
    }
}

/// The blocks that tokens choose; a chunk is a token.
pub(super) struct ChooseBlocks {
    pub(super) q: Slot,
    pub(super) pos: Slot,
    pub(super) pool: usize,
    pub(super) turn: Turn,
    pub(super) state: usize,
    pub(super) layout: KvLayout,
    pub(super) y: Slot,
}

impl Kernel for ChooseBlocks {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.tokens
    }

    fn run(&self, run: &Run<'_>, t: usize, scratch: &mut Scratch) {
        let (dim, ty, width) = (self.layout.dim, self.layout.v, self.q.width());
        // SAFETY: operands; token `t` of the result belongs to this chunk.
        let (q, pos, y) = unsafe {
            let at = self.y.offset + t * self.y.stride_bytes();
            let y: &mut [i32] = run.arena.slice_mut(at, self.y.width());
            (run.read(&self.q), run.read_ids(&self.pos)[t], y)
        };
        let mut query = std::mem::take(&mut scratch.query);
        query.resize(width, 0.0);
        let heads = q[t * width..][..width].chunks_exact(dim);
        for (head, turned) in heads.zip(query.chunks_exact_mut(dim)) {
            self.turn.turn(head, pos, scratch, turned);
        }
        let count = (pos as usize + 1) / self.pool;
        let (_, pooled) = run.segment_of(t).caches(self.state);
        let row = ty.row_bytes(dim);
        let first = (self.pool - 1) * row;
        // SAFETY: the cache was written in an earlier step and is not written in this one.
        let bytes: &[u8] = unsafe { pooled.slice(0, count * self.pool * row) };
        let rows = CacheRows {
            bytes: bytes.get(first..).unwrap_or_default(),
            stride: self.pool * row,
        };
        let (work, chosen) = (&mut scratch.choice, &mut scratch.chosen);
        choose(ty, (&query, dim), (rows, count), y.len(), work, chosen);
        y.fill(NO_BLOCK);
        for (y, block) in y.iter_mut().zip(&*chosen) {
            *y = *block as i32;
        }
        scratch.query = query;
    }
}
