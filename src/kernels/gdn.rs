//! The gated delta rule: a matrix state per head, decayed and corrected token by token.

use super::columns::ColumnsMut;
use super::isa::reduce::Reduce;
use super::isa::{Cache, Isa, prefetch};
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

/// Updates of a state that an earlier, tentative scan has computed but not stored.
#[derive(Clone, Copy, Debug, Default)]
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
    /// Takes updates into some value columns of one v-head, then runs tokens over them, in order.
    ///
    /// `state` is `[columns, D]`: for each value column j its D elements over k, contiguous;
    /// `out` is `[T, columns]`. Per token, for each column:
    ///
    /// ```text
    /// S[j] = S[j] · e^g;  δ = (v[j] − S[j]·k) · β
    /// S[j] = S[j] + k · δ;  out[j] = (S[j]·q) · 1/√D
    /// ```
    ///
    /// Dot products are in ggml's order for single vectors, as attention's are, the rank-1 update
    /// is fused: ggml's `gated_delta_net` to the bit. Columns do not meet, so threads may split
    /// them. They are taken in blocks that stay in L1 over all updates and tokens, so the state is
    /// read and written once.
    ///
    /// `deltas: [tokens, columns]` has the δ of the updates. With a `copy`, which is scratch, the
    /// state does not take in the tokens, and their δ replace those of the updates: with them they
    /// are the updates of a later scan.
    ///
    /// # Panics
    /// If a slice is too short or the shapes do not agree.
    pub fn gdn_scan(
        updates: Updates<'_>, tokens: Tokens<'_>, d: usize, state: &mut [f32],
        copy: Option<&mut Vec<f32>>, out: &mut ColumnsMut<'_>, deltas: &mut ColumnsMut<'_>,
    ) = body;
}

/// Columns of a block: with a head of 128 its part of the state is 16 KB.
const BLOCK: usize = 32;

#[inline(always)]
fn body<I: Reduce>(
    updates: Updates<'_>,
    tokens: Tokens<'_>,
    d: usize,
    state: &mut [f32],
    mut copy: Option<&mut Vec<f32>>,
    out: &mut ColumnsMut<'_>,
    deltas: &mut ColumnsMut<'_>,
) {
    assert_eq!(state.len(), out.cols() * d, "a state row for every column");
    let (kept, taken) = (deltas.rows(), out.rows());
    for first in (0..out.cols()).step_by(BLOCK) {
        let columns = first..out.cols().min(first + BLOCK);
        let state = &mut state[first * d..columns.end * d];
        let out = &mut out.part(0..taken, columns.clone());
        let deltas = &mut deltas.part(0..kept, columns);
        let v = tokens.v.get(first..).unwrap_or_default();
        let tokens = Tokens { v, ..tokens };
        let next = Ahead::new(state, taken + 1);
        commit(updates, deltas, d, state);
        match &mut copy {
            None => {
                block::<I>(tokens, d, state, next, out, |_, _| ());
            }
            Some(copy) => {
                copy.clear();
                copy.extend_from_slice(state);
                block::<I>(tokens, d, copy, next, out, |t, delta| {
                    deltas.row_mut(t).copy_from_slice(delta);
                });
            }
        }
    }
}

/// Asks for the memory behind a block, a little at a time.
struct Ahead {
    line: *const u8,
    /// Lines for a column in each of the passes over the block.
    lines: usize,
}

impl Ahead {
    fn new(state: &[f32], passes: usize) -> Ahead {
        let bytes = size_of_val(state);
        Ahead {
            line: state.as_ptr_range().end.cast(),
            lines: bytes.div_ceil(64 * BLOCK).div_ceil(passes),
        }
    }

    #[inline(always)]
    fn bring(&mut self, columns: usize) {
        for _ in 0..columns * self.lines {
            prefetch(self.line, Cache::L1);
            self.line = self.line.wrapping_add(64);
        }
    }
}

/// Brings updates into some columns.
#[inline(always)]
fn commit(updates: Updates<'_>, deltas: &mut ColumnsMut<'_>, d: usize, state: &mut [f32]) {
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

/// A block over all tokens: a pass over it at the start, one between each token and the next, and
/// one at the end. `log` gets each token's δ.
#[inline(always)]
fn block<I: Reduce>(
    tokens: Tokens<'_>,
    d: usize,
    state: &mut [f32],
    mut next: Ahead,
    out: &mut ColumnsMut<'_>,
    mut log: impl FnMut(usize, &[f32]),
) {
    let (count, columns) = (out.rows(), out.cols());
    let scale = 1.0 / (d as f32).sqrt();
    let (mut seen, mut delta) = ([0.0; BLOCK], [0.0; BLOCK]);
    let (seen, delta) = (&mut seen[..columns], &mut delta[..columns]);
    for t in 0..count {
        let begun = tokens.row(t, d);
        if t == 0 {
            pass::<I, false, true>(state, [begun; 2], delta, &mut next, &mut [], seen);
        } else {
            let (rows, out) = ([tokens.row(t - 1, d), begun], out.row_mut(t - 1));
            pass::<I, true, true>(state, rows, delta, &mut next, out, seen);
        }
        let beta = tokens.beta[t * tokens.gate_stride];
        let v = &tokens.v[t * tokens.v_stride..][..columns];
        for ((delta, v), seen) in delta.iter_mut().zip(v).zip(&*seen) {
            *delta = (v - seen) * beta;
        }
        log(t, delta);
    }
    if count > 0 {
        let ended = tokens.row(count - 1, d);
        let out = out.row_mut(count - 1);
        pass::<I, true, false>(state, [ended; 2], delta, &mut next, out, &mut []);
    }
    for t in 0..count {
        out.row_mut(t).iter_mut().for_each(|out| *out *= scale);
    }
}

/// What a pass takes of a token.
#[derive(Clone, Copy)]
struct Row<'a> {
    q: &'a [f32],
    k: &'a [f32],
    decay: f32,
}

impl<'a> Tokens<'a> {
    #[inline(always)]
    fn row(&self, t: usize, d: usize) -> Row<'a> {
        let at = t * self.qk_stride;
        Row {
            q: &self.q[at..at + d],
            k: &self.k[at..at + d],
            decay: math::exp(self.g[t * self.gate_stride]),
        }
    }
}

/// Goes over all columns once: `S = S + k · δ` and `out = S·q` for the token that `ENDS`, then
/// `S = S · decay` and `seen = S·k` for the one that `BEGINS`.
#[inline(always)]
fn pass<I: Reduce, const ENDS: bool, const BEGINS: bool>(
    state: &mut [f32],
    rows: [Row<'_>; 2],
    delta: &[f32],
    next: &mut Ahead,
    out: &mut [f32],
    seen: &mut [f32],
) {
    let d = rows[0].k.len();
    let mut j = 0;
    while j < delta.len() {
        // Two columns in registers; the last of an odd number alone.
        let sums = if I::MANY_REGISTERS && j + 2 <= delta.len() {
            let (a, b) = state[j * d..(j + 2) * d].split_at_mut(d);
            columns::<I, 2, ENDS, BEGINS>([a, b], rows, [delta[j], delta[j + 1]])
        } else {
            let [sums] =
                columns::<I, 1, ENDS, BEGINS>([&mut state[j * d..][..d]], rows, [delta[j]]);
            [sums, [I::splat(0.0); 2]]
        };
        let [[q0, k0], [q1, k1]] = sums;
        let [q0, k0, q1, k1] = I::lane_sums([q0, k0, q1, k1]);
        let two = if I::MANY_REGISTERS { 2 } else { 1 };
        next.bring(two);
        if ENDS {
            out[j..]
                .iter_mut()
                .zip([q0, q1])
                .take(two)
                .for_each(|(o, q)| *o = q);
        }
        if BEGINS {
            seen[j..]
                .iter_mut()
                .zip([k0, k1])
                .take(two)
                .for_each(|(s, k)| *s = k);
        }
        j += two;
    }
}

/// [`pass`] over `C` columns; the lanes of their products with `q` and with `k`.
#[inline(always)]
fn columns<I: Reduce, const C: usize, const ENDS: bool, const BEGINS: bool>(
    mut state: [&mut [f32]; C],
    [ended, begun]: [Row<'_>; 2],
    delta: [f32; C],
) -> [[I::F; 2]; C] {
    let n = ended.k.len();
    let rows = [ended, begun];
    let mut wide = [I::splat(0.0); C];
    for c in 0..C {
        wide[c] = I::splat(delta[c]);
    }
    let factors = (wide, I::splat(begun.decay));
    let mut acc = [[[I::splat(0.0); 4]; 2]; C];
    let mut first = 0;
    while first + 64 <= n {
        for g in 0..4 {
            let (at, acc) = (first + 16 * g, &mut acc);
            group::<I, C, ENDS, BEGINS>(&mut state, rows, factors, at, g, acc);
        }
        first += 64;
    }
    for g in 0..(n - first) / 16 {
        group::<I, C, ENDS, BEGINS>(&mut state, rows, factors, first + 16 * g, g, &mut acc);
    }
    let first = n / 16 * 16;
    let mut lanes = [[I::splat(0.0); 2]; C];
    for c in 0..C {
        lanes[c] = [I::merged(acc[c][0]), I::merged(acc[c][1])];
        if !n.is_multiple_of(16) {
            let rest = &mut state[c][first..];
            lanes[c] =
                remainder::<I, ENDS, BEGINS>(rest, [ended, begun], first, delta[c], lanes[c]);
        }
    }
    lanes
}

/// Sixteen elements from `at` on, which are those of group `g`.
#[inline(always)]
fn group<I: Isa, const C: usize, const ENDS: bool, const BEGINS: bool>(
    state: &mut [&mut [f32]; C],
    [ended, begun]: [Row<'_>; 2],
    (delta, decay): ([I::F; C], I::F),
    at: usize,
    g: usize,
    acc: &mut [[[I::F; 4]; 2]; C],
) {
    for c in 0..C {
        let s = &mut state[c][at..at + 16];
        let s: &mut [f32; 16] = s.try_into().expect("16 values");
        let mut new = I::load(s);
        if ENDS {
            new = I::fma(sixteen::<I>(ended.k, at), delta[c], new);
            acc[c][0][g] = I::fma(new, sixteen::<I>(ended.q, at), acc[c][0][g]);
        }
        if BEGINS {
            new = I::mul(new, decay);
            acc[c][1][g] = I::fma(new, sixteen::<I>(begun.k, at), acc[c][1][g]);
        }
        I::store(new, s);
    }
}

#[inline(always)]
fn sixteen<I: Isa>(x: &[f32], at: usize) -> I::F {
    I::load(x[at..at + 16].try_into().expect("16 values"))
}

/// The elements of a column behind the last whole sixteen.
#[inline(always)]
fn remainder<I: Isa, const ENDS: bool, const BEGINS: bool>(
    state: &mut [f32],
    [ended, begun]: [Row<'_>; 2],
    at: usize,
    delta: f32,
    lanes: [I::F; 2],
) -> [I::F; 2] {
    let mut stored = [[0.0; 16]; 2];
    I::store(lanes[0], &mut stored[0]);
    I::store(lanes[1], &mut stored[1]);
    for (j, s) in state.iter_mut().enumerate() {
        if ENDS {
            *s = ended.k[at + j].mul_add(delta, *s);
            stored[0][j] = s.mul_add(ended.q[at + j], stored[0][j]);
        }
        if BEGINS {
            *s *= begun.decay;
            stored[1][j] = s.mul_add(begun.k[at + j], stored[1][j]);
        }
    }
    [I::load(&stored[0]), I::load(&stored[1])]
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
        for copy in [Some(&mut Vec::new()), None] {
            gdn_scan(
                Updates::default(),
                tokens,
                2,
                &mut state,
                copy,
                &mut ColumnsMut::new(&mut out, 1, 1),
                &mut ColumnsMut::new(&mut deltas, 1, 1),
            );
            // kv = 1, δ = 0.5·(3 − 1) = 1, S = [2, 2], out = 4 / √2.
            assert_eq!(out, [4.0 * (1.0 / 2.0f32.sqrt())]);
            assert_eq!(deltas, [1.0]);
        }
        assert_eq!(state, [2.0, 2.0]);
    }
}
