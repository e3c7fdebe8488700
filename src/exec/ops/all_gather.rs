//! The whole of a value that is divided among ranks. One chunk: one worker talks to the others,
//! while the rest compute what else the step has.

use std::borrow::Cow;

use sharpi_ir::{DType, Parts, RowSet};

use super::{Kernel, Run, Scratch, Slot};

/// Puts together what every rank has.
pub(super) struct AllGather {
    x: Slot,
    y: Slot,
    /// Bytes of the axis and all behind it, of the whole and of this rank's part.
    row_bytes: [usize; 2],
    /// This rank's part in the whole.
    part: Vec<Piece>,
    /// What of its part it gives to the others.
    own: Vec<Piece>,
    /// What each rank gives; nothing of this one.
    others: Vec<Vec<Piece>>,
}

/// Bytes of a row in one place and in another.
#[derive(Clone, Copy)]
struct Piece {
    from: usize,
    to: usize,
    bytes: usize,
}

impl AllGather {
    pub(super) fn new(x: Slot, y: Slot, axis: usize, rank: usize, parts: &Parts) -> AllGather {
        let inner = &y.dims[axis..];
        // Along the last axis indices are elements of blocks, along another they are rows.
        let bytes_of = |count: usize| row_bytes(y.dtype, count, &inner[1..]);
        let part = parts.of(rank);
        let others = (0..parts.ranks()).map(|other| match other == rank {
            true => Vec::new(),
            false => into_place(&parts.own(other), &bytes_of),
        });
        let own = parts.own(rank);
        AllGather {
            row_bytes: [bytes_of(inner[0]), bytes_of(part.len())],
            part: into_place(part, &bytes_of),
            own: taken(&own, part, &bytes_of),
            others: others.collect(),
            x,
            y,
        }
    }

    /// What the others get of this rank's rows: the rows themselves, if that is all of them.
    fn message<'x>(&self, x: &'x [u8]) -> Cow<'x, [u8]> {
        let [_, row] = self.row_bytes;
        if length(&self.own) == row {
            return Cow::Borrowed(x);
        }
        let mut message = Vec::with_capacity(x.len());
        for row in x.chunks_exact(row) {
            for piece in &self.own {
                message.extend_from_slice(&row[piece.from..][..piece.bytes]);
            }
        }
        Cow::Owned(message)
    }
}

fn row_bytes(dtype: DType, count: usize, behind: &[usize]) -> usize {
    let elements: usize = count * behind.iter().product::<usize>();
    elements / dtype.block_len() * dtype.block_bytes()
}

fn length(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| piece.bytes).sum()
}

/// From indices that stand one after another to where they stand in the whole.
fn into_place(indices: &RowSet, bytes_of: &impl Fn(usize) -> usize) -> Vec<Piece> {
    let mut from = 0;
    let pieces = indices.ranges().iter().map(|range| {
        let (to, bytes) = (bytes_of(range.start), bytes_of(range.len()));
        from += bytes;
        Piece {
            from: from - bytes,
            to,
            bytes,
        }
    });
    pieces.collect()
}

/// From where `indices` stand in a part to one after another.
fn taken(indices: &RowSet, part: &RowSet, bytes_of: &impl Fn(usize) -> usize) -> Vec<Piece> {
    let (mut pieces, mut before, mut to) = (Vec::new(), 0, 0);
    for range in part.ranges() {
        for own in indices.within(range.clone()).ranges() {
            let (from, bytes) = (bytes_of(before + own.start), bytes_of(own.len()));
            pieces.push(Piece { from, to, bytes });
            to += bytes;
        }
        before += range.len();
    }
    pieces
}

fn copy(pieces: &[Piece], from: &[u8], to: &mut [u8]) {
    for piece in pieces {
        to[piece.to..][..piece.bytes].copy_from_slice(&from[piece.from..][..piece.bytes]);
    }
}

impl Kernel for AllGather {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.count(&self.x).min(1)
    }

    fn run(&self, run: &Run<'_>, _: usize, scratch: &mut Scratch) {
        let bytes = run.count(&self.y) * self.y.stride_bytes();
        // SAFETY: `x` is an operand; the result belongs to this chunk, the only one.
        let (x, y) = unsafe {
            let y: &mut [u8] = run.arena.slice_mut(self.y.offset, bytes);
            (run.read_bytes(&self.x), y)
        };
        let [whole, part] = self.row_bytes;
        let rows = bytes / whole;
        let given = &mut scratch.given;
        given.resize_with(self.others.len(), Vec::new);
        for (given, pieces) in given.iter_mut().zip(&self.others) {
            given.resize(rows * length(pieces), 0);
        }
        run.exchange(&self.message(x), given);
        for (row, x) in y.chunks_exact_mut(whole).zip(x.chunks_exact(part)) {
            copy(&self.part, x, row);
        }
        for (given, pieces) in given
            .iter()
            .zip(&self.others)
            .filter(|(given, _)| !given.is_empty())
        {
            let from = given.chunks_exact(length(pieces));
            (y.chunks_exact_mut(whole).zip(from)).for_each(|(row, given)| copy(pieces, given, row));
        }
    }
}
