//! The gated delta rule: a matrix state per head, decayed and corrected token by token.
//!
//! Sixteen value columns of a state lie side by side, `[D, 16]`, and meet a token in the lanes of
//! a vector: none of their sums goes across lanes, and a correction is one vector. What is left
//! of a head behind the last sixteen columns has the same shape, but is narrower.

mod pass;

use super::columns::ColumnsMut;
use super::isa::reduce::Reduce;
use super::math;
use super::simd::multiversion;
use pass::{LANES, Prefetcher, Row, add_update, load, pass, store};

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

/// Memory that scans use.
#[derive(Debug, Default)]
pub struct ScanWorkspace {
    copy: Vec<f32>,
    /// Of the updates, then of the tokens.
    decays: Vec<f32>,
}

multiversion! {
    /// Takes updates into some value columns of one v-head, then runs tokens over them, in order.
    ///
    /// `state` has groups of up to sixteen columns one after another, `[D, columns]` each; `out` is
    /// `[T, columns]`. Per token, for each column j of the state S:
    ///
    /// ```text
    /// S[j] = S[j] · e^g;  δ = (v[j] − S[j]·k) · β
    /// S[j] = S[j] + k · δ;  out[j] = (S[j]·q) · 1/√D
    /// ```
    ///
    /// Dot products are in ggml's order for single vectors of f32, the rank-1 update is fused: ggml's
    /// `gated_delta_net` to the bit, of heads of whole fours. Columns do not meet, so threads may split
    /// them between groups. They are taken in blocks that stay in L1 over all updates and tokens,
    /// so the state is read and written once.
    ///
    /// `deltas: [tokens, columns]` has the δ of the updates. If `tentative`, the state does not
    /// take in the tokens, and their δ replace those of the updates: with them they are the
    /// updates of a later scan.
    ///
    /// # Panics
    /// If a slice is too short or the shapes do not agree.
    pub fn gdn_scan(
        updates: Updates<'_>, tokens: Tokens<'_>, state: &mut [f32], tentative: bool,
        workspace: &mut ScanWorkspace, out: &mut ColumnsMut<'_>, deltas: &mut ColumnsMut<'_>,
    ) = scan;
}

/// The size of most models' heads: its loops have ends that are known when this is compiled.
const USUAL: usize = 128;

#[inline(always)]
fn scan<I: Reduce>(
    updates: Updates<'_>,
    tokens: Tokens<'_>,
    state: &mut [f32],
    tentative: bool,
    workspace: &mut ScanWorkspace,
    out: &mut ColumnsMut<'_>,
    deltas: &mut ColumnsMut<'_>,
) {
    let (kept, taken, count) = (deltas.rows(), out.rows(), out.cols());
    let d = state.len() / count.max(1);
    assert_eq!(state.len(), count * d, "D values for every column");
    let ScanWorkspace { copy, decays } = workspace;
    find_decays(&updates, &tokens, taken, decays);
    let mut first = 0;
    while first < count {
        let left = count - first;
        let columns = match (I::MANY_REGISTERS && d == USUAL, left) {
            (true, 32..) => 2 * LANES,
            _ => left.min(LANES),
        };
        let mut part = ColumnScan {
            updates,
            tokens: Tokens {
                v: tokens.v.get(first..).unwrap_or_default(),
                ..tokens
            },
            decays: &*decays,
            d,
            tentative,
            out: out.part(0..taken, first..first + columns),
            deltas: deltas.part(0..kept, first..first + columns),
        };
        let state = &mut state[first * d..(first + columns) * d];
        match columns / LANES {
            2 => part.scan::<I, USUAL, 2>(state, copy),
            1 => part.scan::<I, 0, 1>(state, copy),
            _ => part.scan_narrow::<I>(state, copy),
        }
        first += columns;
    }
}

#[inline(always)]
fn find_decays(updates: &Updates<'_>, tokens: &Tokens<'_>, count: usize, decays: &mut Vec<f32>) {
    decays.clear();
    decays.extend((0..updates.tokens).map(|t| updates.g[t * updates.g_stride]));
    decays.extend((0..count).map(|t| tokens.g[t * tokens.gate_stride]));
    let (sixteens, rest) = decays.as_chunks_mut::<16>();
    for x in sixteens {
        *x = math::exps(*x);
    }
    for x in rest {
        *x = math::exp(*x);
    }
}

/// Some columns of a head, in groups of [`LANES`], and what they meet.
struct ColumnScan<'a, 'b> {
    updates: Updates<'a>,
    tokens: Tokens<'a>,
    /// Of the updates, then of the tokens.
    decays: &'b [f32],
    d: usize,
    tentative: bool,
    out: ColumnsMut<'b>,
    deltas: ColumnsMut<'b>,
}

impl ColumnScan<'_, '_> {
    /// What token `t` brings.
    #[inline(always)]
    fn row(&self, t: usize) -> Row<'_> {
        let at = t * self.tokens.qk_stride;
        Row {
            q: &self.tokens.q[at..at + self.d],
            k: &self.tokens.k[at..at + self.d],
            decay: self.decays[self.updates.tokens + t],
        }
    }

    /// Scans `G` groups; `N` is D, or 0 if that is not known. There is a pass over the groups for
    /// each update, one before the first token, one between a token and the next, and one after
    /// the last.
    #[inline(always)]
    fn scan<I: Reduce, const N: usize, const G: usize>(
        &mut self,
        state: &mut [f32],
        copy: &mut Vec<f32>,
    ) {
        let count = self.out.rows();
        let mut prefetcher = Prefetcher::new(state, count + 1);
        for t in 0..self.updates.tokens {
            let k = &self.updates.k[t * self.updates.k_stride..][..self.d];
            let delta = load::<I, G>(self.deltas.row_mut(t));
            add_update::<I, G>(state, k, self.decays[t], delta);
        }
        if count == 0 {
            return;
        }
        let (from, state) = if self.tentative {
            copy.resize(state.len(), 0.0);
            (Some(&*state), &mut copy[..])
        } else {
            (None, state)
        };
        let begun = [self.row(0); 2];
        let mut seen = match from {
            Some(from) => pass::<I, N, G, false, true, true>(
                from,
                state,
                begun,
                [I::splat(0.0); G],
                &mut prefetcher,
            ),
            None => pass::<I, N, G, false, true, false>(
                &[],
                state,
                begun,
                [I::splat(0.0); G],
                &mut prefetcher,
            ),
        };
        for t in 0..count - 1 {
            let delta = self.delta::<I, G>(t, seen);
            let rows = [self.row(t), self.row(t + 1)];
            seen = pass::<I, N, G, true, true, false>(&[], state, rows, delta, &mut prefetcher);
            self.give_out::<I, G>(t, seen);
        }
        let delta = self.delta::<I, G>(count - 1, seen);
        let ended = [self.row(count - 1); 2];
        let sums = pass::<I, N, G, true, false, false>(&[], state, ended, delta, &mut prefetcher);
        self.give_out::<I, G>(count - 1, sums);
    }

    /// The correction that token `t` makes.
    #[inline(always)]
    fn delta<I: Reduce, const G: usize>(&mut self, t: usize, seen: [[I::F; 2]; G]) -> [I::F; G] {
        let columns = self.out.cols();
        let beta = I::splat(self.tokens.beta[t * self.tokens.gate_stride]);
        let mut delta = load::<I, G>(&self.tokens.v[t * self.tokens.v_stride..][..columns]);
        for g in 0..G {
            delta[g] = I::mul(I::sub(delta[g], seen[g][1]), beta);
        }
        if self.tentative {
            store::<I, G>(delta, self.deltas.row_mut(t));
        }
        delta
    }

    #[inline(always)]
    fn give_out<I: Reduce, const G: usize>(&mut self, t: usize, sums: [[I::F; 2]; G]) {
        let scale = I::splat(1.0 / (self.d as f32).sqrt());
        let mut out = [scale; G];
        for g in 0..G {
            out[g] = I::mul(sums[g][0], scale);
        }
        store::<I, G>(out, self.out.row_mut(t));
    }

    /// Scans less than a group, by way of a whole one.
    #[inline(always)]
    fn scan_narrow<I: Reduce>(&mut self, state: &mut [f32], copy: &mut Vec<f32>) {
        let columns = self.out.cols();
        let mut wide = vec![0.0; self.d * LANES];
        for (wide, row) in wide
            .chunks_exact_mut(LANES)
            .zip(state.chunks_exact(columns))
        {
            wide[..columns].copy_from_slice(row);
        }
        self.scan::<I, 0, 1>(&mut wide, copy);
        let wide = wide.chunks_exact(LANES);
        for (wide, row) in wide.zip(state.chunks_exact_mut(columns)) {
            row.copy_from_slice(&wide[..columns]);
        }
    }
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
        for tentative in [true, false] {
            gdn_scan(
                Updates::default(),
                tokens,
                &mut state,
                tentative,
                &mut ScanWorkspace::default(),
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
