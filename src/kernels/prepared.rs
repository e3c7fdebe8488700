//! Quantised activation rows, widened and laid out for the matmul kernels.

use super::activation::ActivationType;
use super::isa::Scalar;
use super::quant::{self, Bf16, Element, F16, F32};

/// From this many tokens on, quantised rows are interleaved in panels of 16 tokens.
///
/// It decides only about speed: both layouts give the same bits.
pub(crate) const PANEL_FROM: usize = 13;

/// 32 integers, as one aligned vector.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Lanes(pub [i16; 32]);

/// `m` activation rows of `n` values, ready to be multiplied with any number of weight rows.
///
/// Preparing costs about as much as a few weight rows; threads may share the result.
/// The buffers are kept, so a value that is used again does not allocate.
#[derive(Default)]
pub struct Prepared {
    pub(crate) ty: Option<ActivationType>,
    pub(crate) m: usize,
    pub(crate) n: usize,
    /// Whether tokens are interleaved in groups of 16; else row after row.
    pub(crate) panels: bool,
    /// Quants. Rows: `[m][n / 32]`. Panels: `[group][n / 2]`, each the pair of quants
    /// `2p, 2p + 1` of 16 tokens.
    pub(crate) q: Vec<Lanes>,
    /// Block scales. Rows: `[m][blocks]`. Panels: `[group][blocks][16]`.
    pub(crate) d: Vec<f32>,
    /// Sums of 16 quants (Q8_K). Rows: `[m][blocks]`, the first half used, in the order of a
    /// block's minimums. Panels: `[group][blocks][8]`, pairs as in `q`.
    pub(crate) sums: Vec<Lanes>,
    /// `d · Σq` (Q8_1), shaped like `d`.
    pub(crate) s: Vec<f32>,
    /// Float rows, `[m][n]`.
    pub(crate) floats: Vec<f32>,
}

impl Prepared {
    /// An empty value.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.m
    }

    /// Takes `m` contiguous rows of `n` values of type `ty`.
    ///
    /// # Panics
    /// If `acts` is not exactly `m` rows long.
    pub fn prepare(&mut self, ty: ActivationType, acts: &[u8], n: usize, m: usize) {
        assert_eq!(
            acts.len(),
            m * ty.row_bytes(n),
            "{m} rows of {n} {ty:?} activations"
        );
        (self.ty, self.m, self.n) = (Some(ty), m, n);
        self.panels = m >= PANEL_FROM && ty.block_len() > 1;
        match ty {
            ActivationType::F32 => self.widen::<F32>(acts),
            ActivationType::F16 => self.widen::<F16>(acts),
            ActivationType::BF16 => self.widen::<Bf16>(acts),
            _ => self.lay_out(ty, acts),
        }
    }

    fn widen<E: Element>(&mut self, acts: &[u8]) {
        self.floats.clear();
        self.floats
            .extend(acts.chunks_exact(E::BYTES).map(E::one::<Scalar>));
    }

    fn lay_out(&mut self, ty: ActivationType, acts: &[u8]) {
        let (len, blocks) = (ty.block_len(), self.n / ty.block_len());
        let tokens = if self.panels {
            self.m.next_multiple_of(16)
        } else {
            self.m
        };
        let zero = Lanes([0; 32]);
        self.q.resize(tokens * self.n / 32, zero);
        self.d.resize(tokens * blocks, 0.0);
        let sums_per_token = if self.panels { 2 } else { 4 };
        let has_sums = ty == ActivationType::Q8_K;
        self.sums.resize(
            if has_sums {
                tokens * blocks * sums_per_token / 4
            } else {
                0
            },
            zero,
        );
        self.s.resize(
            if ty == ActivationType::Q8_1 {
                tokens * blocks
            } else {
                0
            },
            0.0,
        );
        let row_bytes = ty.row_bytes(self.n);
        for (t, row) in acts.chunks_exact(row_bytes.max(1)).enumerate() {
            for (b, block) in row.chunks_exact(ty.block_bytes()).enumerate() {
                self.put_block(ty, t, b, blocks, len, block);
            }
        }
    }

    /// Stores block `b` of token `t`.
    #[inline(always)]
    fn put_block(
        &mut self,
        ty: ActivationType,
        t: usize,
        b: usize,
        blocks: usize,
        len: usize,
        block: &[u8],
    ) {
        let half = |at: usize| half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
        let at = if self.panels {
            (t / 16 * blocks + b) * 16 + t % 16
        } else {
            t * blocks + b
        };
        let quants = match ty {
            ActivationType::Q8_0 => {
                self.d[at] = half(0);
                &block[2..]
            }
            ActivationType::Q8_1 => {
                self.d[at] = half(0);
                self.s[at] = half(2);
                &block[4..]
            }
            _ => {
                self.d[at] = f32::from_le_bytes(block[..4].try_into().expect("four bytes"));
                let mut sums = [0; 16];
                for (i, two) in block[260..].chunks_exact(2).enumerate() {
                    let to = if self.panels { i } else { quant::at(i) };
                    sums[to] = i16::from_le_bytes([two[0], two[1]]);
                }
                let sums = sums.into_iter();
                if self.panels {
                    put_pairs(
                        &mut self.sums[(t / 16 * blocks + b) * 8..][..8],
                        t % 16,
                        sums,
                    );
                } else {
                    put_row(&mut self.sums[at..=at], sums);
                }
                &block[4..260]
            }
        };
        let quants = quants.iter().map(|q| i16::from(*q as i8));
        if self.panels {
            let first = (t / 16 * blocks + b) * len / 2;
            put_pairs(&mut self.q[first..first + len / 2], t % 16, quants);
        } else {
            put_row(&mut self.q[at * len / 32..][..len / 32], quants);
        }
    }
}

/// `values` in order.
#[inline(always)]
fn put_row(to: &mut [Lanes], values: impl Iterator<Item = i16>) {
    for (to, value) in to.iter_mut().flat_map(|lanes| &mut lanes.0).zip(values) {
        *to = value;
    }
}

/// Each pair of `values` in the lanes of token `t`.
#[inline(always)]
fn put_pairs(to: &mut [Lanes], t: usize, mut values: impl Iterator<Item = i16>) {
    for lanes in to {
        let (Some(first), Some(second)) = (values.next(), values.next()) else {
            return;
        };
        lanes.0[2 * t] = first;
        lanes.0[2 * t + 1] = second;
    }
}
