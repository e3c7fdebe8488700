//! The gated delta rule: a matrix state per head, decayed and corrected token by token.

use super::columns::ColumnsMut;
use super::dot::{add_groups, add_lanes};
use super::isa::Isa;
use super::math;
use super::simd::multiversion;

/// What one head gets from T tokens.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    /// Normalised queries; token t's start at `t · stride`.
    pub q: &'a [f32],
    /// Normalised keys, laid out as the queries.
    pub k: &'a [f32],
    /// From one token's q or k to the next.
    pub qk_stride: usize,
    /// Values of the columns in question; token t's start at `t · v_stride`.
    pub v: &'a [f32],
    /// From one token's v to the next.
    pub v_stride: usize,
    /// Logarithms of the decay; token t's is at `t · gate_stride`.
    pub g: &'a [f32],
    /// Strengths of the correction, laid out as `g`.
    pub beta: &'a [f32],
    /// From one token's g or beta to the next.
    pub gate_stride: usize,
}

/// Updates of a state that its tokens' scan has computed but not stored.
#[derive(Clone, Copy, Debug)]
pub struct Updates<'a> {
    /// How many tokens.
    pub tokens: usize,
    /// Normalised keys; token t's start at `t · k_stride`.
    pub k: &'a [f32],
    /// From one token's k to the next.
    pub k_stride: usize,
    /// Logarithms of the decay; token t's is at `t · g_stride`.
    pub g: &'a [f32],
    /// From one token's g to the next.
    pub g_stride: usize,
}

multiversion! {
    /// Takes tokens into the state: `S[j] = S[j] · e^g + k · δ[j]` for each column j and token in
    /// order, with the roundings of [`gdn_scan`], whose `deltas: [T, columns]` these are.
    ///
    /// # Panics
    /// If a slice is too short or the shapes do not agree.
    pub fn gdn_commit(
        updates: Updates<'_>, deltas: &mut ColumnsMut<'_>, d: usize, state: &mut [f32],
    ) = commit;
}

#[inline(always)]
fn commit<I: Isa>(updates: Updates<'_>, deltas: &mut ColumnsMut<'_>, d: usize, state: &mut [f32]) {
    assert_eq!(
        state.len(),
        deltas.cols() * d,
        "a state row for every column"
    );
    for t in 0..updates.tokens {
        let k = &updates.k[t * updates.k_stride..][..d];
        let decay = math::exp(updates.g[t * updates.g_stride]);
        for (row, delta) in state.chunks_exact_mut(d).zip(deltas.row_mut(t)) {
            for (s, k) in row.iter_mut().zip(k) {
                *s = k.mul_add(*delta, *s * decay);
            }
        }
    }
}

multiversion! {
    /// Runs one v-head over its tokens, in order, for some of its value columns.
    ///
    /// `state` is `[columns, D]`: for each value column j its D elements over k, contiguous;
    /// `out` is `[T, columns]`, and so is `deltas`, which takes every δ if it has rows. Per token, for each column:
    ///
    /// ```text
    /// S[j] = S[j] · e^g;  δ = (v[j] − S[j]·k) · β
    /// S[j] = S[j] + k · δ;  out[j] = (S[j]·q) · 1/√D
    /// ```
    ///
    /// Dot products are in the order of `dot_64`, the rank-1 update is fused: ggml's
    /// `gated_delta_net` to the bit. Columns do not meet, so threads may split them.
    ///
    /// # Panics
    /// If a slice is too short or the shapes do not agree.
    pub fn gdn_scan(
        tokens: Tokens<'_>, d: usize, state: &mut [f32],
        out: &mut ColumnsMut<'_>, deltas: &mut ColumnsMut<'_>,
    ) = body;
}

#[inline(always)]
fn body<I: Isa>(
    tokens: Tokens<'_>,
    d: usize,
    state: &mut [f32],
    out: &mut ColumnsMut<'_>,
    deltas: &mut ColumnsMut<'_>,
) {
    assert_eq!(state.len(), out.cols() * d, "a state row for every column");
    let scale = 1.0 / (d as f32).sqrt();
    for t in 0..out.rows() {
        let q = &tokens.q[t * tokens.qk_stride..][..d];
        let k = &tokens.k[t * tokens.qk_stride..][..d];
        let decay = math::exp(tokens.g[t * tokens.gate_stride]);
        let beta = tokens.beta[t * tokens.gate_stride];
        let v = &tokens.v[t * tokens.v_stride..];
        let out = out.row_mut(t);
        for (j, row) in state.chunks_exact_mut(d).enumerate() {
            let seen = decayed::<I>(row, decay, k);
            let delta = (v[j] - seen) * beta;
            out[j] = corrected::<I>(row, k, delta, q) * scale;
            if deltas.rows() > 0 {
                deltas.row_mut(t)[j] = delta;
            }
        }
    }
}

/// `row = row · decay`; the new row's product with `k`.
#[inline(always)]
fn decayed<I: Isa>(row: &mut [f32], decay: f32, k: &[f32]) -> f32 {
    let n = row.len();
    let wide = I::splat(decay);
    let mut acc = [I::splat(0.0); 4];
    let (chunks, tail) = row.as_chunks_mut::<16>();
    for (turn, k) in chunks.chunks_mut(4).zip(k.chunks(64)) {
        for (g, (s, k)) in turn.iter_mut().zip(k.as_chunks::<16>().0).enumerate() {
            let new = I::mul(I::load(s), wide);
            I::store(new, s);
            acc[g] = I::fma(new, I::load(k), acc[g]);
        }
    }
    let mut lanes = add_groups::<I>(acc);
    for ((lane, s), k) in lanes.iter_mut().zip(tail).zip(&k[n / 16 * 16..]) {
        *s *= decay;
        *lane = s.mul_add(*k, *lane);
    }
    add_lanes(lanes)
}

/// `row = row + k · delta`; the new row's product with `q`.
#[inline(always)]
fn corrected<I: Isa>(row: &mut [f32], k: &[f32], delta: f32, q: &[f32]) -> f32 {
    let n = row.len();
    let wide = I::splat(delta);
    let mut acc = [I::splat(0.0); 4];
    let (chunks, tail) = row.as_chunks_mut::<16>();
    for ((turn, k), q) in chunks.chunks_mut(4).zip(k.chunks(64)).zip(q.chunks(64)) {
        let (k, q) = (k.as_chunks::<16>().0, q.as_chunks::<16>().0);
        for (g, ((s, k), q)) in turn.iter_mut().zip(k).zip(q).enumerate() {
            let new = I::fma(I::load(k), wide, I::load(s));
            I::store(new, s);
            acc[g] = I::fma(new, I::load(q), acc[g]);
        }
    }
    let mut lanes = add_groups::<I>(acc);
    let at = n / 16 * 16;
    for (((lane, s), k), q) in lanes.iter_mut().zip(tail).zip(&k[at..]).zip(&q[at..]) {
        *s = k.mul_add(delta, *s);
        *lane = s.mul_add(*q, *lane);
    }
    add_lanes(lanes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D = 2, one column, one token, worked by hand.
    #[test]
    fn one_step_follows_the_delta_rule() {
        let mut state = [1.0, 2.0];
        let mut out = [0.0];
        let tokens = Tokens {
            q: &[1.0, 1.0],
            k: &[1.0, 0.0],
            qk_stride: 2,
            v: &[3.0],
            v_stride: 1,
            g: &[0.0],
            beta: &[0.5],
            gate_stride: 1,
        };
        let mut deltas = [0.0];
        gdn_scan(
            tokens,
            2,
            &mut state,
            &mut ColumnsMut::new(&mut out, 1, 1),
            &mut ColumnsMut::new(&mut deltas, 1, 1),
        );
        // kv = 1, δ = 0.5·(3 − 1) = 1, S = [2, 2], out = 4 / √2.
        assert_eq!(state, [2.0, 2.0]);
        assert_eq!(out, [4.0 * (1.0 / 2.0f32.sqrt())]);
        assert_eq!(deltas, [1.0]);
    }
}
