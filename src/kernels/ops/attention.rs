//! Attention over a KV cache: storing a run's keys and values, and reading them.

use std::sync::Arc;

use super::project::{Activations, chunk_rows};
use super::{Kernel, KvLayout, Run, Scratch, Slot, StateView, Weight};
use crate::kernels::activation::{ActivationType, quantize_row};
use crate::kernels::attention::{CacheRows, CacheType, attend, store_row};
use crate::kernels::columns::ColumnsMut;
use crate::kernels::elementwise::{Rhs, mul, sigmoid};
use crate::kernels::matmul::matmul_rows;
use crate::kernels::memory::Shared;
use crate::kernels::norm::rmsnorm;
use crate::kernels::rope::rotate;

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
        let (k, v) = caches(run, self.state);
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
        // SAFETY: the cache was stored in an earlier step and is not written in this one.
        let (k, v) = unsafe { head_rows(run, self.state, &self.layout, kv_head, seen) };
        scratch.scores.resize(seen, 0.0);
        scratch.query.clear();
        scratch.query.extend_from_slice(q);
        let query = &mut scratch.query[..];
        attend(types, query, k, v, self.scale, &mut scratch.scores, y);
    }
}

/// Keys and values from a projection into the cache; a chunk is one key head, or a range of the
/// values' columns, of all tokens.
pub(super) struct ProjectKv {
    pub(super) x: Activations,
    pub(super) pos: Slot,
    pub(super) k: Arc<Weight>,
    pub(super) v: Arc<Weight>,
    pub(super) heads: HeadNorm,
    pub(super) state: usize,
    pub(super) layout: KvLayout,
}

impl ProjectKv {
    fn value_rows(&self) -> usize {
        chunk_rows(self.v.ty.row_bytes(self.x.x.last()))
    }

    fn width(&self) -> usize {
        self.layout.heads * self.layout.dim
    }
}

impl Kernel for ProjectKv {
    fn chunks(&self, run: &Run<'_>) -> usize {
        match run.tokens {
            0 => 0,
            _ => self.layout.heads + self.width().div_ceil(self.value_rows()),
        }
    }

    fn run(&self, run: &Run<'_>, chunk: usize, scratch: &mut Scratch) {
        let (k, v) = caches(run, self.state);
        let KvLayout { heads, dim, .. } = self.layout;
        let (weight, cache, ty, columns) = match chunk.checked_sub(heads) {
            None => (&self.k, k, self.layout.k, chunk * dim..(chunk + 1) * dim),
            Some(piece) => {
                let first = piece * self.value_rows();
                let end = self.width().min(first + self.value_rows());
                (&self.v, v, self.layout.v, first..end)
            }
        };
        // SAFETY: an operand.
        let pos = unsafe { run.read_ids(&self.pos) };
        let (first, count) = (columns.start, columns.len());
        let acts = (self.x).rounded(run, weight.ty.activation(), &mut scratch.rounded);
        let [mut tile, mut row] = std::mem::take(&mut scratch.tiles);
        tile.resize(run.tokens * count, 0.0);
        let mut out = ColumnsMut::new(&mut tile, count, count);
        matmul_rows(weight.matrix(), columns, acts, &mut out);
        for (projected, &pos) in tile.chunks_exact(count).zip(pos) {
            let values = if chunk < heads {
                row.resize(dim, 0.0);
                self.heads.turn(projected, pos, scratch, &mut row);
                &row[..]
            } else {
                projected
            };
            let at = (pos as usize * self.width() + first) * ty.bytes();
            // SAFETY: a position belongs to one token of the run, these columns to this chunk.
            let stored = unsafe { cache.slice_mut(at, count * ty.bytes()) };
            store_row(ty, values, stored);
        }
        scratch.tiles = [tile, row];
    }
}

/// How heads are normed and rotated before they meet.
pub(super) struct HeadNorm {
    pub(super) weight: Vec<f32>,
    pub(super) eps: f32,
    pub(super) n_rot: usize,
    pub(super) freq_base: f32,
}

impl HeadNorm {
    /// One head at a position.
    fn turn(&self, head: &[f32], pos: i32, scratch: &mut Scratch, out: &mut [f32]) {
        rmsnorm(head, &self.weight, self.eps, out);
        let (cos, sin) = scratch.angles_at(pos, self.n_rot, self.freq_base);
        rotate(out, cos, sin);
    }
}

/// Attention with a gate; a chunk is the query heads of one kv head of one token.
pub(super) struct GatedAttention {
    pub(super) q: Slot,
    pub(super) pos: Slot,
    pub(super) heads: HeadNorm,
    pub(super) state: usize,
    pub(super) layout: KvLayout,
    pub(super) scale: f32,
    pub(super) to: ActivationType,
    pub(super) y: Slot,
}

impl Kernel for GatedAttention {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.tokens * self.layout.heads
    }

    fn run(&self, run: &Run<'_>, chunk: usize, scratch: &mut Scratch) {
        let KvLayout {
            heads: kv_heads,
            dim,
            ..
        } = self.layout;
        let (t, kv_head) = (chunk / kv_heads, chunk % kv_heads);
        // Of the group: query and gate by turns in, results out.
        let width = self.q.width() / 2 / kv_heads;
        // SAFETY: operands.
        let (q, pos) = unsafe { (run.read(&self.q), run.read_ids(&self.pos)) };
        let q = &q[chunk * 2 * width..][..2 * width];
        let seen = pos[t] as usize + 1;
        let types = (self.layout.k, self.layout.v);
        // SAFETY: the cache was stored in an earlier step and is not written in this one.
        let (k, v) = unsafe { head_rows(run, self.state, &self.layout, kv_head, seen) };
        let mut query = std::mem::take(&mut scratch.query);
        let mut out = std::mem::take(&mut scratch.row);
        query.resize(dim, 0.0);
        out.resize(width, 0.0);
        for (out, q) in out.chunks_exact_mut(dim).zip(q.chunks_exact(2 * dim)) {
            let (q, gate) = q.split_at(dim);
            self.heads.turn(q, pos[t], scratch, &mut query);
            scratch.scores.resize(seen, 0.0);
            attend(
                types,
                &mut query,
                k,
                v,
                self.scale,
                &mut scratch.scores,
                out,
            );
            query.copy_from_slice(gate);
            sigmoid(&mut query);
            mul(out, Rhs::Row(&query));
        }
        let bytes = self.to.row_bytes(width);
        // SAFETY: the group's columns of token `t` of the result belong to this chunk.
        let y = unsafe { (run.arena).slice_mut(self.y.offset + chunk * bytes, bytes) };
        quantize_row(self.to, &out, y);
        (scratch.query, scratch.row) = (query, out);
    }
}

/// The keys and the values that a state holds.
fn caches<'a>(run: &Run<'a>, state: usize) -> (Shared<'a>, Shared<'a>) {
    match run.states[state] {
        StateView::Kv { k, v } => (k, v),
        StateView::Recurrent(_) => unreachable!("bound to a KV cache"),
    }
}

/// The keys and the values of one head at the first `positions`.
///
/// # Safety
/// Nobody writes these positions of the cache until the next barrier.
unsafe fn head_rows<'a>(
    run: &Run<'a>,
    state: usize,
    layout: &KvLayout,
    head: usize,
    positions: usize,
) -> (CacheRows<'a>, CacheRows<'a>) {
    let (k, v) = caches(run, state);
    let rows = |cache: Shared<'a>, ty: CacheType| {
        let stride = layout.heads * layout.dim * ty.bytes();
        // SAFETY: handed on.
        let bytes: &[u8] = unsafe { cache.slice(0, positions * stride) };
        CacheRows {
            bytes: &bytes[head * layout.dim * ty.bytes()..],
            stride,
        }
    };
    (rows(k, layout.k), rows(v, layout.v))
}
