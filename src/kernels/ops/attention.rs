//! Attention over a KV cache: storing a run's keys and values, and reading them.

use super::{Kernel, KvLayout, Run, Scratch, Slot, StateView};
use crate::kernels::attention::{CacheRows, CacheType, attend, store_row};
use crate::kernels::memory::Shared;

/// Writes keys and values at their positions; a chunk is a token.
pub(super) struct KvStore {
    pub(super) k: Slot,
    pub(super) v: Slot,
    pub(super) pos: Slot,
    pub(super) state: usize,
    pub(super) layout: KvLayout,
}

impl Kernel for KvStore {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.tokens
    }

    fn run(&self, run: &Run<'_>, t: usize, _: &mut Scratch) {
        let StateView::Kv { k, v } = run.states[self.state] else {
            unreachable!("bound to a KV cache");
        };
        let width = self.layout.heads * self.layout.dim;
        // SAFETY: operands.
        let (keys, values, pos) = unsafe {
            (
                run.read(&self.k),
                run.read(&self.v),
                run.read_ids(&self.pos),
            )
        };
        let store = |cache: Shared<'_>, ty: CacheType, rows: &[f32]| {
            let bytes = width * ty.bytes();
            // SAFETY: a position belongs to one token of the run, its row to this chunk.
            let row = unsafe { cache.slice_mut(pos[t] as usize * bytes, bytes) };
            store_row(ty, &rows[t * width..][..width], row);
        };
        store(k, self.layout.k, keys);
        store(v, self.layout.v, values);
    }
}

/// Softmax attention up to each token's position; a chunk is one query head of one token.
pub(super) struct Attention {
    pub(super) q: Slot,
    pub(super) pos: Slot,
    pub(super) state: usize,
    pub(super) layout: KvLayout,
    pub(super) scale: f32,
    pub(super) y: Slot,
}

impl Kernel for Attention {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.tokens * self.q.dims[0]
    }

    fn run(&self, run: &Run<'_>, chunk: usize, scratch: &mut Scratch) {
        let StateView::Kv { k, v } = run.states[self.state] else {
            unreachable!("bound to a KV cache");
        };
        let KvLayout {
            heads: kv_heads,
            dim,
            ..
        } = self.layout;
        let heads = self.q.dims[0];
        let (t, head) = (chunk / heads, chunk % heads);
        let kv_head = head / (heads / kv_heads);
        let at = chunk * dim;
        // SAFETY: operands; head `head` of token `t` of the result belongs to this chunk.
        let (q, pos, y) = unsafe {
            let y: &mut [f32] = run
                .arena
                .slice_mut(self.y.offset + at * size_of::<f32>(), dim);
            (&run.read(&self.q)[at..][..dim], run.read_ids(&self.pos), y)
        };
        let seen = pos[t] as usize + 1;
        let types = (self.layout.k, self.layout.v);
        let width = kv_heads * dim;
        // SAFETY: the cache was stored in an earlier step and is not written in this one.
        let (k, v) = unsafe {
            (
                head_rows(k, types.0, seen, width, kv_head * dim),
                head_rows(v, types.1, seen, width, kv_head * dim),
            )
        };
        scratch.scores.resize(seen, 0.0);
        scratch.query.clear();
        scratch.query.extend_from_slice(q);
        let query = &mut scratch.query[..];
        attend(types, query, k, v, self.scale, &mut scratch.scores, y);
    }
}

/// The rows of one head, `first` elements into each position's `width`.
///
/// # Safety
/// Nobody writes the first `positions` of the cache until the next barrier.
unsafe fn head_rows<'a>(
    cache: Shared<'a>,
    ty: CacheType,
    positions: usize,
    width: usize,
    first: usize,
) -> CacheRows<'a> {
    let stride = width * ty.bytes();
    // SAFETY: handed on.
    let bytes: &[u8] = unsafe { cache.slice(0, positions * stride) };
    CacheRows {
        bytes: &bytes[first * ty.bytes()..],
        stride,
    }
}
