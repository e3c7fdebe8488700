//! The gated delta rule: a matrix state per head, decayed and corrected token by token.

use super::columns::ColumnsMut;
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

multiversion! {
    /// Runs one v-head over its tokens, in order, for a range of v columns.
    ///
    /// `state` is `[D, columns]`, k-major; `out` is `[T, columns]`. Per token, for each column:
    ///
    /// ```text
    /// S[k] = S[k] · e^g;  kv = Σ S[k]·k[k];  δ = β·(v − kv)
    /// S[k] = S[k] + k[k]·δ;  out = (Σ S[k]·q[k]) · 1/√D
    /// ```
    ///
    /// Sums run over k in order with fused multiply-adds, the rank-1 update is one too. Columns
    /// do not meet, so threads may split them.
    ///
    /// # Panics
    /// If a slice is too short or the shapes do not agree.
    pub fn gdn_scan(tokens: Tokens<'_>, state: &mut ColumnsMut<'_>, out: &mut ColumnsMut<'_>) = body;
}

#[inline(always)]
fn body<I: Isa>(tokens: Tokens<'_>, state: &mut ColumnsMut<'_>, out: &mut ColumnsMut<'_>) {
    let (d, columns) = (state.rows(), state.cols());
    assert_eq!(out.cols(), columns, "an output for every column");
    for t in 0..out.rows() {
        let step = Step {
            q: &tokens.q[t * tokens.qk_stride..][..d],
            k: &tokens.k[t * tokens.qk_stride..][..d],
            decay: math::exp(tokens.g[t * tokens.gate_stride]),
            beta: tokens.beta[t * tokens.gate_stride],
            scale: 1.0 / (d as f32).sqrt(),
        };
        let v = &tokens.v[t * tokens.v_stride..][..columns];
        let out = out.row_mut(t);
        let mut c = 0;
        while c + 64 <= columns {
            step.columns::<I, 4>(state, c, v, out);
            c += 64;
        }
        while c + 16 <= columns {
            step.columns::<I, 1>(state, c, v, out);
            c += 16;
        }
        for c in c..columns {
            step.column(state, c, v, out);
        }
    }
}

/// One token for one head.
struct Step<'a> {
    q: &'a [f32],
    k: &'a [f32],
    decay: f32,
    beta: f32,
    scale: f32,
}

impl Step<'_> {
    /// `16 · N` columns from `c` on, in registers. The decayed state is computed in both
    /// passes rather than stored in between.
    #[inline(always)]
    fn columns<I: Isa, const N: usize>(
        &self,
        state: &mut ColumnsMut<'_>,
        c: usize,
        v: &[f32],
        out: &mut [f32],
    ) {
        let decay = I::splat(self.decay);
        let mut kv = [I::splat(0.0); N];
        for (row, k) in self.k.iter().enumerate() {
            let s = sixteens::<N>(&mut state.row_mut(row)[c..]);
            for i in 0..N {
                kv[i] = I::fma(I::mul(I::load(&s[i]), decay), I::splat(*k), kv[i]);
            }
        }
        let mut delta = [I::splat(0.0); N];
        for i in 0..N {
            let mut lanes = [0.0; 16];
            I::store(kv[i], &mut lanes);
            for (lane, v) in lanes.iter_mut().zip(&v[c + 16 * i..]) {
                *lane = self.beta * (v - *lane);
            }
            delta[i] = I::load(&lanes);
        }
        let mut sum = [I::splat(0.0); N];
        for (row, (k, q)) in self.k.iter().zip(self.q).enumerate() {
            let s = sixteens::<N>(&mut state.row_mut(row)[c..]);
            for i in 0..N {
                let new = I::fma(I::splat(*k), delta[i], I::mul(I::load(&s[i]), decay));
                I::store(new, &mut s[i]);
                sum[i] = I::fma(new, I::splat(*q), sum[i]);
            }
        }
        for (to, sum) in sixteens::<N>(&mut out[c..]).iter_mut().zip(sum) {
            I::store(I::mul(sum, I::splat(self.scale)), to);
        }
    }

    /// One column, by the same operations.
    #[inline(always)]
    fn column(&self, state: &mut ColumnsMut<'_>, c: usize, v: &[f32], out: &mut [f32]) {
        let mut kv = 0.0;
        for (row, k) in self.k.iter().enumerate() {
            kv = (state.row_mut(row)[c] * self.decay).mul_add(*k, kv);
        }
        let delta = self.beta * (v[c] - kv);
        let mut sum = 0.0;
        for (row, (k, q)) in self.k.iter().zip(self.q).enumerate() {
            let s = &mut state.row_mut(row)[c];
            *s = k.mul_add(delta, *s * self.decay);
            sum = s.mul_add(*q, sum);
        }
        out[c] = sum * self.scale;
    }
}

/// The first `16 · N` values.
#[inline(always)]
fn sixteens<const N: usize>(values: &mut [f32]) -> &mut [[f32; 16]] {
    &mut values.as_chunks_mut::<16>().0[..N]
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
        gdn_scan(
            tokens,
            &mut ColumnsMut::new(&mut state, 1, 1),
            &mut ColumnsMut::new(&mut out, 1, 1),
        );
        // kv = 1, δ = 0.5·(3 − 1) = 1, S = [2, 2], out = 4 / √2.
        assert_eq!(state, [2.0, 2.0]);
        assert_eq!(out, [4.0 * (1.0 / 2.0f32.sqrt())]);
    }
}
