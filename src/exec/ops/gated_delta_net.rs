//! The gated delta rule with what stands around it; heads do not meet.

use super::deltanet::HeadColumns;
use super::{Kernel, Run, Scratch, Segment, Slot};
use sharpi_ir::{KeyHeads, ScanGate};
use sharpi_kernels::activation::{ActivationType, quantize_row};
use sharpi_kernels::columns::ColumnsMut;
use sharpi_kernels::elementwise::{Rhs, add, mul, sigmoid, silu, softplus};
use sharpi_kernels::gdn::{ScanWorkspace, Tokens};
use sharpi_kernels::norm::{l2norm, rmsnorm};

/// Scan, norm and gate; a chunk is a sequence's part of as many v-heads as make whole blocks of the
/// format.
pub(super) struct GatedDeltaNet {
    pub(super) keys: KeyHeads,
    pub(super) gate: ScanGate,
    /// q, k and v one behind the other.
    pub(super) u: Slot,
    pub(super) z: Slot,
    pub(super) alpha: Slot,
    pub(super) beta: Slot,
    pub(super) state: usize,
    /// Bias of the decay, by v-head.
    pub(super) dt: Vec<f32>,
    /// Its rate, by v-head.
    pub(super) a: Vec<f32>,
    /// Weights of the norm, as many as a head has elements.
    pub(super) norm: Vec<f32>,
    pub(super) l2_eps: f32,
    pub(super) eps: f32,
    pub(super) to: ActivationType,
    pub(super) y: Slot,
}

/// What one head takes and gives, token after token.
#[derive(Default)]
pub(super) struct HeadRows {
    q: Vec<f32>,
    k: Vec<f32>,
    g: Vec<f32>,
    beta: Vec<f32>,
    out: Vec<f32>,
}

impl GatedDeltaNet {
    fn head_dim(&self) -> usize {
        self.norm.len()
    }

    fn heads(&self) -> usize {
        self.dt.len()
    }

    fn k_heads(&self) -> usize {
        (self.u.width() - self.z.width()) / self.head_dim() / 2
    }

    /// v-heads of a chunk.
    fn group(&self) -> usize {
        let whole = |n: &usize| (n * self.head_dim()).is_multiple_of(self.to.block_len());
        (1..self.heads()).find(whole).unwrap_or(self.heads())
    }

    /// Scans one head of a sequence; its results are in `rows.out`, `[T, D]`.
    fn scan(
        &self,
        run: &Run<'_>,
        segment: &Segment<'_>,
        head: usize,
        rows: &mut HeadRows,
        workspace: &mut ScanWorkspace,
    ) {
        let (heads, k_heads, d) = (self.heads(), self.k_heads(), self.head_dim());
        // SAFETY: operands.
        let of = |slot: &Slot| unsafe { run.read_segment(slot, segment) };
        let (u, alpha, beta) = (of(&self.u), of(&self.alpha), of(&self.beta));
        let width = self.u.width();
        let part_of = |first: usize, to: &mut Vec<f32>| {
            to.clear();
            for u in u.chunks_exact(width) {
                to.extend_from_slice(&u[first..first + d]);
            }
            to.chunks_exact_mut(d)
                .for_each(|row| l2norm(row, self.l2_eps));
        };
        let k_head = self.keys.of(head, k_heads, heads);
        part_of(k_head * d, &mut rows.q);
        part_of((k_heads + k_head) * d, &mut rows.k);
        let of_head = |x: &[f32], to: &mut Vec<f32>| {
            to.clear();
            to.extend(x.iter().skip(head).step_by(heads));
        };
        of_head(alpha, &mut rows.g);
        add(&mut rows.g, Rhs::Value(self.dt[head]));
        softplus(&mut rows.g);
        mul(&mut rows.g, Rhs::Value(self.a[head]));
        of_head(beta, &mut rows.beta);
        sigmoid(&mut rows.beta);
        rows.out.resize(segment.tokens.len() * d, 0.0);
        let part = HeadColumns {
            keys: self.keys,
            heads,
            k_heads,
            d,
            head,
            first: 0,
            columns: d,
        };
        let tokens = Tokens {
            q: &rows.q,
            k: &rows.k,
            qk_stride: d,
            v: &u[(2 * k_heads + head) * d..],
            v_stride: width,
            g: &rows.g,
            beta: &rows.beta,
            gate_stride: 1,
        };
        let out = &mut ColumnsMut::new(&mut rows.out, d, d);
        let state = segment.recurrent(self.state);
        part.scan(segment, state, tokens, out, workspace);
    }
}

impl Kernel for GatedDeltaNet {
    fn chunks(&self, run: &Run<'_>) -> usize {
        run.segments.len() * (self.heads() / self.group())
    }

    fn run(&self, run: &Run<'_>, chunk: usize, scratch: &mut Scratch) {
        let (d, group) = (self.head_dim(), self.group());
        let parts = self.heads() / group;
        let (segment, chunk) = (&run.segments[chunk / parts], chunk % parts);
        let (width, first) = (self.heads() * d, chunk * group);
        // SAFETY: an operand.
        let z = unsafe { run.read_segment(&self.z, segment) };
        let [gated, _] = &mut scratch.tiles;
        gated.resize(segment.tokens.len() * group * d, 0.0);
        scratch.row.resize(d, 0.0);
        for i in 0..group {
            let head = first + i;
            self.scan(run, segment, head, &mut scratch.head, &mut scratch.scan);
            let out = scratch.head.out.chunks_exact(d);
            for ((t, out), gated) in out.enumerate().zip(gated.chunks_exact_mut(group * d)) {
                let gated = &mut gated[i * d..(i + 1) * d];
                rmsnorm(out, &self.norm, self.eps, gated);
                scratch.row.copy_from_slice(&z[t * width + head * d..][..d]);
                match self.gate {
                    ScanGate::Silu => silu(&mut scratch.row),
                    ScanGate::Sigmoid => sigmoid(&mut scratch.row),
                }
                mul(gated, Rhs::Row(&scratch.row));
            }
        }
        let bytes = self.to.row_bytes(group * d);
        for (t, gated) in (segment.tokens.clone()).zip(gated.chunks_exact(group * d)) {
            let at = self.y.offset + t * self.to.row_bytes(width) + chunk * bytes;
            // SAFETY: these heads of the result belong to this chunk.
            let y: &mut [u8] = unsafe { run.arena.slice_mut(at, bytes) };
            quantize_row(self.to, gated, y);
        }
    }
}
