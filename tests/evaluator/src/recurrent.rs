//! Ops that walk the tokens in order and keep what they have made of them.

use sharpi_ir::KeyHeads;

use crate::tensor::Tensor;

/// `window` holds the last K−1 inputs, `[K−1, C]`; the weights are `[C, K]`.
pub(crate) fn causal_conv(x: &Tensor, weight: &Tensor, window: &mut Vec<f64>) -> Tensor {
    let (channels, taps) = (weight.dims()[0], weight.dims()[1]);
    let mut data = Vec::new();
    for t in 0..x.dims()[0] {
        window.extend_from_slice(x.entry(t));
        for c in 0..channels {
            let terms = (0..taps).map(|tap| weight.row(c)[tap] * window[tap * channels + c]);
            data.push(terms.sum());
        }
        window.drain(..channels);
    }
    Tensor::from_fn(x.dims().to_vec(), |i| data[i])
}

/// `window` holds the last (K−1)·dilation inputs; the weights are `[C, K]`.
pub(crate) fn dilated_conv(
    x: &Tensor,
    weight: &Tensor,
    dilation: usize,
    window: &mut Vec<f64>,
) -> Tensor {
    let (channels, taps) = (weight.dims()[0], weight.dims()[1]);
    let mut data = Vec::new();
    for t in 0..x.dims()[0] {
        window.extend_from_slice(x.entry(t));
        for c in 0..channels {
            let input = |tap: usize| window[tap * dilation * channels + c];
            data.push((0..taps).map(|tap| weight.row(c)[tap] * input(tap)).sum());
        }
        window.drain(..channels);
    }
    Tensor::from_fn(x.dims().to_vec(), |i| data[i])
}

/// `matrix` holds `S[k][v]` of each v-head, `[Hv, D, D]`.
pub(crate) fn gdn_scan(
    [q, k, v, g, beta]: [&Tensor; 5],
    keys: KeyHeads,
    matrix: &mut [f64],
) -> Tensor {
    let (k_heads, heads, d) = (k.dims()[1], v.dims()[1], v.dims()[2]);
    let mut data = Vec::new();
    for t in 0..v.dims()[0] {
        for h in 0..heads {
            let s = &mut matrix[h * d * d..(h + 1) * d * d];
            let k_head = match keys {
                KeyHeads::ByTurns => h % k_heads,
                KeyHeads::Grouped => h * k_heads / heads,
            };
            let (q, k) = (q.row(t * k_heads + k_head), k.row(t * k_heads + k_head));
            let (v, beta) = (v.row(t * heads + h), beta.row(t)[h]);
            let decay = g.row(t)[h].exp();
            s.iter_mut().for_each(|s| *s *= decay);
            for column in 0..d {
                let known: f64 = (0..d).map(|i| s[i * d + column] * k[i]).sum();
                let delta = beta * (v[column] - known);
                (0..d).for_each(|i| s[i * d + column] += k[i] * delta);
                let read: f64 = (0..d).map(|i| s[i * d + column] * q[i]).sum();
                data.push(read / (d as f64).sqrt());
            }
        }
    }
    Tensor::from_fn(v.dims().to_vec(), |i| data[i])
}
