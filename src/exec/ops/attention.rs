//! Attention over a KV cache: storing a run's keys and values, and reading them.

use std::ops::Range;

use super::product::Epilogue;
use super::{Kernel, KvLayout, Run, Scratch, Segment, Slot};
use crate::exec::memory::Shared;
use sharpi_kernels::activation::{ActivationType, quantize_row};
use sharpi_kernels::attention::{CacheRows, CacheType, Chosen, Queries, Side, attend, store_row};
use sharpi_kernels::elementwise::{Rhs, add, mul, sigmoid};
use sharpi_kernels::norm::rmsnorm;
use sharpi_kernels::rope::Rotation;

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

    fn run(&self, run: &Run<'_>, t: usize, scratch: &mut Scratch) {
        let (k, v) = run.segment_of(t).caches(self.state);
        let KvLayout { heads, dim, .. } = self.layout;
        let width = heads * dim;
        // SAFETY: operands.
        let (keys, values, pos) = unsafe {
            (
                run.read(&self.k),
                run.read(&self.v),
                run.read_ids(&self.pos),
            )
        };
        let mut store = |cache: Shared<'_>, ty: CacheType, side, rows: &[f32]| {
            let bytes = ty.row_bytes(width);
            // SAFETY: a position belongs to one token of its sequence, its row to this chunk.
            let row = unsafe { cache.slice_mut(pos[t] as usize * bytes, bytes) };
            let rows = &rows[t * width..][..width];
            store_row(ty, (side, dim), rows, &mut scratch.attention, row);
        };
        store(k, self.layout.k, Side::Keys, keys);
        store(v, self.layout.v, Side::Values, values);
    }
}

/// Queries of a chunk: so many that a tile of the cache is read once for many of them, so few that
/// they and their results stay in L2.
const QUERIES: usize = 48;

/// How attention over a sequence's cache is cut into chunks: some tokens, and the query heads of one
/// kv head. With fewer of these than workers the heads are cut further, and each part reads the
/// cache for itself.
struct Cut {
    kv_heads: usize,
    /// Query heads of a kv head.
    group: usize,
    /// Query heads of a chunk.
    heads: usize,
    /// Tokens of a chunk.
    tokens: usize,
    /// Chunks of a kv head.
    pieces: usize,
    chunks: usize,
}

/// What a chunk works on.
struct QueryTile<'r, 'a> {
    segment: &'r Segment<'a>,
    /// Tokens of the run.
    tokens: Range<usize>,
    kv_head: usize,
    heads: Range<usize>,
}

impl Cut {
    /// `whole` tells whether the results of that many heads may stand alone.
    fn new(
        run: &Run<'_>,
        segment: &Segment<'_>,
        (kv_heads, group): (usize, usize),
        whole: impl Fn(usize) -> bool,
    ) -> Cut {
        let tokens = (QUERIES / group).max(1);
        let tiles = segment.tokens.len().div_ceil(tokens);
        let parts = (1..=group).filter(|n| group.is_multiple_of(*n) && whole(group / n));
        // The other sequences give work too.
        let workers = run.workers.div_ceil(run.segments.len());
        let enough = |n: &usize| tiles * kv_heads * n >= workers;
        let all: Vec<usize> = parts.collect();
        let parts = all.iter().copied().find(enough).or(all.last().copied());
        let parts = parts.unwrap_or(1);
        Cut {
            kv_heads,
            group,
            heads: group / parts,
            tokens,
            pieces: tiles * parts,
            chunks: tiles * parts * kv_heads,
        }
    }

    /// The last tokens, which see most, come first.
    fn part<'r, 'a>(&self, segment: &'r Segment<'a>, chunk: usize) -> QueryTile<'r, 'a> {
        let (piece, kv_head) = (chunk / self.kv_heads, chunk % self.kv_heads);
        let parts = self.group / self.heads;
        let tile = (self.pieces - 1 - piece) / parts;
        let first = kv_head * self.group + piece % parts * self.heads;
        let start = segment.tokens.start + tile * self.tokens;
        QueryTile {
            segment,
            tokens: start..segment.tokens.end.min(start + self.tokens),
            kv_head,
            heads: first..first + self.heads,
        }
    }
}

/// Chunks of all sequences.
fn chunks(run: &Run<'_>, cut: impl Fn(&Segment<'_>) -> Cut) -> usize {
    run.segments.iter().map(|segment| cut(segment).chunks).sum()
}

/// The part of a sequence that is chunk `chunk` of all.
fn part<'r, 'a>(
    run: &'r Run<'a>,
    mut chunk: usize,
    cut: impl Fn(&Segment<'_>) -> Cut,
) -> QueryTile<'r, 'a> {
    for segment in &run.segments {
        let cut = cut(segment);
        if chunk < cut.chunks {
            return cut.part(segment, chunk);
        }
        chunk -= cut.chunks;
    }
    unreachable!("a chunk is one of those that were counted")
}

/// Softmax attention up to each token's position.
pub(super) struct Attention {
    pub(super) q: Slot,
    pub(super) pos: Slot,
    /// The blocks that tokens see, and how long they are, if not all are seen.
    pub(super) chosen: Option<(Slot, usize)>,
    pub(super) state: usize,
    pub(super) layout: KvLayout,
    pub(super) scale: f32,
    pub(super) y: Slot,
}

impl Attention {
    fn cut(&self, run: &Run<'_>, segment: &Segment<'_>) -> Cut {
        let kv_heads = self.layout.heads;
        let heads = (kv_heads, self.q.dims[0] / kv_heads);
        Cut::new(run, segment, heads, |_| true)
    }
}

impl Kernel for Attention {
    fn chunks(&self, run: &Run<'_>) -> usize {
        chunks(run, |segment| self.cut(run, segment))
    }

    fn run(&self, run: &Run<'_>, chunk: usize, scratch: &mut Scratch) {
        let part = part(run, chunk, |segment| self.cut(run, segment));
        let (all, dim) = (self.q.dims[0], self.layout.dim);
        let width = part.heads.len() * dim;
        // SAFETY: operands.
        let (q, pos) = unsafe { (run.read(&self.q), run.read_ids(&self.pos)) };
        let cache = (self.state, &self.layout);
        scratch.query.clear();
        for t in part.tokens.clone() {
            let at = (t * all + part.heads.start) * dim;
            scratch.query.extend_from_slice(&q[at..at + width]);
        }
        let chosen = chosen_by(run, &part, &self.chosen);
        attend_part(&part, (pos, chosen), cache, self.scale, scratch);
        for (t, row) in part.tokens.zip(scratch.row.chunks_exact(width)) {
            let at = self.y.offset + (t * all + part.heads.start) * dim * size_of::<f32>();
            // SAFETY: these heads of token `t` of the result belong to this chunk.
            let y: &mut [f32] = unsafe { run.arena.slice_mut(at, width) };
            y.copy_from_slice(row);
        }
    }
}

/// The blocks that a chunk's tokens have chosen, if they choose.
fn chosen_by<'a>(
    run: &Run<'a>,
    part: &QueryTile<'_, '_>,
    chosen: &Option<(Slot, usize)>,
) -> Option<Chosen<'a>> {
    let (slot, len) = chosen.as_ref()?;
    // SAFETY: an operand.
    let blocks = unsafe { run.read_ids(slot) };
    let most = slot.width();
    Some(Chosen {
        len: *len,
        blocks: &blocks[part.tokens.start * most..part.tokens.end * most],
    })
}

/// Attends from the queries in `scratch.query`; results go to `scratch.row`.
fn attend_part(
    part: &QueryTile<'_, '_>,
    (pos, chosen): (&[i32], Option<Chosen<'_>>),
    (state, layout): (usize, &KvLayout),
    scale: f32,
    scratch: &mut Scratch,
) {
    scratch.seen.clear();
    let seen = pos[part.tokens.clone()].iter().map(|pos| *pos as usize + 1);
    scratch.seen.extend(seen);
    let last = scratch.seen.iter().copied().max().unwrap_or(0);
    // SAFETY: the cache was stored in an earlier step and is not written in this one.
    let caches = unsafe { head_rows(part.segment, state, layout, part.kv_head, last) };
    scratch.row.resize(scratch.query.len(), 0.0);
    let queries = Queries {
        values: &mut scratch.query,
        heads: part.heads.len(),
        seen: &scratch.seen,
        chosen,
    };
    let (work, out) = (&mut scratch.attention, &mut scratch.row[..]);
    attend((layout.k, layout.v), queries, caches, scale, work, out);
}

/// Projected keys or values into the cache; a chunk's columns are whole pieces of heads.
pub(super) struct Store {
    pub(super) side: Side,
    pub(super) pos: Slot,
    /// What is added first, if anything is.
    pub(super) bias: Option<Vec<f32>>,
    /// What is done to each head then; a chunk then is one head.
    pub(super) turn: Option<Turn>,
    pub(super) state: usize,
    pub(super) layout: KvLayout,
}

impl Epilogue for Store {
    fn finish(
        &self,
        run: &Run<'_>,
        columns: Range<usize>,
        [projected, _]: &[Vec<f32>; 2],
        scratch: &mut Scratch,
    ) {
        let KvLayout { k, v, heads, dim } = self.layout;
        let ty = match self.side {
            Side::Keys => k,
            Side::Values => v,
        };
        // SAFETY: an operand.
        let pos = unsafe { run.read_ids(&self.pos) };
        let (first, count) = (columns.start, columns.len());
        let mut row = std::mem::take(&mut scratch.row);
        let mut biased = std::mem::take(&mut scratch.query);
        for (t, projected) in projected.chunks_exact(count).enumerate() {
            let (keys, values) = run.segment_of(t).caches(self.state);
            let cache = match self.side {
                Side::Keys => keys,
                Side::Values => values,
            };
            let projected = match &self.bias {
                Some(bias) => with_bias(projected, &bias[columns.clone()], &mut biased),
                None => projected,
            };
            let stored = match &self.turn {
                Some(turn) => {
                    row.resize(count, 0.0);
                    turn.turn(projected, pos[t], scratch, &mut row);
                    &row[..]
                }
                None => projected,
            };
            let at = ty.row_bytes(pos[t] as usize * heads * dim + first);
            // SAFETY: a position belongs to one token of its sequence, these columns to this chunk.
            let place = unsafe { cache.slice_mut(at, ty.row_bytes(count)) };
            store_row(ty, (self.side, dim), stored, &mut scratch.attention, place);
        }
        (scratch.row, scratch.query) = (row, biased);
    }
}

/// `x + bias`, in `out`.
fn with_bias<'o>(x: &[f32], bias: &[f32], out: &'o mut Vec<f32>) -> &'o [f32] {
    out.clear();
    out.extend_from_slice(x);
    add(out, Rhs::Row(bias));
    out
}

/// How heads are rotated, and normed before, if they are, before they meet.
pub(super) struct Turn {
    /// Weights of the norm, and its `eps`.
    pub(super) norm: Option<(Vec<f32>, f32)>,
    pub(super) rotation: Rotation,
}

impl Turn {
    /// One head at a position.
    pub(super) fn turn(&self, head: &[f32], pos: i32, scratch: &mut Scratch, out: &mut [f32]) {
        match &self.norm {
            Some((weight, eps)) => rmsnorm(head, weight, *eps, out),
            None => out.copy_from_slice(head),
        }
        let (cos, sin) = scratch.angles_at(pos, &self.rotation);
        self.rotation.turn(out, cos, sin);
    }
}

/// Attention of queries that are rotated first, gated or not.
pub(super) struct RopeAttention {
    /// Heads; a gate behind each, if there are gates.
    pub(super) q: Slot,
    pub(super) pos: Slot,
    /// What is added to the queries first, if anything is.
    pub(super) bias: Option<Vec<f32>>,
    pub(super) turn: Turn,
    /// As of [`Attention`].
    pub(super) chosen: Option<(Slot, usize)>,
    pub(super) state: usize,
    pub(super) layout: KvLayout,
    pub(super) scale: f32,
    pub(super) gated: bool,
    pub(super) to: ActivationType,
    pub(super) y: Slot,
}

impl RopeAttention {
    fn all_heads(&self) -> usize {
        self.y.last() / self.layout.dim
    }

    fn cut(&self, run: &Run<'_>, segment: &Segment<'_>) -> Cut {
        let KvLayout { heads, dim, .. } = self.layout;
        let whole = |n: usize| (n * dim).is_multiple_of(self.to.block_len());
        Cut::new(run, segment, (heads, self.all_heads() / heads), whole)
    }
}

impl Kernel for RopeAttention {
    fn chunks(&self, run: &Run<'_>) -> usize {
        chunks(run, |segment| self.cut(run, segment))
    }

    fn run(&self, run: &Run<'_>, chunk: usize, scratch: &mut Scratch) {
        let part = part(run, chunk, |segment| self.cut(run, segment));
        let (all, dim) = (self.all_heads(), self.layout.dim);
        let count = part.heads.len();
        // A head of the queries with its gate.
        let stride = self.q.width() / all;
        // SAFETY: operands.
        let (q, pos) = unsafe { (run.read(&self.q), run.read_ids(&self.pos)) };
        let heads = |t: usize| {
            let at = (t * all + part.heads.start) * stride;
            q[at..at + count * stride].chunks_exact(stride)
        };
        let mut query = std::mem::take(&mut scratch.query);
        query.resize(part.tokens.len() * count * dim, 0.0);
        let mut turned = query.chunks_exact_mut(dim);
        let mut biased = std::mem::take(&mut scratch.row);
        for t in part.tokens.clone() {
            let heads = part.heads.clone().zip(heads(t));
            for ((index, head), turned) in heads.zip(&mut turned) {
                let head = match &self.bias {
                    Some(bias) => with_bias(&head[..dim], &bias[index * dim..][..dim], &mut biased),
                    None => &head[..dim],
                };
                self.turn.turn(head, pos[t], scratch, turned);
            }
        }
        scratch.row = biased;
        scratch.query = query;
        let cache = (self.state, &self.layout);
        let chosen = chosen_by(run, &part, &self.chosen);
        attend_part(&part, (pos, chosen), cache, self.scale, scratch);
        let (gate, out) = (&mut scratch.query, &mut scratch.row);
        if self.gated {
            gate.clear();
            for t in part.tokens.clone() {
                heads(t).for_each(|head| gate.extend_from_slice(&head[dim..]));
            }
            sigmoid(gate);
            mul(out, Rhs::Row(gate));
        }
        for (t, out) in part.tokens.zip(out.chunks_exact(count * dim)) {
            let bytes = |heads: usize| self.to.row_bytes(heads * dim);
            let at = self.y.offset + bytes(t * all + part.heads.start);
            // SAFETY: these heads of token `t` of the result belong to this chunk.
            let y = unsafe { run.arena.slice_mut(at, bytes(count)) };
            quantize_row(self.to, out, y);
        }
    }
}

/// The keys and the values of one head at the first `positions`.
///
/// # Safety
/// Nobody writes these positions of the cache until the next barrier.
unsafe fn head_rows<'a>(
    segment: &Segment<'a>,
    state: usize,
    layout: &KvLayout,
    head: usize,
    positions: usize,
) -> (CacheRows<'a>, CacheRows<'a>) {
    let (k, v) = segment.caches(state);
    let rows = |cache: Shared<'a>, ty: CacheType| {
        let stride = ty.row_bytes(layout.heads * layout.dim);
        // SAFETY: handed on.
        let bytes: &[u8] = unsafe { cache.slice(0, positions * stride) };
        CacheRows {
            bytes: &bytes[ty.row_bytes(head * layout.dim)..],
            stride,
        }
    };
    (rows(k, layout.k), rows(v, layout.v))
}
