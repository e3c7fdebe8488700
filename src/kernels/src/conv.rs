//! Causal depthwise convolution over time, with the last columns kept as state.

use super::columns::ColumnsMut;
use super::isa::{Cache, Isa, prefetch};
use super::simd::multiversion;

/// Turns a `[C][K]` kernel into taps `[K][C]`, so that channels are contiguous.
pub fn taps(kernel: &[f32], k: usize) -> Vec<f32> {
    let channels = kernel.len() / k;
    (0..k)
        .flat_map(|tap| (0..channels).map(move |c| kernel[c * k + tap]))
        .collect()
}

/// Asks for taps or for a row of a state: who first makes the inputs then finds them in the cache.
pub fn ask(row: &[f32]) {
    for line in row.chunks(16) {
        prefetch(line.as_ptr().cast(), Cache::L2);
    }
}

multiversion! {
    /// Convolves the channels `first..first + y.cols()` of T tokens.
    ///
    /// - `x`: `[T, C]` inputs, oldest first, of which rows are `channels` (C) long;
    /// - `taps`: `[K, C]`, the last tap meets the newest token;
    /// - `state`: the last K − 1 inputs before `x`, oldest first, these channels only;
    /// - `y`: `[T, channels of the range]`.
    ///
    /// `y = Σ tap · input` from the oldest tap on, each step one fused multiply-add,
    /// which is what compilers make of the reference's loop over four taps. Threads split
    /// channels.
    ///
    /// # Panics
    /// If the shapes do not agree.
    pub fn causal_conv(
        x: &[f32], taps: &[f32], channels: usize, first: usize,
        state: &mut ColumnsMut<'_>, y: &mut ColumnsMut<'_>,
    ) = causal;
}

#[inline(always)]
fn causal<I: Isa>(
    x: &[f32],
    taps: &[f32],
    channels: usize,
    first: usize,
    state: &mut ColumnsMut<'_>,
    y: &mut ColumnsMut<'_>,
) {
    convolve::<true>(x, taps, (channels, first), 1, state, y);
}

multiversion! {
    /// As [`causal_conv`], but taps meet inputs that lie `dilation` tokens apart, and each product is
    /// rounded before it is added. The state holds (K − 1) · dilation inputs.
    ///
    /// # Panics
    /// If the shapes do not agree.
    pub fn dilated_conv(
        x: &[f32], taps: &[f32], channels: usize, first: usize, dilation: usize,
        state: &mut ColumnsMut<'_>, y: &mut ColumnsMut<'_>,
    ) = dilated;
}

#[inline(always)]
fn dilated<I: Isa>(
    x: &[f32],
    taps: &[f32],
    channels: usize,
    first: usize,
    dilation: usize,
    state: &mut ColumnsMut<'_>,
    y: &mut ColumnsMut<'_>,
) {
    convolve::<false>(x, taps, (channels, first), dilation, state, y);
}

/// Either convolution; `FUSED` rounds a product and its sum once.
#[inline(always)]
fn convolve<const FUSED: bool>(
    x: &[f32],
    taps: &[f32],
    (channels, first): (usize, usize),
    dilation: usize,
    state: &mut ColumnsMut<'_>,
    y: &mut ColumnsMut<'_>,
) {
    let (tokens, count, kept) = (y.rows(), y.cols(), state.rows());
    assert_eq!(x.len(), tokens * channels, "inputs for every token");
    assert_eq!(
        taps.len(),
        (kept / dilation + 1) * channels,
        "a tap for each input that is met"
    );
    assert_eq!(state.cols(), count, "state of the same channels");
    for t in 0..tokens {
        let y = y.row_mut(t);
        // A sum without a rounding of its own begins with what keeps the sign of a product of zero.
        y.fill(if FUSED { 0.0 } else { -0.0 });
        for k in 0..=kept / dilation {
            let tap = &taps[k * channels + first..][..count];
            // Tap k meets the input `kept − k · dilation` tokens ago.
            let input = match (t + k * dilation).checked_sub(kept) {
                None => &*state.row_mut(t + k * dilation),
                Some(t) => &x[t * channels + first..][..count],
            };
            for ((y, tap), input) in y.iter_mut().zip(tap).zip(input) {
                *y = match FUSED {
                    true => tap.mul_add(*input, *y),
                    false => *y + tap * input,
                };
            }
        }
    }
}

/// Moves the state on by the T tokens of `x`: its rows become the last K − 1 of (state, x).
/// Shapes as in [`causal_conv`].
///
/// # Panics
/// If the shapes do not agree.
pub fn advance(x: &[f32], channels: usize, first: usize, state: &mut ColumnsMut<'_>) {
    let (kept, count) = (state.rows(), state.cols());
    let tokens = x.len() / channels;
    for i in 0..kept {
        if i + tokens < kept {
            state.copy_row(i + tokens, i);
        } else {
            let input = &x[(i + tokens - kept) * channels + first..][..count];
            state.row_mut(i).copy_from_slice(input);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dilated_taps_meet_inputs_so_many_tokens_apart() {
        let (channels, k, dilation, tokens) = (3, 3, 2, 9);
        let x: Vec<f32> = (0..channels * tokens).map(|i| (i as f32).sin()).collect();
        let kernel: Vec<f32> = (0..channels * k).map(|i| (i as f32).cos()).collect();
        let taps = taps(&kernel, k);
        let run = |pieces: &[usize]| {
            let mut state = vec![0.0; (k - 1) * dilation * channels];
            let mut out = Vec::new();
            for piece in pieces {
                let from = out.len();
                let mut y = vec![0.0; piece * channels];
                let x = &x[from..from + y.len()];
                let mut state = ColumnsMut::new(&mut state, channels, channels);
                let mut columns = ColumnsMut::new(&mut y, channels, channels);
                dilated_conv(x, &taps, channels, 0, dilation, &mut state, &mut columns);
                advance(x, channels, 0, &mut state);
                out.extend(y);
            }
            (out, state)
        };
        let whole = run(&[9]);
        for pieces in [vec![1; 9], vec![2, 7], vec![5, 1, 3]] {
            assert_eq!(run(&pieces), whole, "{pieces:?}");
        }
        // Token 6, channel 1, by the definition.
        let term = |j: usize| kernel[k + j] * x[(6 - (k - 1 - j) * dilation) * channels + 1];
        assert_eq!(whole.0[6 * channels + 1], term(0) + term(1) + term(2));
    }

    #[test]
    fn a_sequence_in_pieces_gives_what_it_gives_at_once() {
        let (channels, k, tokens) = (5, 4, 7);
        let x: Vec<f32> = (0..channels * tokens).map(|i| (i as f32).sin()).collect();
        let kernel: Vec<f32> = (0..channels * k).map(|i| (i as f32).cos()).collect();
        let taps = taps(&kernel, k);
        let run = |pieces: &[usize]| {
            let mut state = vec![0.0; (k - 1) * channels];
            let mut out = Vec::new();
            for piece in pieces {
                let from = out.len();
                let mut y = vec![0.0; piece * channels];
                let x = &x[from..from + y.len()];
                let mut state = ColumnsMut::new(&mut state, channels, channels);
                let mut columns = ColumnsMut::new(&mut y, channels, channels);
                causal_conv(x, &taps, channels, 0, &mut state, &mut columns);
                advance(x, channels, 0, &mut state);
                out.extend(y);
            }
            (out, state)
        };
        let whole = run(&[7]);
        for pieces in [vec![1; 7], vec![2, 5], vec![4, 1, 2]] {
            assert_eq!(run(&pieces), whole, "{pieces:?}");
        }
        assert_eq!(whole.1, x[4 * channels..]);
        // Token 5, channel 2, by the definition.
        let want = (0..k).fold(0.0, |sum, j| {
            sum + kernel[2 * k + j] * x[(2 + j) * channels + 2]
        });
        assert_eq!(whole.0[5 * channels + 2], want);
    }
}
